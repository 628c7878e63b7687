"""What the pages and forms of authentik's admin interface send, and what they show of the answers."""

import os
from datetime import UTC, datetime, timedelta

import pytest

from rest import Rest

ui = Rest(os.environ["TOKEN"], "Mozilla/5.0")

TABLE = {"page": 1, "page_size": 20, "search": ""}  # sent by every page with a table


@pytest.fixture
def create():
    """Submits a form, and deletes in the end what it created: as the interface does, after a look at its users."""
    created = []

    def create(path: str, body: dict, id: str = "pk") -> dict:
        made = ui("POST", path, body, status=201)
        created.append(f"{path}{made[id]}/")
        return made

    yield create
    for path in reversed(created):
        ui("GET", f"{path}used_by/")
        ui("DELETE", path, status=204)


@pytest.fixture
def flow(create, prefix):
    body = {"name": prefix, "slug": prefix, "title": prefix, "designation": "enrollment"}
    return create("flows/instances/", body, id="slug")


def iso(time: datetime) -> str:
    """As JavaScript's toISOString."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{time.microsecond // 1000:03}Z"


def test_server_shell():
    assert isinstance(ui("GET", "root/config/")["capabilities"], list)
    assert ui("GET", "core/users/me/")["user"]["username"] == "akadmin"
    assert ui("GET", "admin/version/")["version_current"]


def test_stage_list(create, prefix):
    create("stages/email/", {"name": f"{prefix}-a"})
    create("stages/invitation/stages/", {"name": f"{prefix}-b"})
    rows = ui("GET", "stages/all/", ordering="name", **TABLE)["results"]
    columns = {"pk", "name", "verbose_name", "component", "meta_model_name", "flow_set"}
    assert all(columns <= set(row) for row in rows)
    for ordering, names in [("name", ["a", "b"]), ("-name", ["b", "a"])]:
        rows = ui("GET", "stages/all/", ordering=ordering, **TABLE | {"search": prefix})["results"]
        assert [row["name"] for row in rows] == [f"{prefix}-{name}" for name in names]


def test_stage_bulk_delete(prefix):
    paths = ["stages/email/", "stages/user_write/", "stages/invitation/stages/"]
    selected = [ui("POST", path, {"name": f"{prefix}-{path}"}, status=201)["pk"] for path in paths]
    for pk in selected:
        assert ui("GET", f"stages/all/{pk}/used_by/") == []
    for pk in selected:
        ui("DELETE", f"stages/all/{pk}/", status=204)
    for path, pk in zip(paths, selected, strict=True):
        ui("GET", f"{path}{pk}/", status=404)


def test_stage_wizard():
    components = {row["component"] for row in ui("GET", "stages/all/types/")}
    assert {"ak-stage-email-form", "ak-stage-user-write-form", "ak-stage-invitation-form"} <= components


def test_email_form(create, prefix):
    templates = ui("GET", "stages/email/templates/")
    new = {
        "name": prefix,
        "activate_user_on_success": True,
        "use_global_settings": False,
        "token_expiry": "minutes=30",
        "subject": "authentik",
        "template": templates[0]["name"],
        "recovery_max_attempts": 5,
        "recovery_cache_timeout": "minutes=5",
        "host": "smtp.example.org",
        "port": 587,
        "username": "mailer",
        "password": "correct horse",
        "use_tls": True,
        "use_ssl": False,
        "timeout": 30,
        "from_address": "welcome@example.org",
    }
    path = f"stages/email/{create('stages/email/', new)['pk']}/"
    del new["password"]  # not touched again, so not sent again
    loaded = ui("GET", path)
    assert "password" not in loaded
    assert loaded.items() >= new.items()
    assert ui("PATCH", path, new | {"subject": "Welcome"}).items() >= (new | {"subject": "Welcome"}).items()


def test_user_write_form(create, prefix):
    group = create("core/groups/", {"name": prefix})
    choices = ui("GET", "core/groups/", ordering="name", include_users="false", search=prefix)["results"]
    assert [(choice["pk"], choice["users_obj"]) for choice in choices] == [(group["pk"], None)]
    new = {
        "name": prefix,
        "user_creation_mode": "create_when_required",
        "create_users_as_inactive": True,
        "user_type": "internal",
        "user_path_template": "",
        "create_users_group": None,
    }
    pk = create("stages/user_write/", new)["pk"]
    edited = new | {"create_users_group": group["pk"]}
    assert ui("PUT", f"stages/user_write/{pk}/", edited).items() >= edited.items()


def test_invitation_stage_form(create, prefix):
    new = {"name": prefix, "continue_flow_without_invitation": False}
    pk = create("stages/invitation/stages/", new)["pk"]
    edited = new | {"continue_flow_without_invitation": True}
    assert ui("PUT", f"stages/invitation/stages/{pk}/", edited).items() >= edited.items()


def test_invitation_list(create, flow, prefix):
    stage = create("stages/invitation/stages/", {"name": prefix})
    create("flows/bindings/", {"target": flow["pk"], "stage": stage["pk"], "order": 0})
    # Whether there is a stage to invite with at all, and whether in a flow of the right kind.
    bound = ui("GET", "stages/invitation/stages/", no_flows="false")
    assert bound["pagination"]["count"] > 0
    (row,) = [row for row in bound["results"] if row["pk"] == stage["pk"]]
    assert [shown["designation"] for shown in row["flow_set"]] == ["enrollment"]

    now = datetime.now(UTC)
    for name, days in [("a", 1), ("b", 2)]:
        expires = iso(now + timedelta(days))
        create("stages/invitation/invitations/", {"name": f"{prefix}-{name}", "expires": expires, "flow": flow["pk"]})
    for ordering, names in [
        ("expires", ["a", "b"]),
        ("-expires", ["b", "a"]),
        ("name", ["a", "b"]),
        ("-name", ["b", "a"]),
    ]:
        query = TABLE | {"ordering": ordering, "search": prefix}
        rows = ui("GET", "stages/invitation/invitations/", **query)["results"]
        assert [row["name"] for row in rows] == [f"{prefix}-{name}" for name in names], ordering
    for ordering in ["created_by", "-created_by"]:
        rows = ui("GET", "stages/invitation/invitations/", ordering=ordering, **TABLE | {"search": prefix})["results"]
        assert [row["created_by"]["username"] for row in rows] == ["akadmin", "akadmin"]
        assert {row["flow_obj"]["slug"] for row in rows} == {flow["slug"]}


def test_invitation_form(create, flow, prefix):
    query = {"ordering": "slug", "designation": "enrollment", "search": prefix}
    assert [choice["pk"] for choice in ui("GET", "flows/instances/", **query)["results"]] == [flow["pk"]]
    expires = iso(datetime.now(UTC))  # what the form proposes
    new = {"name": prefix, "expires": expires, "flow": None, "fixed_data": {"email": "a@b.example"}, "single_use": True}
    created = create("stages/invitation/invitations/", new)
    assert (created["flow"], created["flow_obj"]) == (None, None)
    assert datetime.fromisoformat(created["expires"]) == datetime.fromisoformat(expires)
    path = f"stages/invitation/invitations/{created['pk']}/"
    assert ui("GET", path) == created
    edited = ui("PUT", path, new | {"flow": flow["pk"], "fixed_data": {}})
    assert (edited["flow"], edited["flow_obj"]["slug"], edited["fixed_data"]) == (flow["pk"], flow["slug"], {})


def test_invitation_without_flow_offers_flows(create, flow, prefix):
    stage = create("stages/invitation/stages/", {"name": prefix})
    create("flows/bindings/", {"target": flow["pk"], "stage": stage["pk"], "order": 0})
    rows = ui("GET", "stages/invitation/stages/", ordering="name", no_flows="false")["results"]
    assert flow["slug"] in [shown["slug"] for row in rows for shown in row["flow_set"]]


def test_binding_list(create, flow, prefix):
    choices = [create("stages/email/", {"name": f"{prefix}-{name}"})["pk"] for name in "ab"]
    offered = ui("GET", "stages/all/", ordering="name", search=prefix)["results"]
    assert [stage["pk"] for stage in offered] == choices
    for stage in choices:
        orders = [row["order"] for row in ui("GET", "flows/bindings/", target=flow["pk"])["results"]]
        new = {
            "target": flow["pk"],
            "stage": stage,
            "order": max(orders, default=-1) + 1,
            "evaluate_on_plan": False,
            "re_evaluate_policies": True,
            "policy_engine_mode": "any",
            "invalid_response_action": "retry",
        }
        create("flows/bindings/", new)
    rows = ui("GET", "flows/bindings/", ordering="order", target=flow["pk"], **TABLE)["results"]
    assert [(row["order"], row["stage"]) for row in rows] == [(0, choices[0]), (1, choices[1])]
    shown = {"pk", "name", "verbose_name", "component", "meta_model_name"}
    assert all(shown <= set(row["stage_obj"]) for row in rows)
    assert rows[0]["stage_obj"]["component"] == "ak-stage-email-form"

    path = f"flows/bindings/{rows[0]['pk']}/"
    assert ui("GET", path) == rows[0]
    edit = {name: rows[0][name] for name in ["target", "stage", "evaluate_on_plan", "re_evaluate_policies"]}
    assert ui("PATCH", path, edit | {"order": 5})["order"] == 5


def test_flow_form(create, prefix):
    new = {
        "name": prefix,
        "title": "Welcome",
        "slug": prefix,
        "designation": "enrollment",
        "authentication": "none",
        "denied_action": "message_continue",
        "policy_engine_mode": "any",
        "layout": "stacked",
        "background": "",
        "compatibility_mode": False,
    }
    create("flows/instances/", new, id="slug")
    listed = ui("GET", "flows/instances/", ordering="slug", **TABLE | {"search": prefix})["results"]
    assert [row["slug"] for row in listed] == [prefix]
    edited = new | {"title": "Come in", "layout": "sidebar_right"}
    assert ui("PUT", f"flows/instances/{prefix}/", edited).items() >= edited.items()
