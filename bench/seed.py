"""The databases that are measured. One object of a kind is made through the API; SQL makes copies of its rows.

So the rows are complete in every layout of the tables, and nothing here lists columns that it doesn't change.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field
from pathlib import Path

from cluster import BENCH, Cluster
from server import DUMP_TOKEN, TOKEN, Program, Server, serve

# What stages and users have at most, however many invitations there are.
LARGEST = 100_000
STAGES_OF_A_FLOW = 1_000
# How many users have made invitations.
CREATORS = 100
# How many objects are asked for in turn, where a case is about any object.
SOME = 1_000
# How many invitations the search that finds many finds.
MANY = 1_000
# The number of the object that is looked for, as names end in it. Nobody with this number has made an invitation.
ONE = "0000501"
# The fewest invitations that there can be.
SMALLEST = 1_000

FLOW = {"title": "Bench", "designation": "authentication"}
FLOW_SET = FLOW | {
    "policy_engine_mode": "all", "compatibility_mode": True, "layout": "stacked", "denied_action": "message_continue"
}
FIRST_FLOW = FLOW_SET | {"name": "Bench 1", "slug": "bench-1"}
EMAIL_STAGE = {
    "use_global_settings": True, "host": "mail.example.com", "port": 0, "username": "mailer", "password": "secret",
    "use_tls": True, "use_ssl": False, "timeout": 0, "from_address": "user@example.com",
    "token_expiry": "minutes=30", "subject": "Recover your account", "template": "email/password_reset.html",
    "activate_user_on_success": True,
}


def copies(table: str, template: str, changes: str, source: str) -> str:
    """SQL that copies the row of `table` that is the `template`, once for each `n` that `source` has.

    `changes` are columns and their new values, as `jsonb_build_object` takes them.
    """
    return f"""
        INSERT INTO {table} SELECT made.* FROM {table} AS t, {source},
        LATERAL jsonb_populate_record(t, jsonb_build_object({changes})) AS made WHERE t.{template};
    """


def stage_copies(count: int, name: str, flow: str) -> str:
    """SQL for copies of the stage `template`, each bound to one flow.

    `name` and `flow`, the number of a flow, are SQL that counts the copies with `n`.
    """
    template = "(SELECT stage_uuid FROM authentik_flows_stage WHERE name = 'template')"
    model = f"(SELECT policybindingmodel_ptr_id FROM authentik_flows_flowstagebinding WHERE stage_id = {template})"
    target = f"(SELECT flow_uuid FROM authentik_flows_flow WHERE slug = 'bench-' || {flow})"
    return f"""
        CREATE TEMPORARY TABLE fresh AS SELECT n, gen_random_uuid() AS stage, gen_random_uuid() AS binding,
            gen_random_uuid() AS model FROM generate_series(1, {count}) AS n;
        {copies("authentik_flows_stage", f"stage_uuid = {template}", f"'stage_uuid', stage, 'name', {name}", "fresh")}
        {copies("authentik_stages_email_emailstage", f"stage_ptr_id = {template}", "'stage_ptr_id', stage", "fresh")}
        {copies("authentik_policies_policybindingmodel", f"pbm_uuid = {model}", "'pbm_uuid', model", "fresh")}
        {copies(
            "authentik_flows_flowstagebinding", f"stage_id = {template}",
            "'policybindingmodel_ptr_id', model, 'fsb_uuid', binding, 'stage_id', stage, 'order', n, "
            f"'target_id', {target}", "fresh",
        )}
        DROP TABLE fresh;
    """


@dataclass
class Dataset:
    """A database with many rows. The sizes are those of its tables, but for a handful of rows."""

    cluster: Cluster
    program: Program
    layout: str
    invitations: int
    keys: dict[str, list[str]] = field(default_factory=dict)
    """Some keys by kind: `stage` and `invitation`."""
    invitation_name: str = ""
    """The name of invitation number `ONE`."""

    def __post_init__(self) -> None:
        self.stages = self.users = min(self.invitations, LARGEST)
        self.name = f"{self.program.name}_{self.layout}_{self.invitations}"
        self.token = DUMP_TOKEN if self.layout == "attached" else TOKEN

    def serve(self, role: str = BENCH, port: int | None = None, **settings: str):
        """A server on it, as a context."""
        log = self.cluster.directory.parent / f"{self.name}-{role}.log"
        return serve(self.program, self.cluster.url(self.name, role, port), self.token, log, **settings)

    def sql(self, statements: str) -> list[str]:
        """Run statements in it."""
        return self.cluster.sql(self.name, statements)

    def make(self, dump: Path) -> None:
        """Make the database and its rows."""
        self.cluster.create(self.name)
        if self.layout == "attached":
            self.cluster.sql(self.name, gzip.decompress(dump.read_bytes()).decode(), role=BENCH)
        with self.serve() as server:
            self.make_templates(server)
        self.sql(self.rows())
        self.sql("VACUUM ANALYZE; CHECKPOINT;")
        for kind, table, key in (
            ("stage", "authentik_stages_email_emailstage", "stage_ptr_id"),
            ("invitation", "authentik_stages_invitation_invitation", "invite_uuid"),
        ):
            # In an order that has nothing to do with the index's.
            self.keys[kind] = self.sql(f"SELECT {key} FROM {table} ORDER BY md5({key}::text) LIMIT {SOME}")
        (self.invitation_name,) = self.sql(
            f"SELECT name FROM authentik_stages_invitation_invitation WHERE name LIKE '%-{ONE}'"
        )

    def make_templates(self, server: Server) -> None:
        """The objects that SQL makes copies of, and the flows."""
        for number in range(1, 1 + -(-self.stages // STAGES_OF_A_FLOW)):
            server.post("/flows/instances/", FLOW | {"name": f"Bench {number}", "slug": f"bench-{number}"})
        server.post("/stages/email/", EMAIL_STAGE | {"name": "template", "flow_set": [FIRST_FLOW]})
        # An invitation shows its flow with the keys of all stages in it: a flow of the usual length.
        flow = server.post("/flows/instances/", FLOW | {"name": "Enrollment", "slug": "bench-enrollment"})
        in_enrollment = [FLOW_SET | {"name": "Enrollment", "slug": "bench-enrollment"}]
        for name in ("prompt", "write", "login"):
            server.post("/stages/email/", EMAIL_STAGE | {"name": f"template-{name}", "flow_set": in_enrollment})
        server.post("/core/users/", {"username": "template", "name": "Template"})
        server.post("/stages/invitation/invitations/", {
            "name": "template", "expires": "2099-01-01T00:00:00Z", "fixed_data": {"email": "user@example.com"},
            "single_use": True, "flow": flow["pk"],
        })

    def rows(self) -> str:
        """SQL for all other rows."""
        number = "lpad(n::text, 7, '0')"
        kind = f"CASE WHEN n % {max(1, self.invitations // MANY)} = 0 THEN 'many' ELSE 'some' END"
        first_creator = "(SELECT id + 1 FROM authentik_core_user WHERE username = 'template')"
        return f"""
            BEGIN;
            {stage_copies(self.stages, f"'email-' || {number}", f"(1 + (n - 1) / {STAGES_OF_A_FLOW})")}
            {copies(
                "authentik_core_user", "username = 'template'",
                f"'id', t.id + n, 'uuid', gen_random_uuid(), 'username', 'user-' || {number}, 'name', 'User ' || n, "
                f"'email', 'user-' || {number} || '@example.com'",
                f"generate_series(1, {self.users}) AS n",
            )}
            SELECT setval(pg_get_serial_sequence('authentik_core_user', 'id'), max(id)) FROM authentik_core_user;
            {copies(
                "authentik_stages_invitation_invitation", "name = 'template'",
                f"'invite_uuid', gen_random_uuid(), 'name', {kind} || '-' || {number}, "
                "'expires', timestamptz '2098-01-01' + n * interval '1 second', "
                f"'created_by_id', {first_creator} + n % {CREATORS}",
                f"generate_series(1, {self.invitations}) AS n",
            )}
            COMMIT;
        """

    def pool(self, count: int) -> list[str]:
        """Make stages to delete, in the first flow; their keys."""
        self.sql(stage_copies(count, "'pool-' || n", "1"))
        return self.sql("SELECT stage_uuid FROM authentik_flows_stage WHERE name LIKE 'pool-%' ORDER BY name")

    def clean(self) -> None:
        """Remove the stages that a case with writes has left, and what the tables keep of them."""
        self.sql("""
            BEGIN;
            CREATE TEMPORARY TABLE left_over AS SELECT stage_uuid AS stage FROM authentik_flows_stage
                WHERE name LIKE 'pool-%' OR name LIKE 'created-%';
            WITH unbound AS (
                DELETE FROM authentik_flows_flowstagebinding WHERE stage_id IN (SELECT stage FROM left_over)
                RETURNING policybindingmodel_ptr_id
            ) DELETE FROM authentik_policies_policybindingmodel
                WHERE pbm_uuid IN (SELECT policybindingmodel_ptr_id FROM unbound);
            DELETE FROM authentik_stages_email_emailstage WHERE stage_ptr_id IN (SELECT stage FROM left_over);
            DELETE FROM authentik_flows_stage WHERE stage_uuid IN (SELECT stage FROM left_over);
            COMMIT;
            VACUUM ANALYZE authentik_flows_stage, authentik_stages_email_emailstage,
                authentik_flows_flowstagebinding, authentik_policies_policybindingmodel;
        """)
