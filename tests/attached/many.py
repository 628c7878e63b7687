"""Invitations by the thousand, their use and their history."""

from client import TOKENS
from lab import Lab
from privileges import AS_ROLE, ROLE, grant
from releases import of_release
from report import Report
from traces import own_what_they_make

INVITATIONS = "/stages/invitation/invitations/"
LATER = "2099-01-01T00:00:00Z"


def bulk(lab: Lab, report: Report) -> None:
    """Many invitations at once: their events, and the permissions of who made them"""
    database = lab.fresh()
    own_what_they_make(database, "invitation", ["view_invitation", "delete_invitation"])
    with lab.serve(database) as server:
        admin, viewer = server.client(), server.client(TOKENS["viewer"])
        # What one POST and one DELETE leave is what authentik leaves: see events_and_plans.
        one = admin.make(INVITATIONS, {"name": "one"})["pk"]
        admin.send("DELETE", f"{INVITATIONS}{one}/")
        answer = viewer.send("POST", f"{INVITATIONS}bulk/", {"template": {"name": "many"}, "count": 100})
        report.same("they are made", [answer.status, answer.body["created"]], [200, 100])
        pks = sorted(entry["pk"] for entry in answer.body["results"])
        seen = viewer.get(f"{INVITATIONS}?page_size=100").body["results"]
        report.same("their creator sees them", sorted(row["pk"] for row in seen), pks)
        answer = viewer.send("POST", f"{INVITATIONS}bulk_delete/?search=many", {})
        report.same("and deletes them", [answer.status, answer.body["count"], sorted(answer.body["pks"])], [200, 100, pks])

    def events(action: str, prefix: str) -> list[dict]:
        return database.rows(f"""
            SELECT (context -> 'model') - 'pk' - 'name' AS model, context -> 'model' ->> 'pk' AS pk,
              (SELECT array_agg(key ORDER BY key) FROM jsonb_object_keys(context -> 'http_request') AS key) AS request,
              app, expiring, brand, round(extract(epoch FROM expires - created)) AS life
            FROM authentik_events_event
            WHERE action = '{action}' AND context -> 'model' ->> 'name' LIKE '{prefix}%' ORDER BY 2""")

    for action in ("model_created", "model_deleted"):
        (like,) = events(action, "one")
        found = events(action, "many")
        report.same(f"{action}: an event each", [event.pop("pk") for event in found], [pk.replace("-", "") for pk in pks])
        like.pop("pk")
        report.check(f"{action}: as of a single one", all(event == like for event in found), [like, found[:1]])


def uses(lab: Lab, report: Report) -> None:
    """Uses of invitations, and the tables that they take"""
    database = of_release(lab, "2026.5.0")
    grant(lab, database)
    detail = (
        "The database lacks the tables for this. `ak-stages extensions` prints the SQL that makes them; then restart "
        "ak-stages."
    )
    with lab.serve(database, **AS_ROLE) as server:
        api = server.client()
        pk = api.make(INVITATIONS, {"name": "single", "single_use": True, "expires": LATER})["pk"]
        for method, path in (("GET", f"{pk}/status/"), ("POST", f"{pk}/redeem/"), ("GET", "history/")):
            answer = api.send(method, f"{INVITATIONS}{path}", None if method == "GET" else {})
            report.same(f"{path} without the tables", [answer.status, answer.body], [501, {"detail": detail}])
        answer = api.send("POST", INVITATIONS, {"name": "limited", "max_uses": 2})
        report.same("a limit without the tables", [answer.status, answer.body], [501, {"detail": detail}])
        answer = api.send("POST", f"{INVITATIONS}bulk/", {"invitations": [{"name": "many"}]})
        report.same("the rest works", answer.status, 200)
    database.execute(lab.ak_stages(database, "extensions", ROLE).stdout)
    with lab.serve(database, **AS_ROLE) as server:
        api = server.client()
        limited = api.make(INVITATIONS, {"name": "limited", "max_uses": 2, "expires": LATER})["pk"]
        api.send("PATCH", f"{INVITATIONS}{limited}/", {"name": "renamed"})
        for key, statuses in ((pk, [200, 404]), (limited, [200, 200, 404])):
            found = [api.send("POST", f"{INVITATIONS}{key}/redeem/", {}).status for _ in statuses]
            report.same("each is used as often as it may be", found, statuses)
        rows = api.get(f"{INVITATIONS}history/?invitation={limited}").body
        expected = ["deleted", "redeemed", "redeemed", "changed", "created"]
        report.same("its history is kept", [row["action"] for row in rows], expected)
        gone = database.rows("""
            SELECT context -> 'model' ->> 'name' AS name FROM authentik_events_event
            WHERE action = 'model_deleted' AND context -> 'model' ->> 'model_name' = 'invitation' ORDER BY created""")
        report.same("the last use leaves authentik's event", [row["name"] for row in gone], ["single", "renamed"])
        answer = api.send("POST", f"{INVITATIONS}bulk_delete/?name=many", {})
        report.same("many are deleted", [answer.status, answer.body["count"]], [200, 1])
