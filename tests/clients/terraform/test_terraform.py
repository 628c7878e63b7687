"""Terraform itself: the configuration of examples/terraform, applied by authentik's provider.

The provider is that of TERRAFORM_MIRROR, a folder as `terraform providers mirror` makes it.
"""

import os
import uuid

import pytest

from rest import Rest
from sample import objects
from workspace import Workspace, applied

api = Rest(os.environ["TOKEN"], "who looks at what Terraform did")

PERMISSIONS = ["add_invitation", "delete_invitation", "view_invitation"]


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """The sample for tests that only look at it."""
    name = f"t{uuid.uuid4().hex[:12]}"
    with applied(tmp_path_factory.mktemp("sample") / "own", name) as workspace:
        yield workspace


@pytest.fixture
def terraform(tmp_path, prefix):
    """A sample of one's own."""
    with applied(tmp_path / "own", prefix) as workspace:
        yield workspace


def check(path: str, fields: dict):
    shown = api("GET", path)
    assert {name: shown[name] for name in fields} == fields


@pytest.mark.parametrize("kind", objects({}, ""))
def test_applied(sample, kind):
    check(*objects(sample.state(), sample.name)[kind])


def test_server_permissions_of_the_role(sample):
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
    """All resources, by blocks, but a role's permissions: their ids don't tell the provider whose they are."""
    other = Workspace(tmp_path / "other", sample.name)
    resources = sample.state()
    imported = {address: row["id"] for address, row in resources.items() if "permission_role" not in address}
    blocks = [f'import {{\n  to = {address}\n  id = "{id}"\n}}\n' for address, id in imported.items()]
    (other.folder / "imports.tf").write_text("\n".join(blocks))
    # An update may be the provider's own: it reads what isn't configured, but false, as nothing.
    planned = other.plan()
    assert {address for address in planned if planned[address] != ["update"]} == resources.keys() - imported.keys()
    other("apply", "-auto-approve")
    other("plan", "-detailed-exitcode")
    assert {address: row["id"] for address, row in other.state().items() if address in imported} == imported


def test_server_rename(terraform, prefix):
    """A PUT of everything that has a name; the flow's goes to its old slug."""
    before = terraform.state()
    terraform.rename(f"{prefix}-2")
    assert set(map(tuple, terraform.plan().values())) == {("update",)}
    terraform("apply", "-auto-approve")
    terraform("plan", "-detailed-exitcode")
    for path, fields in objects(before, terraform.name).values():
        check(path, fields)


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
