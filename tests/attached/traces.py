"""What a write leaves beside its own row, and what of authentik's settings counts."""

import json
import re
from datetime import datetime, timedelta, timezone

from client import TOKENS
from lab import Database, Lab
from report import Report

CLIENT = "203.0.113.7"
# Our events in the recording's form.
EVENTS = """
    SELECT action, app, context, host(client_ip) AS client_ip, "user", brand, expiring,
      round(extract(epoch FROM expires - created) / 86400)::int AS expires_in_days
    FROM authentik_events_event"""
PLANS = "public::1:goauthentik.io/flows/planner/"
# The recorded writes after which the cached plans of the flow `ev-flow` are stale.
DROPPING = {
    "bind",
    "patch email stage",
    "patch email stage, nothing changed",
    "put email stage",
    "patch user_write stage",
    "patch flow",
    "patch binding",
    "delete bound email stage",
    "delete flow with binding and invitation",
}


def events_and_plans(lab: Lab, report: Report) -> None:
    """The recorded requests: the audit events that they leave, and the cached plans that they drop"""
    recorded = [json.loads(line) for line in (lab.shared / "conformance/events.jsonl").read_text().splitlines()]
    database = lab.fresh()
    other = database.value("SELECT flow_uuid FROM authentik_flows_flow WHERE slug = 'initial-setup'")
    ids: dict[str, str] = {}  # ours by the recording's, in both spellings

    def mapped(value: object):
        text = json.dumps(value)
        for theirs, ours in ids.items():
            text = text.replace(theirs, ours)
        return json.loads(text)

    flow = "none yet"
    with lab.serve(database) as server:
        api = server.client()
        for step in recorded:
            plans = {f"{PLANS}{flow}#3", f"{PLANS}{flow}#None", f"{PLANS}{other}#3"}
            values = ", ".join(f"('{plan}', '', now() + interval '1 hour')" for plan in plans)
            database.execute(f"""
                TRUNCATE authentik_events_event, django_postgres_cache_cacheentry CASCADE;
                INSERT INTO django_postgres_cache_cacheentry (cache_key, value, expires) VALUES {values}""")
            request = mapped(step["request"])
            headers = {"X-Forwarded-For": CLIENT, "User-Agent": request["user_agent"]}
            answer = api.send(request["method"], request["path"], request["json"], headers)
            if answer.status == 201:
                theirs, ours = step["answer_pk"], answer.body["pk"]
                ids |= {theirs: ours, theirs.replace("-", ""): ours.replace("-", "")}

            events, expected = comparable(database.rows(EVENTS)), comparable(mapped(step["events"]))
            name = f"{step['what']}: {step['status']}, events: {len(expected)}"
            report.same(name, [answer.status, *events], [step["status"], *expected])
            left = {row["cache_key"] for row in database.rows("SELECT cache_key FROM django_postgres_cache_cacheentry")}
            kept = {plan for plan in plans if step["what"] not in DROPPING or flow not in plan}
            report.same(f"{step['what']}: plans dropped: {len(plans - kept)}", sorted(left), sorted(kept))
            if step["what"] == "create flow":
                flow = answer.body["pk"]
    unknown = DROPPING - {step["what"] for step in recorded}
    report.check("all writes that drop plans are in the recording", not unknown, unknown)


def comparable(events: list[dict]) -> list[dict]:
    """The events of one request, whose order says nothing, without the request's random id, which has to be there."""
    for event in events:
        if not re.fullmatch("[0-9a-f]{32}", event["context"]["http_request"].pop("request_id")):
            raise ValueError(f"not the id of a request: {event}")
    return sorted(events, key=lambda event: json.dumps(event, sort_keys=True))


def unusual_urls(lab: Lab, report: Report) -> None:
    """What a URL may hold, and PostgreSQL and the calendar may not"""
    database = lab.fresh()
    database.execute("UPDATE authentik_tenants_tenant SET event_retention = 'days=999999999'")
    with lab.serve(database) as server:
        api = server.client()
        api.make("/core/tokens/", {"identifier": "a_b"})
        answer = api.send("DELETE", "/core/tokens/a%5Fb/?x=a%00b&%00=y&password=p")
    event = database.rows("SELECT * FROM authentik_events_event WHERE action = 'model_deleted'")[-1]
    request = event["context"]["http_request"]
    found = [answer.status, request["path"], request["args"], event["expires"][:4]]
    args = {"x": "a\ufffdb", "\ufffd": "y", "password": "********************"}
    report.same("the event shows what can be stored", found, [204, "/api/v3/core/tokens/a_b/", args, "9999"])


