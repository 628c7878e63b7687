"""A database role with exactly what `ak-stages grants` prints."""

import re

from browser import SECRET_KEY, WITH_KEY, Browser, Session, access_token
from client import TOKENS, Client
from lab import Database, Lab
from report import Report

ROLE = "stages"
AS_ROLE = {"AUTHENTIK_POSTGRESQL__USER": ROLE}
# Changing a group's parents fires a trigger of authentik's that refreshes this view, which takes its owner.
VIEW = "materialized view authentik_core_groupancestry"
# What only the start needs, and `doctor`: they end where it is missing.
AT_START = {("SELECT", "authentik_install_id"), ("SELECT", "authentik_version_history")}
# The role `authentik Read-only` and the user `akadmin` of the dump.
READ_ONLY, AKADMIN = "dc780c38-5bd9-42ba-8cc8-d39340a97284", 3

# A privilege on a table, and both as SQL, with the columns where it isn't the whole table.
Privileges = dict[tuple[str, str], str]


def grant(lab: Lab, database: Database) -> Privileges:
    """Make the role if there is none and grant it what is printed, which is what this gives."""
    printed = lab.ak_stages(database, "grants", ROLE)
    printed.check_returncode()
    if not database.value(f"SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}')"):
        database.execute(f"CREATE ROLE {ROLE} LOGIN")
    database.execute(printed.stdout)
    privileges = {}
    for line in printed.stdout.splitlines():
        parts = re.fullmatch(rf'GRANT ([A-Z, ]+?)( \([\w", ]+\))? ON (\w+) TO "{ROLE}";', line)
        if not parts:
            raise ValueError(f"not a grant on a table: {line}")
        names, columns, table = parts.groups(default="")
        privileges |= {(name, table): f"{name}{columns} ON {table}" for name in names.split(", ")}
    return privileges


def least(lab: Lab, report: Report) -> None:
    """A role with the printed privileges"""
    database = lab.fresh()
    privileges = grant(lab, database)
    names = {name for name, _ in privileges}
    report.same(f"{len(privileges)} privileges, on rows alone", names, {"SELECT", "INSERT", "UPDATE", "DELETE"})
    creates = database.value(f"""
        SELECT rolsuper OR rolcreatedb OR rolcreaterole OR has_schema_privilege(oid, 'public', 'CREATE')
          OR has_database_privilege(oid, current_database(), 'CREATE') FROM pg_roles WHERE rolname = '{ROLE}'""")
    report.check("the role can create nothing", creates is False, creates)
    doctor = lab.ak_stages(database, "doctor", **AS_ROLE)
    report.check("`ak-stages doctor` ends with status 0", doctor.returncode == 0, doctor.stdout + doctor.stderr)
    with lab.serve(database, **AS_ROLE) as server:
        replay = lab.replay(server, "attached")
        refused = server.client().send("POST", "/core/users/", {"username": "jane", "name": "Jane"})
    detail = "The database role of ak-stages may not do this: permission denied for table authentik_core_user"
    report.same("it can't write users", [refused.status, refused.body], [403, {"detail": detail}])
    report.check(f"attached-public: {replay.line}", replay.same, replay.report)
    for recording in ("core", "relations"):
        database = lab.wiped.copy()
        grant(lab, database)
        with lab.serve(database, **AS_ROLE) as server:
            found = lab.replay(server, recording)
        more = found.differences() - lab.best(recording).differences()
        report.check(f"{recording}-public: {found.line}, nothing for want of a privilege", not more, more)


