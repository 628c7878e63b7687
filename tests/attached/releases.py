"""The releases of authentik: those that are supported, those to come, and tables that don't do."""

from pathlib import Path

from client import TOKENS, Client
from lab import Database, Lab
from report import Report

LAYOUTS = Path(__file__).parent / "layouts"
# A body to make and one to change, for each of the four resources.
RESOURCES = {
    "/stages/email/": ({"name": "email"}, {"host": "mail.example"}),
    "/stages/user_write/": ({"name": "user-write"}, {"user_type": "internal"}),
    "/stages/invitation/stages/": ({"name": "invitation-stage"}, {"continue_flow_without_invitation": True}),
    "/stages/invitation/invitations/": ({"name": "invitation"}, {"single_use": True}),
}
# What later releases take: since 2026.2, and since 2026.5.
FLOW = {"name": "Flow", "slug": "flow", "title": "Flow", "designation": "enrollment"}
LAYOUT = {"name": "layout", "flow_set": [FLOW | {"layout": "sidebar_left_frame_background"}]}
TEMPLATE = {"name": "template", "template": "email/invitation.html"}


def of_release(lab: Lab, version: str) -> Database:
    """A database with the tables of a release."""
    database = lab.fresh()
    for layout in sorted(LAYOUTS.glob("*.sql")):
        if layout.stem <= version:
            database.execute(layout.read_text())
    return database


def lives(api: Client) -> list:
    """What goes wrong in the lives of the four resources."""
    wrong = []
    for path, (body, change) in RESOURCES.items():
        made = api.make(path, body)
        one = f"{path}{made['pk']}/"
        changed, read, put = api.send("PATCH", one, change), api.get(one), api.send("PUT", one, body)
        listed = api.get(f"{path}?name={body['name']}")
        deleted, gone = api.send("DELETE", one), api.get(one)
        answers = (changed, read, put, listed, deleted, gone)
        as_changed = made | change
        good = (
            [answer.status for answer in answers] == [200, 200, 200, 200, 204, 404]
            and changed.body == read.body == put.body == as_changed
            and listed.body["results"] == [as_changed]
        )
        if not good:
            wrong.append((made, answers))
    return wrong


def supported(lab: Lab, report: Report) -> None:
    """The supported releases"""
    for version, layout, template, members in (
        ("2025.12.4", 400, 400, "authentik_core_user_ak_groups"),
        ("2026.2.0", 201, 400, "authentik_core_user_groups"),
        ("2026.5.0", 201, 201, "authentik_core_user_groups"),
    ):
        database = of_release(lab, version)
        schema = database.dump("--schema-only")
        with lab.serve(database) as server:
            api, plain = server.client(), server.client(TOKENS["plain"])
            report.same(f"{version}: the version", api.get("/admin/version/").body["version_current"], version)
            wrong = lives(api)
            report.check(f"{version}: the lives of the four resources", not wrong, wrong)
            me = api.get("/core/users/me/").body["user"]
            groups = [group["name"] for group in me["groups"]]
            found = [me["is_superuser"], groups, plain.get("/stages/email/").status]
            report.same(f"{version}: a superuser by group, and somebody else", found, [True, ["authentik Admins"], 403])
            group = api.make("/core/groups/", {"name": "members", "users": [me["pk"]]})
            found = database.rows(f"SELECT user_id FROM {members} WHERE group_id = '{group['pk']}'")
            report.same(f"{version}: the members of a new group", found, [{"user_id": me["pk"]}])
            found = [api.send("POST", "/stages/email/", body).status for body in (LAYOUT, TEMPLATE)]
            report.same(f"{version}: a layout of 2026.2, a template of 2026.5", found, [layout, template])
        doctor = lab.ak_stages(database, "doctor")
        report.check(f"{version}: doctor", doctor.returncode == 0 and f"authentik {version}\n" in doctor.stdout, doctor)
        report.same(f"{version}: the schema is the same as before", database.dump("--schema-only"), schema)


def unknown_version(lab: Lab, report: Report) -> None:
    """A version that nobody knows yet, with tables that do"""
    database = of_release(lab, "2026.5.0")
    database.execute("UPDATE authentik_version_history SET version = '2027.1.0' WHERE version = '2026.5.0'")
    with lab.serve(database) as server:
        versions = [line.get("version") for line in server.logged(level="WARN")]
        report.same("it starts with one warning, which names the version", versions, ["2027.1.0"])
        found = server.client().get("/admin/version/").body["version_current"]
        report.same("the version", found, "2027.1.0")
        wrong = lives(server.client())
        report.check("the lives of the four resources", not wrong, wrong)


def unsound_schemas(lab: Lab, report: Report) -> None:
    """Tables that don't do: one error that names the place, and nothing written"""
    for problem, change in {
        "column authentik_stages_email_emailstage.recovery_max_attempts is missing":
            "ALTER TABLE authentik_stages_email_emailstage DROP COLUMN recovery_max_attempts",
        "column authentik_flows_flow.title is of type jsonb and not text":
            "ALTER TABLE authentik_flows_flow ALTER COLUMN title TYPE jsonb USING to_jsonb(title)",
        "column authentik_stages_invitation_invitation.purpose is required and not known":
            "ALTER TABLE authentik_stages_invitation_invitation ADD COLUMN purpose text NOT NULL",
        "table authentik_stages_user_write_userwritestage is missing":
            "DROP TABLE authentik_stages_user_write_userwritestage",
    }.items():
        database = lab.fresh()
        database.execute(change)
        before = database.dump()
        done = lab.ak_stages(database, "serve")
        errors = [line.strip() for line in done.stderr.splitlines() if not line.startswith("{")]
        told = done.returncode == 1 and len(errors) == 2 and errors[1] == problem
        report.check(f"{problem}: status 1", told, done.stderr)
        report.same("nothing is written", database.dump(), before)