def users(lab: Lab, report: Report) -> None:
    """Users: their events, and the end of their sessions"""
    database = lab.fresh()
    with lab.serve(database) as server:
        api = server.client()
        user = api.make("/core/users/", {"username": "jane", "name": "Jane Doe", "email": "jane@example.org"})
        path = f"/core/users/{user['pk']}/"
        expires = datetime.now(timezone.utc) + timedelta(minutes=20)
        body = {"identifier": "of-jane", "user": user["pk"], "intent": "app_password", "expires": expires.isoformat()}
        api.make("/core/tokens/", body)
        database.execute(f"""
            INSERT INTO authentik_policies_policybinding
              (policy_binding_uuid, enabled, "order", user_id, target_id, negate, timeout, failure_result)
            SELECT gen_random_uuid(), TRUE, 7, {user["pk"]}, policybindingmodel_ptr_id, FALSE, 30, FALSE
            FROM authentik_flows_flow WHERE slug = 'default-user-settings-flow'""")
        binding = database.value("SELECT policy_binding_uuid FROM authentik_policies_policybinding WHERE \"order\" = 7")
        used_by = api.get(f"{path}used_by/").body
        name = "Binding from Flow User settings (default-user-settings-flow) #7 to User Jane Doe"
        row = {"app": "authentik_policies", "model_name": "policybinding", "pk": binding, "name": name}
        report.same("used_by names a policy binding", used_by, [{**row, "action": "cascade"}])

        def log_in(key: str, pk: int) -> None:
            database.execute(f"""
                INSERT INTO authentik_core_session
                  (session_key, expiring, session_data, last_ip, last_user_agent, last_used)
                VALUES ('{key}', TRUE, '', '192.0.2.1', '', now());
                INSERT INTO authentik_core_authenticatedsession (session_id, uuid, user_id)
                VALUES ('{key}', gen_random_uuid(), {pk})""")

        log_in("of jane", user["pk"])
        log_in("of akadmin", 3)
        sessions = """SELECT session_id FROM authentik_core_authenticatedsession
            JOIN authentik_core_session ON session_key = session_id"""
        found = []
        for body in ({"name": "Jane"}, {"is_active": False}):
            found += [api.send("PATCH", path, body).status, len(database.rows(sessions))]
        report.same("a PATCH that leaves a user inactive ends the sessions, and no others", found, [200, 2, 200, 1])
        log_in("of jane again", user["pk"])
        counts = database.counts()
        answer = api.send("DELETE", path)
        expected = {
            "authentik_core_user": -1,
            "authentik_core_token": -1,
            "authentik_core_session": -1,
            "authentik_core_authenticatedsession": -1,
            "authentik_policies_policybinding": -1,
            "authentik_events_event": 1,
        }
        found = [answer.status, database.growth(counts)]
        report.same("a deletion takes along the user's tokens, sessions and policy bindings", found, [204, expected])
    events = database.rows("""
        SELECT action, context->'model' AS model FROM authentik_events_event
        WHERE context->'model'->>'model_name' IN ('user', 'token') ORDER BY created""")

    def event(action: str, name: str) -> dict:
        model = {"pk": user["pk"], "app": "authentik_core", "name": name, "model_name": "user"}
        return {"action": f"model_{action}", "model": model}

    token = events.pop(1)["model"]["name"]
    found = [token, *events]
    expected = [event("created", "Jane Doe"), event("updated", "Jane"), event("updated", "Jane"), event("deleted", "Jane")]
    report.same("the events name them as authentik does", found, [f"of-jane (expires={expires})", *expected])


