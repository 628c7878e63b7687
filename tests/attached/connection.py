"""Requests one after another on one connection to PostgreSQL, which keeps the statements that it prepared."""

from lab import Lab
from report import Report

FLOW = "default-authentication-flow"


def one(lab: Lab, report: Report) -> None:
    """What uses a group and what uses a user, whose keys differ in type, over one connection"""
    database = lab.fresh()
    user = database.value("SELECT id FROM authentik_core_user WHERE username = 'akadmin'")
    group = database.value("SELECT group_uuid FROM authentik_core_group ORDER BY name LIMIT 1")
    flow = database.rows(f"SELECT flow_uuid, policybindingmodel_ptr_id FROM authentik_flows_flow WHERE slug = '{FLOW}'")
    for column, key in (("group_id", f"'{group}'"), ("user_id", user)):
        database.execute(f"""
            INSERT INTO authentik_policies_policybinding (policy_binding_uuid, enabled, "order", {column}, target_id,
                negate, timeout, failure_result)
            VALUES (gen_random_uuid(), TRUE, 0, {key}, '{flow[0]["policybindingmodel_ptr_id"]}', FALSE, 30, FALSE)""")
    of_group, of_user = f"/core/groups/{group}/used_by/", f"/core/users/{user}/used_by/"
    of_flow = f"/flows/instances/{FLOW}/used_by/"
    for paths in ([of_group, of_user, of_flow], [of_user, of_group, of_flow]):
        with lab.serve(database, AUTHENTIK_STAGES__POOL_SIZE=1) as server:
            api = server.client()
            answers = {path: api.get(path) for path in paths}
        report.same("all are answered", [answer.status for answer in answers.values()], [200] * len(paths))
        for path in (of_group, of_user):
            rows = answers[path].body if answers[path].status == 200 else []
            bindings = [row["name"] for row in rows if row["model_name"] == "policybinding"]
            report.check(f"{path} names its policy binding", len(bindings) == 1, repr(rows))
