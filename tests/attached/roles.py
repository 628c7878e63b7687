"""Roles in authentik's database: what they are given, and what that leaves."""

from lab import Lab
from report import Report

ASSIGNED = "/rbac/permissions/assigned_by_roles/"
EVENTS = """
    SELECT action, context->'model'->>'app' AS app, context->'model'->>'model_name' AS model,
      context->'model'->>'name' AS name
    FROM authentik_events_event ORDER BY created, action, name"""


def life(lab: Lab, report: Report) -> None:
    """The life of a role: permissions on everything and on an object, a user, the end of it all"""
    database = lab.fresh()
    plain = database.value("SELECT id FROM authentik_core_user WHERE username = 'plain'")
    flow = database.value("SELECT flow_uuid FROM authentik_flows_flow WHERE slug = 'initial-setup'")
    with lab.serve(database) as server:
        api = server.client()
        before = database.counts()
        role = api.make("/rbac/roles/", {"name": "new"})["pk"]
        everything = {"permissions": ["authentik_flows.view_flow", "authentik_rbac.view_role"]}
        one = {"permissions": ["change_flow"], "model": "authentik_flows.flow", "object_pk": flow}
        statuses = [api.send("POST", f"{ASSIGNED}{role}/assign/", given).status for given in (everything, one, one)]
        report.same("it is given permissions", statuses, [200, 200, 200])
        added = api.send("POST", f"/rbac/roles/{role}/add_user/", {"pk": plain})
        growth = database.growth(before)
        expected = {
            "authentik_rbac_role": 1,
            "guardian_rolemodelpermission": 2,
            "guardian_roleobjectpermission": 1,
            "authentik_core_user_roles": 1,
            "authentik_events_event": 4,
        }
        report.same("rows and events of that", [added.status, growth], [204, expected])
        shown = api.get(f"/rbac/permissions/roles/?uuid={role}").body["results"]
        found = [(row["codename"], row["object_pk"], row["model_verbose"]) for row in shown]
        report.same("what it may do with the flow", found, [("change_flow", flow, "Flow")])
        taken = api.send("PATCH", f"{ASSIGNED}{role}/unassign/", one)
        gone = api.send("DELETE", f"/rbac/roles/{role}/")
        expected = {"authentik_events_event": 6}
        report.same("nothing is left of it but events", [taken.status, gone.status, database.growth(before)], [204, 204, expected])
        events = database.rows(EVENTS)[-6:]
        found = [(event["action"], event["app"], event["model"]) for event in events]
        expected = [
            ("model_created", "authentik_rbac", "role"),
            ("model_created", "guardian", "rolemodelpermission"),
            ("model_created", "guardian", "rolemodelpermission"),
            ("model_created", "guardian", "roleobjectpermission"),
            ("model_deleted", "guardian", "roleobjectpermission"),
            ("model_deleted", "authentik_rbac", "role"),
        ]
        report.same("an event for each", found, expected)
        named = events[3]["name"]
        report.check(f"they name the object: {named}", named.endswith(" | Role new | change_flow") and "initial-setup" in named)


def all_models(lab: Lab, report: Report) -> None:
    """Objects of models that only authentik has"""
    database = lab.fresh()
    role = database.value("SELECT uuid FROM authentik_rbac_role WHERE name = 'authentik Read-only'")
    brand = database.value("SELECT brand_uuid FROM authentik_brands_brand LIMIT 1")
    with lab.serve(database) as server:
        api = server.client()
        given = {"permissions": ["change_brand"], "model": "authentik_brands.brand", "object_pk": brand}
        answer = api.send("POST", f"{ASSIGNED}{role}/assign/", given)
        report.same("a brand is found by its key", answer.status, 200)
        given["object_pk"] = flow_of_nothing = "00000000-0000-4000-8000-000000000000"
        answer = api.send("POST", f"{ASSIGNED}{role}/assign/", given)
        expected = {"object_pk": [f'Invalid pk "{flow_of_nothing}" - object does not exist.']}
        report.same("one that isn't there is not", [answer.status, answer.body], [400, expected])
        permissions = api.get("/rbac/permissions/?content_type__model=brand&ordering=codename").body["results"]
        found = [(row["codename"], row["name"], row["model_verbose"]) for row in permissions]
        expected = [(f"{verb}_brand", f"Can {verb} Brand", "Brand") for verb in ("add", "change", "delete", "view")]
        report.same("its permissions have authentik's names", found, expected)
        of_models = database.value("SELECT count(*) FROM auth_permission p JOIN django_content_type c "
                                   "ON c.id = p.content_type_id WHERE c.app_label LIKE 'authentik%'")
        report.same("all are listed", api.get("/rbac/permissions/").body["pagination"]["count"], of_models)