def one_missing(lab: Lab, report: Report) -> None:
    """The same role without one of its privileges, each in turn"""
    database = lab.fresh()
    privileges = grant(lab, database)
    database.execute(FIXTURE.format(rounds=len(privileges)))
    session = Session().keep(database)
    access_token(database, "an access token")
    failed, unclear, unneeded = [], [], set()
    with lab.serve(database, **AS_ROLE, **WITH_KEY) as server:
        admin, viewer = server.client(), server.client(TOKENS["viewer"])
        others = [Browser(server.base, session.cookie), server.client("an access token"), server.client(SECRET_KEY)]
        users = [row["model_name"] for row in admin.get(f"/core/groups/{bound(0)}/used_by/").body]
        report.same("used_by of a group names what joins users, of whom not all is readable", users, ["policybinding"])
        refused, errors = requests(admin, viewer, others, 0)
        usual = {detail for _, detail in refused}
        expected = len(usual) == 1 and VIEW in str(usual) and not errors
        report.check(f"with all of them only a group's parents are refused: {'; '.join(usual)}", expected, errors)
        back = ""
        for number, ((name, table), sql) in enumerate(privileges.items(), 1):
            database.execute(f"{back} REVOKE {sql} FROM {ROLE}")
            back = f"GRANT {sql} TO {ROLE};"
            refused, errors = requests(admin, viewer, others, number)
            failed += [(sql, *error) for error in errors]
            new = [(request, detail) for request, detail in refused if detail not in usual]
            unclear += [(sql, *one) for one in new if f"permission denied for table {table}" not in one[1]]
            if not new:
                unneeded.add((name, table))
    report.check(f"{len(privileges)} privileges: without one of them no request fails with 5xx", not failed, failed)
    report.check("what is refused with 403 says for want of which table", not unclear, unclear)
    report.same("every privilege is needed by a request or at the start", sorted(unneeded - AT_START), [])

    others = {place: sql for place, sql in privileges.items() if place not in AT_START}
    database.execute(back + "".join(f"REVOKE {sql} FROM {ROLE};" for sql in others.values()))
    doctor = lab.ak_stages(database, "doctor", **AS_ROLE)
    named = re.findall(r"^missing +GRANT (.*) TO ", doctor.stdout, re.MULTILINE)
    found, expected = [doctor.returncode, *sorted(named)], [1, *sorted(others.values())]
    report.same("`ak-stages doctor` names all that are missing, and ends with status 1", found, expected)
    for name, table in sorted(AT_START):
        database = lab.fresh()
        sql = grant(lab, database)[name, table]
        database.execute(f"REVOKE {sql} FROM {ROLE}")
        doctor = lab.ak_stages(database, "doctor", **AS_ROLE)
        told = doctor.returncode == 1 and table in doctor.stderr
        report.check(f"`ak-stages doctor` without {sql} names it, and ends with status 1", told, doctor)


# For each round of requests a group that a policy is bound to; a role that may make stages and see one flow.
FIXTURE = """
    INSERT INTO authentik_core_group (group_uuid, name, attributes, is_superuser)
    SELECT ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'bound ' || n, '{{}}', FALSE
    FROM generate_series(0, {rounds}) n;
    INSERT INTO authentik_policies_policybinding
      (policy_binding_uuid, enabled, "order", group_id, target_id, negate, timeout, failure_result)
    SELECT gen_random_uuid(), TRUE, 0, group_uuid, pbm_uuid, FALSE, 30, FALSE
    FROM authentik_core_group, (SELECT pbm_uuid FROM authentik_policies_policybindingmodel LIMIT 1) AS p
    WHERE name LIKE 'bound %';
    INSERT INTO guardian_rolemodelpermission (content_type_id, permission_id, role_id)
    SELECT p.content_type_id, p.id, r.uuid FROM auth_permission p, authentik_rbac_role r
    WHERE p.codename = 'add_emailstage' AND r.name = 'peer-viewer-role';
    INSERT INTO guardian_roleobjectpermission (object_pk, content_type_id, permission_id, role_id)
    SELECT f.flow_uuid, p.content_type_id, p.id, r.uuid
    FROM auth_permission p, authentik_rbac_role r, authentik_flows_flow f
    WHERE p.codename = 'view_flow' AND r.name = 'peer-viewer-role' AND f.slug = 'initial-setup'"""


