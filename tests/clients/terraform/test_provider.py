"""What authentik's Terraform provider sends, and what it reads back.

A resource is POSTed and read; the plan is empty if what was read is what was configured. An update is a PUT of the
configuration, in which zero values are left out, and another read. A 404 means that the resource is gone.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from rest import Rest

provider = Rest(os.environ["TOKEN"], "authentik-terraform@2026.5.0")
old_provider = Rest(os.environ["TOKEN"], "authentik-terraform@2025.8.0")

BACKGROUND = "/static/dist/assets/images/flow_background.jpg"


@dataclass(frozen=True)
class Resource:
    name: str
    path: str
    body: Callable[[str, Callable], dict]  # its defaults, given a name and a maker of other resources
    unsent: dict = field(default_factory=dict)  # zero values: left out of requests, compared after reads
    change: dict = field(default_factory=dict)
    id: str = "pk"
    query: dict = field(default_factory=dict)

    def __str__(self):
        return self.name

    def read(self, id: str) -> dict:
        return provider("GET", f"{self.path}{id}/", **self.query)

    def plan(self, id: str, configured: dict) -> dict:
        """What would have to change: nothing, once a configuration is applied. A password is never read."""
        read = self.read(id)
        return {name: read[name] for name in configured if name != "password" and read[name] != configured[name]}


EMAIL = Resource(
    "email",
    "stages/email/",
    lambda name, make: {
        "name": name,
        "use_global_settings": True,
        "use_ssl": False,
        "use_tls": False,
        "host": "localhost",
        "from_address": "system@authentik.local",
        "token_expiry": "minutes=30",
        "subject": "authentik",
        "template": "email/password_reset.html",
        "recovery_cache_timeout": "minutes=5",
        "port": 25,
        "timeout": 30,
        "recovery_max_attempts": 5,
    },
    unsent={"username": "", "activate_user_on_success": False},
    change={"subject": "Welcome", "username": "mailer", "password": "correct horse"},
)

USER_WRITE = Resource(
    "user_write",
    "stages/user_write/",
    lambda name, make: {
        "name": name,
        "create_users_as_inactive": True,
        "user_path_template": "",
        "user_creation_mode": "create_when_required",
        "user_type": "external",
        "create_users_group": None,
    },
    change={"user_type": "internal", "user_path_template": "users/invited"},
)

INVITATION_STAGE = Resource(
    "invitation_stage",
    "stages/invitation/stages/",
    lambda name, make: {"name": name, "continue_flow_without_invitation": False},
    change={"continue_flow_without_invitation": True},
)

FLOW = Resource(
    "flow",
    "flows/instances/",
    lambda name, make: {
        "name": name,
        "slug": name,
        "title": "Welcome",
        "designation": "enrollment",
        "authentication": "none",
        "layout": "stacked",
        "policy_engine_mode": "any",
        "denied_action": "message_continue",
        "compatibility_mode": True,
        "background": BACKGROUND,
    },
    change={"title": "Come in", "background": "https://example.org/meadow.jpg"},
    id="slug",
)

BINDING = Resource(
    "binding",
    "flows/bindings/",
    lambda name, make: {
        "target": make(FLOW, name)["pk"],
        "stage": make(USER_WRITE, name)["pk"],
        "order": 10,
        "evaluate_on_plan": True,
        "re_evaluate_policies": False,
        "policy_engine_mode": "any",
        "invalid_response_action": "retry",
    },
    change={"order": 20, "re_evaluate_policies": True},
)

GROUP = Resource(
    "group",
    "core/groups/",
    lambda name, make: {"name": name, "is_superuser": False, "attributes": {}},
    unsent={"parents": [], "users": [], "roles": []},
    change={"attributes": {"color": "green"}},
    query={"include_users": "false"},
)

RESOURCES = [EMAIL, USER_WRITE, INVITATION_STAGE, FLOW, BINDING, GROUP]


@pytest.fixture
def make():
    """Applies resources, and destroys them in the end."""
    made = []

    def make(resource: Resource, name: str, **changes) -> dict:
        body = resource.body(name, make) | changes
        created = provider("POST", resource.path, body, status=201)
        made.append((resource, created[resource.id]))
        return created

    yield make
    for resource, id in reversed(made):
        provider("DELETE", f"{resource.path}{id}/", status=204)


def test_server_configure():
    """The one request of a provider that starts. Enabled error reporting would have it report to Sentry."""
    reporting = provider("GET", "root/config/")["error_reporting"]
    assert reporting["enabled"] is False
    assert {"sentry_dsn", "environment", "traces_sample_rate"} <= set(reporting)


@pytest.mark.parametrize("resource", RESOURCES, ids=str)
def test_apply(resource, make, prefix):
    body = resource.body(prefix, make)
    configured = body | resource.unsent
    id = provider("POST", resource.path, body, status=201)[resource.id]
    assert resource.plan(id, configured) == {}

    assert resource.plan(id, configured | resource.change) != {}
    provider("PUT", f"{resource.path}{id}/", body | resource.change)
    assert resource.plan(id, configured | resource.change) == {}

    provider("DELETE", f"{resource.path}{id}/", status=204)
    provider("GET", f"{resource.path}{id}/", status=404, **resource.query)
    provider("PUT", f"{resource.path}{id}/", body, status=404)
    provider("DELETE", f"{resource.path}{id}/", status=404)


def test_email_zero_value_is_not_sent(make, prefix):
    """A PUT that leaves a field out keeps it, as upstream: the plan stays the same until it is configured."""
    stage = make(EMAIL, prefix, activate_user_on_success=True)
    provider("PUT", f"stages/email/{stage['pk']}/", EMAIL.body(prefix, make))
    assert EMAIL.read(stage["pk"])["activate_user_on_success"] is True


def test_user_write_group_is_unset_by_null(make, prefix):
    group = make(GROUP, prefix)
    stage = make(USER_WRITE, prefix, create_users_group=group["pk"])
    assert USER_WRITE.read(stage["pk"])["create_users_group"] == group["pk"]
    provider("PUT", f"stages/user_write/{stage['pk']}/", USER_WRITE.body(prefix, make))
    assert USER_WRITE.read(stage["pk"])["create_users_group"] is None


def test_flow_slug_changes(make, prefix):
    """The PUT goes to the old slug."""
    body = FLOW.body(prefix, make)
    pk = provider("POST", "flows/instances/", body, status=201)["pk"]
    slug = f"{prefix}-2"
    assert provider("PUT", f"flows/instances/{prefix}/", body | {"slug": slug})["slug"] == slug
    assert FLOW.read(slug)["pk"] == pk
    provider("GET", f"flows/instances/{prefix}/", status=404)
    provider("DELETE", f"flows/instances/{slug}/", status=204)


def test_group_family(make, prefix):
    parent = make(GROUP, prefix)
    user = provider("GET", "core/users/me/")["user"]["pk"]
    child = make(GROUP, f"{prefix}-child", parents=[parent["pk"]], users=[user])
    read = GROUP.read(child["pk"])
    assert (read["parents"], read["users"], read["roles"]) == ([parent["pk"]], [user], [])


@pytest.mark.parametrize("resource", RESOURCES, ids=str)
def test_import(resource, make, prefix):
    """An id is given and passed on; what is unknown is a 404 and nothing else."""
    created = make(resource, prefix)
    assert resource.read(created[resource.id])[resource.id] == created[resource.id]
    for unknown in ["00000000-0000-4000-8000-000000000000", "nope"]:
        assert "detail" in provider("GET", f"{resource.path}{unknown}/", status=404)


def test_stage_data_source(make, prefix):
    stage = make(EMAIL, prefix)
    first = provider("GET", "stages/all/", name=prefix)["results"][0]
    assert (first["pk"], first["name"]) == (stage["pk"], prefix)
    assert provider("GET", "stages/all/", name=prefix.upper())["results"] == []


def test_flow_data_source(make, prefix):
    flow = make(FLOW, prefix)
    for query in [{"slug": prefix}, {"slug": prefix, "designation": "enrollment"}]:
        first = provider("GET", "flows/instances/", **query)["results"][0]
        fields = ["pk", "name", "title", "slug", "designation", "authentication"]
        assert {name: first[name] for name in fields} == {name: flow[name] for name in fields}
    assert provider("GET", "flows/instances/", slug=prefix, designation="recovery")["results"] == []


def test_group_data_source(make, prefix):
    group = make(GROUP, prefix)
    (only,) = provider("GET", "core/groups/", name=prefix, include_users="true")["results"]
    assert only["pk"] == group["pk"]
    assert provider("GET", f"core/groups/{group['pk']}/", include_users="true")["users_obj"] == []


def test_group_pages(make, prefix):
    """The data source of all groups follows `next` until it is 0."""
    names = {make(GROUP, f"{prefix}-{number}")["name"] for number in range(11)}
    seen, page = [], 1
    while page > 0:
        answer = provider("GET", "core/groups/", search=prefix, page=page, page_size=10)
        seen += [group["name"] for group in answer["results"]]
        page = answer["pagination"]["next"]
    assert len(seen) == 11
    assert set(seen) == names


def test_flow_of_an_old_provider(prefix):
    """Until 2025.10 the background was no field: another request set it."""
    body = FLOW.body(prefix, None)
    del body["background"]
    old_provider("POST", "flows/instances/", body, status=201)
    path = f"flows/instances/{prefix}/"
    old_provider("POST", f"{path}set_background_url/", {"url": "https://example.org/meadow.jpg"})
    assert old_provider("GET", path)["background"] == "https://example.org/meadow.jpg"
    old_provider("DELETE", path, status=204)


def test_group_of_an_old_provider(make, prefix):
    """Until 2025.10 a group had one parent."""
    parent = make(GROUP, prefix)["pk"]
    body = {"name": f"{prefix}-child", "is_superuser": False, "attributes": {}, "parent": parent}
    child = old_provider("POST", "core/groups/", body, status=201)["pk"]
    read = old_provider("GET", f"core/groups/{child}/")
    assert (read["parent"], read["parent_name"], read["parents"]) == (parent, prefix, [parent])
    old_provider("DELETE", f"core/groups/{child}/", status=204)


def test_email_of_an_old_provider(prefix):
    """Until 2025.2 token_expiry was a number of minutes. No server can mean both."""
    body = {"name": prefix, "token_expiry": 30}
    answer = old_provider("POST", "stages/email/", body, status=400)
    assert answer == {"token_expiry": ["30 is not in the correct format of 'hours=3;minutes=1'."]}
