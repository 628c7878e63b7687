"""authentik's admin interface behind nginx: all of our paths go to ak-stages, the rest to a stand-in for authentik."""

import json

from browser import IMPERSONATING, SECRET_KEY, WITH_KEY, Browser, Session
from client import Answer, Client
from lab import Database, Lab
from report import Report
from routing import digest, nginx, reached, stand_in

TABLE = "page=1&page_size=20&search="  # sent by every page with a table
SITE = {"Host": "auth.example.com", "Origin": "http://auth.example.com", "Referer": "http://auth.example.com/if/admin/"}
# What the interface asks for that is authentik's: none of our paths, or below one and not served.
THEIRS = [
    "/core/brands/current/",
    "/enterprise/license/summary/",
    "/events/notifications/",
    "/core/users/impersonate_end/",
    "/core/users/3/recovery/",
    "/flows/instances/cache_info/",
    "/flows/instances/initial-setup/diagram/",
    "/stages/prompt/stages/",
    "/stages/invitation/invitations/0e9d0a7e-3a3c-4f57-9a5e-5d4b0c9f7a11/send_email/",
    "/schema/",
]


class Interface(Browser):
    """Its requests; every answer has to be ak-stages' own, with the status that is expected."""

    def __init__(self, base: str, cookie: str, report: Report) -> None:
        super().__init__(base, cookie)
        self.report = report

    def send(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Answer:
        return super().send(method, path, body, SITE | (headers or {}))

    def ask(self, method: str, path: str, body: dict | None = None, status: int = 200):
        """The answer's body."""
        answer = self.send(method, path, body)
        found = [answer.status, "x-authentik-id" in answer.headers]
        self.report.same(f"{method} {path.split('?')[0]}: {status}", found, [status, True])
        return answer.body

    def listed(self, path: str, query: str = "") -> list[dict]:
        """The rows of a table."""
        return self.ask("GET", f"{path}?{TABLE}{query}")["results"]

    def remove(self, path: str) -> None:
        """What its button `Delete` does."""
        self.ask("GET", f"{path}used_by/")
        self.ask("DELETE", path, status=204)


def sequences(lab: Lab, report: Report) -> None:
    """The requests of authentik's admin interface, with a session, through examples/nginx-sessions.conf"""
    database = lab.fresh()
    session = Session().keep(database)
    with lab.serve(database, **WITH_KEY) as server, stand_in() as authentik:
        upstreams = {"127.0.0.1:9000": authentik, "127.0.0.1:9001": server.base.removeprefix("http://")}
        with nginx(lab, upstreams, "nginx-sessions.conf") as base:
            ui = Interface(base, session.cookie, report)
            shell(ui)
            flow = flows(ui)
            stages = [email(ui), user_write(ui), invitation_stage(ui)]
            bindings(ui, flow, stages)
            invitations(ui, flow)
            for stage in stages:
                ui.remove(f"/stages/all/{stage}/")
            ui.remove(f"/flows/instances/{flow['slug']}/")
            others(ui, session, base, database, report)
    events = database.rows("""
        SELECT DISTINCT "user"->>'username' AS username, host(client_ip) AS client FROM authentik_events_event
        WHERE action LIKE 'model_%'""")
    report.same("all events are the user's own", events, [{"username": "akadmin", "client": "127.0.0.1"}])


def shell(ui: Interface) -> None:
    """What every page begins with."""
    ui.ask("GET", "/root/config/")
    me = ui.ask("GET", "/core/users/me/")["user"]["username"]
    ui.report.same("it is the session's user", me, "akadmin")
    ui.ask("GET", "/admin/version/")


def flows(ui: Interface) -> dict:
    """A flow, made and edited."""
    ui.listed("/flows/instances/", "&ordering=slug")
    new = {
        "name": "ui", "title": "Welcome", "slug": "ui", "designation": "enrollment", "authentication": "none",
        "denied_action": "message_continue", "policy_engine_mode": "any", "layout": "stacked", "background": "",
        "compatibility_mode": False,
    }
    ui.ask("POST", "/flows/instances/", new, 201)
    return ui.ask("PUT", "/flows/instances/ui/", new | {"title": "Come in"})


def email(ui: Interface) -> str:
    """An email stage, made and edited."""
    ui.listed("/stages/all/", "&ordering=name")
    ui.ask("GET", "/stages/all/types/")
    templates = ui.ask("GET", "/stages/email/templates/")
    new = {"name": "ui email", "use_global_settings": True, "template": templates[0]["name"], "subject": "authentik"}
    pk = ui.ask("POST", "/stages/email/", new, 201)["pk"]
    ui.ask("GET", f"/stages/email/{pk}/")
    ui.ask("PATCH", f"/stages/email/{pk}/", new | {"subject": "Welcome"})
    return pk


def user_write(ui: Interface) -> str:
    """A user write stage, made and edited."""
    ui.ask("GET", "/core/groups/?ordering=name&include_users=false")
    new = {"name": "ui user write", "user_creation_mode": "create_when_required", "create_users_group": None}
    pk = ui.ask("POST", "/stages/user_write/", new, 201)["pk"]
    ui.ask("PUT", f"/stages/user_write/{pk}/", new | {"create_users_as_inactive": True})
    return pk


def invitation_stage(ui: Interface) -> str:
    """An invitation stage, made and edited."""
    new = {"name": "ui invitation", "continue_flow_without_invitation": False}
    pk = ui.ask("POST", "/stages/invitation/stages/", new, 201)["pk"]
    ui.ask("PUT", f"/stages/invitation/stages/{pk}/", new | {"continue_flow_without_invitation": True})
    return pk


def bindings(ui: Interface, flow: dict, stages: list[str]) -> None:
    """The stages bound to the flow, one binding edited and one deleted."""
    made = []
    for order, stage in enumerate(stages):
        ui.ask("GET", f"/flows/bindings/?target={flow['pk']}")
        ui.ask("GET", "/stages/all/?ordering=name")
        new = {"target": flow["pk"], "stage": stage, "order": order, "re_evaluate_policies": True}
        made.append(ui.ask("POST", "/flows/bindings/", new, 201))
    ui.ask("GET", f"/flows/bindings/{made[0]['pk']}/")
    ui.ask("PATCH", f"/flows/bindings/{made[0]['pk']}/", {"target": flow["pk"], "stage": stages[0], "order": 9})
    rows = ui.listed("/flows/bindings/", f"&ordering=order&target={flow['pk']}")
    ui.report.same("they come in their order", [row["stage"] for row in rows], [*stages[1:], stages[0]])
    ui.remove(f"/flows/bindings/{made[0]['pk']}/")


def invitations(ui: Interface, flow: dict) -> None:
    """An invitation, made, edited and deleted."""
    ui.ask("GET", "/stages/invitation/stages/?no_flows=false")
    ui.ask("GET", "/flows/instances/?ordering=slug&designation=enrollment")
    new = {
        "name": "ui", "expires": "2036-01-01T00:00:00.000Z", "flow": None, "fixed_data": {"email": "a@b.example"},
        "single_use": True,
    }
    pk = ui.ask("POST", "/stages/invitation/invitations/", new, 201)["pk"]
    ui.ask("PUT", f"/stages/invitation/invitations/{pk}/", new | {"flow": flow["pk"]})
    rows = ui.listed("/stages/invitation/invitations/", "&ordering=expires")
    ui.report.same("it is listed", [(row["pk"], row["created_by"]["username"]) for row in rows], [(pk, "akadmin")])
    ui.remove(f"/stages/invitation/invitations/{pk}/")


def others(ui: Interface, session: Session, base: str, database: Database, report: Report) -> None:
    """What isn't ours, and who isn't a browser with a good session."""
    for method in ("GET", "POST"):
        theirs = {path: ui.send(method, path, {} if method == "POST" else None).body for path in THEIRS}
        report.same(f"{method}: {len(theirs)} paths are authentik's", theirs, dict.fromkeys(theirs, "authentik"))
    sent = {"name": "x" * 100_000}
    answer = ui.send("POST", "/core/users/3/set_password/", sent)
    found, expected = [answer.body, answer.headers.get("x-received")], ["authentik", digest(json.dumps(sent).encode())]
    report.same("what isn't served goes on with its body", found, expected)
    token = Client(base)
    report.same("an API token", reached(token, "/stages/email/"), "ak-stages")
    report.same("the secret key", Client(base, SECRET_KEY).get("/core/users/me/").status, 200)
    forged = Browser(base, ui.cookie).send("POST", "/stages/email/", {"name": "x"}, {"Origin": "http://evil.example"})
    report.same("a page of another site", forged.status, 403)
    made_up = SITE | {"X-Forwarded-Proto": "https"}
    answer = Browser(base, ui.cookie).send("POST", "/stages/email/", {"name": "x"}, made_up)
    report.same("nginx says how the client came, whatever that says itself", answer.status, 201)
    impersonating = Session(data=IMPERSONATING).keep(database)
    report.same("a session that impersonates", Browser(base, impersonating.cookie).get("/core/users/me/").status, 403)
    database.execute(f"""
        DELETE FROM authentik_core_authenticatedsession WHERE session_id = '{session.key}';
        DELETE FROM authentik_core_session WHERE session_key = '{session.key}'""")
    ended = ui.send("GET", "/core/users/me/")
    report.same("the session once it has ended", [ended.status, "set-cookie" in ended.headers], [403, True])