def bound(number: int) -> str:
    """The key of a round's group."""
    return f"00000000-0000-4000-8000-{number:012}"


def requests(admin: Client, viewer: Client, others: list[Client], number: int) -> tuple[list[tuple[str, str]], list]:
    """Requests that together need every privilege: those that got 403, with the detail, and those that failed. `others`
    have credentials of other kinds."""
    refused, failed = [], []

    def ask(method: str, path: str, body: dict | None = None, client: Client = admin):
        """The answer's body, if what was asked was done."""
        answer = client.send(method, path, body)
        if answer.status >= 500:
            failed.append((method, path, answer))
        elif answer.status == 403:
            refused.append((f"{method} {path}", answer.body["detail"]))
        return answer.body if answer.status < 300 else None

    def made(path: str, key: str, body: dict, change: dict) -> str | None:
        """Make, look at and change an object: its path, or nothing where it could not be made."""
        new = ask("POST", path, body)
        if new is None:
            return None
        one = f"{path}{new[key]}/"
        ask("GET", f"{one}used_by/")
        ask("PATCH", one, change)
        return one

    name = f"n{number}"
    new = {"name": name, "users": [AKADMIN], "roles": [READ_ONLY]}
    group = made("/core/groups/", "pk", new, {"users": [], "roles": []})
    new = {"name": name, "slug": name, "title": name, "designation": "enrollment"}
    flow = made("/flows/instances/", "slug", new, {"policy_engine_mode": "all"})
    email = made("/stages/email/", "pk", {"name": f"{name} email"}, {"name": f"{name} mail"})
    binding = None
    if flow and email and (target := ask("GET", flow)):
        new = {"target": target["pk"], "stage": email.split("/")[-2], "order": 0}
        binding = made("/flows/bindings/", "pk", new, {"order": 1})
    role = made("/rbac/roles/", "pk", {"name": name}, {"name": f"{name} role"})
    if role:
        assigned = f"/rbac/permissions/assigned_by_roles/{role.split('/')[-2]}"
        on_group = {"permissions": ["view_group"], "model": "authentik_core.group", "object_pk": bound(number)}
        for given in ({"permissions": ["authentik_core.view_group"]}, on_group):
            ask("POST", f"{assigned}/assign/", given)
            ask("PATCH", f"{assigned}/unassign/", given)
        ask("POST", f"{role}add_user/", {"pk": AKADMIN})
        ask("POST", f"{role}remove_user/", {"pk": AKADMIN})
    for path in ("/rbac/permissions/", "/rbac/permissions/roles/", "/rbac/roles/?managed__isnull=true"):
        ask("GET", path)
    ask("GET", "/rbac/permissions/assigned_by_roles/?model=authentik_core.group")
    change = {"continue_flow_without_invitation": True}
    objects = [
        made("/stages/user_write/", "pk", {"name": f"{name} user write"}, {"user_type": "internal"}),
        made("/stages/invitation/stages/", "pk", {"name": f"{name} invitation"}, change),
        made("/stages/invitation/invitations/", "pk", {"name": name}, {"single_use": True}),
        made("/core/tokens/", "identifier", {"identifier": name}, {"description": "d"}),
        binding,
        email,
        flow,
        group,
        role,
    ]
    parent = bound(number)
    ask("POST", "/core/groups/", {"name": f"{name} child", "parents": [parent]})
    for path in ("/stages/all/", "/stages/all/user_settings/", "/core/users/", "/core/users/me/"):
        ask("GET", path)
    for other in others:
        ask("GET", "/core/users/me/", client=other)
    ask("GET", "/flows/instances/", client=viewer)
    ask("POST", "/stages/email/", {"name": f"{name} viewer"}, viewer)
    for one in [*objects, f"/core/groups/{parent}/"]:
        if one:
            ask("DELETE", one)
    return refused, failed