def settings(lab: Lab, report: Report) -> None:
    """What administrators change in authentik counts at once"""
    database = lab.fresh()
    with lab.serve(database) as server:
        api = server.client()

        def sizes() -> list[int]:
            return [len(api.get(f"/flows/instances/?page_size={size}").body["results"]) for size in ("", 1000)]

        before = sizes()
        database.execute("""
            UPDATE authentik_tenants_tenant SET pagination_default_page_size = 3, pagination_max_page_size = 5""")
        report.same("pagination_default_page_size, pagination_max_page_size", [before, sizes()], [[14, 14], [3, 5]])

        def life(name: str) -> int:
            made = api.make("/stages/invitation/invitations/", {"name": name})
            return round((datetime.fromisoformat(made["expires"]) - datetime.now(timezone.utc)) / timedelta(minutes=1))

        before = life("before")
        database.execute("UPDATE authentik_tenants_tenant SET default_token_duration = 'hours=5'")
        report.same("default_token_duration, in minutes", [before, life("after")], [30, 300])

        brands = {
            "127.0.0.1": "default",
            "b.example": "default",
            "a.example": "a.example",
            "www.a.example": "a.example",
            "login.a.example": "login.a.example",
            "LOGIN.A.EXAMPLE": "login.a.example",
        }

        def backgrounds() -> list[str]:
            return [api.get("/flows/instances/initial-setup/", Host=host).body["background_url"] for host in brands]

        authentiks = "/static/dist/assets/images/flow_background.jpg"
        report.same("the background of authentik", backgrounds(), [authentiks] * len(brands))
        database.execute("""
            UPDATE authentik_brands_brand SET branding_default_flow_background = 'https://default/b.png';
            INSERT INTO authentik_brands_brand
            SELECT (jsonb_populate_record(b, jsonb_build_object('brand_uuid', gen_random_uuid(), 'default', FALSE,
              'domain', name, 'branding_default_flow_background', 'https://' || name || '/b.png'))).*
            FROM authentik_brands_brand b, (VALUES ('a.example'), ('login.a.example')) AS v (name)""")
        expected = [f"https://{brand}/b.png" for brand in brands.values()]
        report.same("branding_default_flow_background of the host's brand", backgrounds(), expected)


def own_what_they_make(database: Database, model: str, codenames: list[str]) -> None:
    """Let `viewer` make objects of a model, see no others, and have these permissions on each by InitialPermissions."""
    of_each = ", ".join(f"'{codename}'" for codename in codenames)
    database.execute(f"""
        DELETE FROM guardian_rolemodelpermission m USING authentik_rbac_role r
        WHERE r.uuid = m.role_id AND r.name = 'peer-viewer-role';
        INSERT INTO guardian_rolemodelpermission (content_type_id, permission_id, role_id)
        SELECT p.content_type_id, p.id, r.uuid FROM auth_permission p, authentik_rbac_role r
        WHERE p.codename = 'add_{model}' AND r.name = 'peer-viewer-role';
        INSERT INTO authentik_rbac_initialpermissions (name, role_id)
        SELECT 'own', uuid FROM authentik_rbac_role WHERE name = 'peer-viewer-role';
        INSERT INTO authentik_rbac_initialpermissions_permissions (initialpermissions_id, permission_id)
        SELECT i.id, p.id FROM authentik_rbac_initialpermissions i, auth_permission p
        WHERE p.codename IN ({of_each})""")


def initial_permissions(lab: Lab, report: Report) -> None:
    """authentik's InitialPermissions for the creator of an object"""
    database = lab.fresh()
    codenames = ["view_emailstage", "change_emailstage", "delete_emailstage", "view_userwritestage"]
    own_what_they_make(database, "emailstage", codenames)
    with lab.serve(database) as server:
        admin, viewer = server.client(), server.client(TOKENS["viewer"])
        others = admin.make("/stages/email/", {"name": "others"})["pk"]
        own = viewer.make("/stages/email/", {"name": "own"})["pk"]
        granted = database.rows("""
            SELECT o.object_pk, p.codename, r.name FROM guardian_roleobjectpermission o
            JOIN auth_permission p ON p.id = o.permission_id AND p.content_type_id = o.content_type_id
            JOIN authentik_rbac_role r ON r.uuid = o.role_id WHERE r.name = 'peer-viewer-role' ORDER BY p.codename""")
        codenames = ("change_emailstage", "delete_emailstage", "view_emailstage")
        expected = [{"object_pk": own, "codename": codename, "name": "peer-viewer-role"} for codename in codenames]
        report.same("the creator's role has them, as far as they are for this model", granted, expected)
        for pk, expected in ((others, [404, 404, 404]), (own, [200, 200, 204])):
            found = [viewer.send(method, f"/stages/email/{pk}/", {}).status for method in ("GET", "PATCH", "DELETE")]
            report.same(f"to see, change and delete {'it' if pk == own else 'another'}: {expected}", found, expected)
