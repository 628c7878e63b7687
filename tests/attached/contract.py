"""The answers are authentik's, and the tables stay as authentik made them."""

import json

from client import ADMIN, TOKENS
from lab import Database, Lab
from report import Report


def start_up(lab: Lab, report: Report) -> None:
    """Start, reads, stop"""
    database = lab.fresh()
    before = database.dump()
    with lab.serve(database) as server:
        replay = lab.replay(server, "attached")
    report.check(f"attached-public: {replay.line}", replay.same, replay.report)
    for command in (["doctor"], ["grants", "somebody"]):
        done = lab.ak_stages(database, *command)
        report.check(f"`ak-stages {' '.join(command)}` ends with status 0", done.returncode == 0, done.stderr)
    report.same("the dump of schema and data is the same as before", database.dump(), before)


def recordings(lab: Lab, report: Report) -> None:
    """All flows and stages deleted through the API, then the recordings, beside our own database"""
    schema = lab.base.dump("--schema-only")
    own = own_database(lab)
    for recording in ("core", "relations", "supporting", "cast"):
        attached = lab.best(recording)
        with lab.serve(own.copy(), AUTHENTIK_STAGES__RELEASE="2025.12") as server:
            beside = lab.replay(server, recording)
        print(f"        {recording}-public, attached:     {attached.line}")
        print(f"        {recording}-public, own database: {beside.line}")
        more = attached.differences() - beside.differences()
        report.check(f"{recording}-public: attached nothing differs but what does on our own database", not more, more)
        after = attached.database.dump("--schema-only")
        report.same(f"{recording}-public: the schema is the same as before", after, schema)


def order(lab: Lab, report: Report) -> None:
    """The order of what uses an object, which replays don't compare"""
    path = lab.shared / "conformance/attached-public.jsonl"
    scenarios = [json.loads(line) for line in path.read_text().splitlines()]
    steps = [step for scenario in scenarios for step in scenario["steps"] if step["path"].endswith("/used_by/")]

    def models(rows: list[dict]) -> list[str]:
        return [row["model_name"] for row in rows]

    with lab.serve(lab.fresh()) as server:
        api = server.client()
        found = {step["path"]: models(api.get(step["path"].removeprefix(api.prefix)).body) for step in steps}
    expected = {step["path"]: models(step["expect"]["json"]) for step in steps}
    several = sum(len(set(names)) > 1 for names in expected.values())
    report.check(f"{several} of {len(expected)} objects are used by objects of several models", several)
    report.same("the models come in the recorded order", found, expected)


def own_database(lab: Lab) -> Database:
    """A database of our own, with the people of the recordings. To be copied."""
    database = lab.database("own")
    with lab.serve(database, AUTHENTIK_BOOTSTRAP_TOKEN=ADMIN, AUTHENTIK_BOOTSTRAP_EMAIL="akadmin@peer.invalid"):
        pass

    def command(*arguments: str) -> None:
        lab.ak_stages(database, *arguments).check_returncode()

    for user in ("plain", "viewer", "inactive"):
        who = ("--name", f"{user.title()} User", "--email", f"{user}@peer.invalid", "--type", "internal")
        command("user", "create", user, *who)
    role = "peer-viewer-role"
    command("role", "create", role)
    command(
        "role", "grant", role, "view_emailstage", "view_userwritestage", "view_invitationstage", "view_invitation"
    )
    command("role", "assign", role, "viewer")
    for token in TOKENS.keys() - {"admin"}:
        user = token if token in ("plain", "viewer", "inactive") else "akadmin"
        intent = "app_password" if token == "apppw" else "api"
        database.execute(f"""
            INSERT INTO authentik_core_token
              (token_uuid, expires, expiring, description, user_id, intent, identifier, key, managed)
            SELECT gen_random_uuid(), now() - interval '1 day', {token == "expired"}, '', id, '{intent}',
              'peer-{token}', '{TOKENS[token]}', NULL
            FROM authentik_core_user WHERE username = '{user}'""")
    database.execute("UPDATE authentik_core_user SET is_active = FALSE WHERE username = 'inactive'")
    return database
