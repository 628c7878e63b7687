"""Terraform itself: the configuration of examples/terraform, applied by authentik's provider.

The provider is that of TERRAFORM_MIRROR, a folder as `terraform providers mirror` makes it.
"""

import os
import uuid

import pytest

from rest import Rest
from workspace import Workspace, applied

api = Rest(os.environ["TOKEN"], "who looks at what Terraform did")

PERMISSIONS = ["add_invitation", "delete_invitation", "view_invitation"]


def objects(state: dict[str, dict], name: str) -> dict[str, tuple[str, dict]]:
    """What the sample says, by group of operations: a path of the API, and what it has to show. Keys are the state's."""

    def key(address: str, field: str = "id") -> str:
        return state.get(address, {}).get(field, "")

    flow = key("authentik_flow.enrollment", "uuid")
    guests = key("authentik_group.guests")
    email = key("authentik_stage_email.confirm")
    last = key('authentik_flow_stage_binding.enrollment["20"]')
    role = key("authentik_rbac_role.hosts")
    return {
        "flow": (
            f"flows/instances/{name}/",
            {
                "pk": flow,
                "name": name,
                "title": "Welcome",
                "designation": "enrollment",
                "authentication": "require_unauthenticated",
                "background": "/static/dist/assets/images/flow_background.jpg",
            },
        ),
        "group_guests": (
            f"core/groups/{guests}/",
            {"name": name, "attributes": {"invited": True}, "is_superuser": False, "users": [], "roles": []},
        ),
        "group_hosts": (
            f"core/groups/{key('authentik_group.hosts')}/",
            {"name": f"{name}-hosts", "roles": [role], "attributes": {}},
        ),
        "invitation_stage": (
            f"stages/invitation/stages/{key('authentik_stage_invitation.invited')}/",
            {"name": f"{name}-invited", "continue_flow_without_invitation": False},
        ),
        "user_write": (
            f"stages/user_write/{key('authentik_stage_user_write.write')}/",
            {
                "name": f"{name}-write",
                "user_creation_mode": "always_create",
                "user_path_template": f"users/{name}",
                "user_type": "external",
                "create_users_as_inactive": True,
                "create_users_group": guests,
            },
        ),
        "email": (
            f"stages/email/{email}/",
            {
                "name": f"{name}-confirm",
                "use_global_settings": True,
                "template": "email/account_confirmation.html",
                "subject": "Confirm your address",
                "token_expiry": "hours=2",
                "activate_user_on_success": True,
            },
        ),
        "binding": (
            f"flows/bindings/{last}/",
            {"target": flow, "stage": email, "order": 20, "evaluate_on_plan": True, "re_evaluate_policies": False},
        ),
        "server_role": (f"rbac/roles/{role}/", {"name": f"{name}-hosts"}),
    }


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """The sample for tests that only look at it."""
    with applied(tmp_path_factory.mktemp("sample") / "sample", f"t{uuid.uuid4().hex[:12]}") as workspace:
        yield workspace


@pytest.fixture
def terraform(tmp_path, prefix):
    """A sample of one's own."""
    with applied(tmp_path / "own", prefix) as workspace:
        yield workspace


@pytest.mark.parametrize("kind", objects({}, ""))
def test_applied(sample, kind):
    path, fields = objects(sample.state(), sample.name)[kind]
    shown = api("GET", path)
    assert {name: shown[name] for name in fields} == fields


def test_server_permissions_of_the_role(sample):
    """The provider finds a role's permissions page by page."""
    role = sample.state()["authentik_rbac_role.hosts"]["id"]
    assert sorted(row["codename"] for row in api("GET", "rbac/permissions/", role=role)["results"]) == PERMISSIONS


def test_server_nothing_is_left_to_change(sample):
    sample("plan", "-detailed-exitcode")


def test_flow_import(sample, tmp_path):
    """One resource, by the command: it is in the state as it is configured."""
    other = Workspace(tmp_path / "other", sample.name)
    other("import", "authentik_flow.enrollment", sample.name)
    other("plan", "-target=authentik_flow.enrollment", "-detailed-exitcode")


def test_server_import(sample, tmp_path):
    """All resources, by blocks. The provider can't import a role's permissions: it would have to know whose they are."""
    other = Workspace(tmp_path / "other", sample.name)
    state = sample.state()
    permissions = [address for address in state if address.startswith("authentik_rbac_permission_role.")]
    (other.folder / "imports.tf").write_text(
        "\n".join(
            f'import {{\n  to = {address}\n  id = "{values["id"]}"\n}}'
            for address, values in state.items()
            if address not in permissions
        )
    )
    assert other.plan() == {address: ["create"] for address in permissions}


def test_server_rename(terraform, prefix):
    """A PUT of everything that has a name; the flow's goes to its old slug."""
    before = terraform.state()
    terraform.rename(f"{prefix}-2")
    assert set(map(tuple, terraform.plan().values())) == {("update",)}
    terraform("apply", "-auto-approve")
    terraform("plan", "-detailed-exitcode")
    for path, fields in objects(before, terraform.name).values():
        shown = api("GET", path)
        assert {name: shown[name] for name in fields} == fields


def test_flow_changed_elsewhere(terraform):
    path = f"flows/instances/{terraform.name}/"
    api("PATCH", path, {"title": "Go away"})
    assert terraform.plan() == {"authentik_flow.enrollment": ["update"]}
    terraform("apply", "-auto-approve")
    assert api("GET", path)["title"] == "Welcome"


def test_group_deleted_elsewhere(terraform):
    """Terraform makes another one, and puts the stage that lost its group right."""
    path, _ = objects(terraform.state(), terraform.name)["group_guests"]
    api("DELETE", path, status=204)
    assert terraform.plan() == {
        "authentik_group.guests": ["create"],
        "authentik_stage_user_write.write": ["update"],
    }
    terraform("apply", "-auto-approve")
    terraform("plan", "-detailed-exitcode")


def test_server_destroy(terraform):
    paths = [path for path, _ in objects(terraform.state(), terraform.name).values()]
    terraform("destroy", "-auto-approve")
    for path in paths:
        api("GET", path, status=404)


def test_server_terraform_test(tmp_path, prefix):
    """The sample's own tests, which leave nothing behind."""
    assert "3 passed, 0 failed" in Workspace(tmp_path / "tested", prefix)("test")
    api("GET", "flows/instances/tested/", status=404)
