"""Every operation, through whichever release of authentik-client is installed.

A test's name begins with its group of operations, or has it in brackets.
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import authentik_client as ak
import pydantic
import pytest
from authentik_client.exceptions import BadRequestException, ForbiddenException, NotFoundException
from resources import (
    ADMIN,
    BINDING,
    EMAIL,
    EXPIRES,
    FLOW,
    GROUP,
    INVITATION,
    RELEASE,
    RESOURCES,
    SINCE,
    STAGE_NAME_TAKEN,
    STAGES,
    TOKEN,
    USER,
    USER_WRITE,
    Given,
    Resource,
    client,
    invalid_delta,
    known,
)

VIEWER = client(os.environ["VIEWER_TOKEN"])
PLAIN = client(os.environ["PLAIN_TOKEN"])
STRANGER = client("no-such-token")

NO_PERMISSION = {"detail": "You do not have permission to perform this action."}

each_resource = pytest.mark.parametrize("resource", RESOURCES, ids=str)
each_stage = pytest.mark.parametrize("resource", STAGES, ids=str)


@pytest.fixture
def given():
    given = Given()
    yield given
    given.clean()


def answer(error: pytest.ExceptionInfo) -> dict:
    """The body of an error, which the client must have been able to decode."""
    assert error.value.data is not None or error.value.status == 404
    return json.loads(error.value.body)


def arrived(address: str) -> str:
    """The mail to an address, once it is there."""
    mail, deadline = Path(os.environ["INBOX"], address), time.monotonic() + 30
    while not mail.exists():
        assert time.monotonic() < deadline, f"no mail to {address}"
        time.sleep(0.05)
    return mail.read_text()


@each_resource
def test_life_cycle(resource, given):
    sent = known(resource.minimal(given, given.label("a")) | resource.optional(given))
    created = given.keep(resource, resource.call("create", resource.request(sent)))
    resource.assert_holds(created, sent)
    key = getattr(created, resource.key)
    resource.assert_holds(resource.call("retrieve", key), sent)

    # PUT keeps what it doesn't name.
    required = {name: sent[name] for name in resource.required}
    updated = resource.call("update", key, resource.request(required | resource.change))
    resource.assert_holds(updated, sent | resource.change)

    back = {name: sent[name] for name in resource.change}
    resource.assert_holds(resource.call("partial_update", key, resource.patch(back)), sent)
    resource.assert_holds(resource.call("retrieve", key), sent)

    assert resource.call("used_by_list", key) == []
    assert resource.call("destroy", key) is None
    with pytest.raises(NotFoundException):
        resource.call("retrieve", key)


@each_resource
def test_defaults(resource, given):
    resource.assert_holds(given.create(resource, "a"), known(resource.defaults))


@each_resource
def test_list(resource, given):
    first = given.create(resource, "a", **resource.optional(given))
    made = [first, given.create(resource, "b"), given.create(resource, "c")]
    a, b, c = (getattr(one, resource.label) for one in made)

    def pages(ordering: str):
        page = 1
        while page:
            listed = resource.call("list", search=given.prefix, ordering=ordering, page=page, page_size=2)
            assert listed.pagination.count == 3
            yield [getattr(row, resource.label) for row in listed.results]
            page = listed.pagination.next

    assert list(pages(resource.label)) == [[a, b], [c]]
    assert list(pages(f"-{resource.label}")) == [[c, b], [a]]
    with pytest.raises(NotFoundException) as error:
        resource.call("list", search=given.prefix, page=3, page_size=2)
    assert answer(error) == {"detail": "Invalid page."}

    def found(**parameters) -> list:
        if RELEASE < (2026, 5):  # a choice was a string in a query, though not in a body
            parameters = {name: getattr(value, "value", value) for name, value in parameters.items()}
        return [getattr(row, resource.key) for row in resource.call("list", **parameters).results]

    key = getattr(first, resource.key)
    for name, (matching, other) in resource.filters.items():
        assert key in found(search=given.prefix, **{name: matching}), name
        assert key not in found(search=given.prefix, **{name: other}), name
    assert found(search=given.label("nothing")) == []


@each_resource
def test_missing_fields(resource):
    with pytest.raises(BadRequestException) as error:
        resource.call("create", resource.unchecked({}))
    assert answer(error) == {name: ["This field is required."] for name in resource.required}


@pytest.mark.parametrize(
    ("resource", "invalid"),
    [
        pytest.param(resource, invalid, id=f"{resource}-{invalid.name}")
        for resource in RESOURCES
        for invalid in resource.invalid
        if known(invalid.body) == invalid.body
    ],
)
def test_invalid(resource, invalid, given):
    minimal = resource.minimal(given, given.label("a"))
    with pytest.raises(BadRequestException) as error:
        resource.call("create", resource.unchecked(minimal | invalid.body))
    assert answer(error) == invalid.answer


@pytest.mark.parametrize("resource", [resource for resource in RESOURCES if resource.unique], ids=str)
def test_name_taken(resource, given):
    given.create(resource, "a")
    with pytest.raises(BadRequestException) as error:
        given.create(resource, "a")
    assert answer(error) == resource.unique


@each_stage
def test_name_taken_by_another_type_of_stage(resource, given):
    given.create(resource, "a")
    for other in STAGES:
        with pytest.raises(BadRequestException) as error:
            given.create(other, "a")
        assert answer(error) == STAGE_NAME_TAKEN, other


def calls(resource: Resource, given: Given, key, by: ak.ApiClient) -> dict[str, Callable]:
    """Every operation on one object, not yet called."""
    body = resource.request(resource.minimal(given, given.label("new")))
    return {
        "list": lambda: resource.call("list", search=given.prefix, by=by),
        "create": lambda: resource.call("create", body, by=by),
        "retrieve": lambda: resource.call("retrieve", key, by=by),
        "update": lambda: resource.call("update", key, body, by=by),
        "partial_update": lambda: resource.call("partial_update", key, resource.patch({}), by=by),
        "used_by_list": lambda: resource.call("used_by_list", key, by=by),
        "destroy": lambda: resource.call("destroy", key, by=by),
    }


@each_resource
def test_unknown_object(resource, given):
    tried = calls(resource, given, resource.unknown, by=ADMIN)
    del tried["list"], tried["create"]
    for operation, call in tried.items():
        with pytest.raises(NotFoundException) as error:
            call()
        assert answer(error) == {"detail": f"No {resource.model} matches the given query."}, operation


@each_resource
def test_bad_token(resource, given):
    key = getattr(given.create(resource, "a"), resource.key)
    for operation, call in calls(resource, given, key, by=STRANGER).items():
        with pytest.raises(ForbiddenException) as error:
            call()
        assert answer(error) == {"detail": "Token invalid/expired"}, operation


@pytest.mark.parametrize("resource", [resource for resource in RESOURCES if resource.guarded], ids=str)
def test_no_permission(resource, given):
    key = getattr(given.create(resource, "a"), resource.key)
    for operation, call in calls(resource, given, key, by=PLAIN).items():
        with pytest.raises(ForbiddenException) as error:
            call()
        assert answer(error) == NO_PERMISSION, operation


@pytest.mark.parametrize("resource", [*STAGES, INVITATION], ids=str)
def test_view_permission(resource, given):
    key = getattr(given.create(resource, "a"), resource.key)
    tried = calls(resource, given, key, by=VIEWER)
    assert key in [getattr(row, resource.key) for row in tried.pop("list")().results]
    assert getattr(tried.pop("retrieve")(), resource.key) == key
    assert tried.pop("used_by_list")() == []
    for operation, call in tried.items():
        with pytest.raises(ForbiddenException) as error:
            call()
        assert answer(error) == NO_PERMISSION, operation


@each_stage
def test_bound_stage(resource, given):
    stage = given.create(resource, "a")
    binding = given.create(BINDING, "", stage=stage.pk)
    flow = given.flow

    (bound,) = resource.call("retrieve", stage.pk).flow_set
    assert (bound.pk, bound.slug, bound.title) == (flow.pk, flow.slug, flow.title)
    assert (bound.background_url if RELEASE >= SINCE["background"] else bound.background).endswith(".jpg")

    def rows(users) -> list:
        return [(row.model_name, row.pk, row.action) for row in users]

    assert rows(resource.call("used_by_list", stage.pk)) == [
        ("flow", str(flow.pk), "cascade_many"),
        ("flowstagebinding", str(binding.pk), "cascade"),
    ]
    assert rows(FLOW.call("used_by_list", flow.slug)) == [
        ("flowstagebinding", str(binding.pk), "cascade"),
        ("stage", str(stage.pk), "cascade_many"),
    ]
    resource.call("destroy", stage.pk)
    with pytest.raises(NotFoundException):
        BINDING.call("retrieve", binding.pk)


def test_email_templates():
    templates = [template.name for template in ak.StagesApi(PLAIN).stages_email_templates_list()]
    assert {"email/password_reset.html", "email/account_confirmation.html"} <= set(templates)


def test_invitation_of_a_flow(given):
    flow = given.flow
    invitation = given.create(INVITATION, "a")
    assert (invitation.flow_obj.pk, invitation.flow_obj.slug) == (flow.pk, flow.slug)
    assert invitation.created_by.username == "akadmin"
    (row,) = INVITATION.call("list", flow__slug=flow.slug).results
    assert row.pk == invitation.pk
    (user,) = FLOW.call("used_by_list", flow.slug)
    assert (user.model_name, user.pk, user.action) == ("invitation", str(invitation.pk), "set_default")


if RELEASE >= (2026, 5):

    def test_invitation_by_mail(given):
        invitation, address = given.create(INVITATION, "a"), f"{given.label('guest')}@example.org"
        send = ak.StagesApi(ADMIN).stages_invitation_invitations_send_email_create_with_http_info
        for more in ({}, {"cc_addresses": ["b@example.org"], "template": "email/invitation.html"}):
            body = ak.InvitationSendEmailRequest(email_addresses=[address], **more)
            assert send(invitation.pk, body).status_code == 204
        if "INBOX" in os.environ:
            assert f"itoken={invitation.pk}" in arrived(address)
        with pytest.raises(BadRequestException) as error:
            send(invitation.pk, ak.InvitationSendEmailRequest(email_addresses=["nobody"]))
        assert answer(error) == {"email_addresses": ["“nobody” is not a valid email address."]}


def test_flow_gets_another_slug(given):
    flow = given.create(FLOW, "a")
    slug = given.label("b")
    FLOW.call("partial_update", flow.slug, FLOW.patch({"slug": slug}))
    assert given.keep(FLOW, FLOW.call("retrieve", slug)).pk == flow.pk
    with pytest.raises(NotFoundException):
        FLOW.call("retrieve", flow.slug)


def test_binding_shows_its_stage(given):
    binding = BINDING.call("retrieve", given.create(BINDING, "").pk)
    assert binding.stage_obj.pk == given.stage.pk
    assert binding.stage_obj.component == "ak-stage-user-write-form"
    (row,) = BINDING.call("list", target=given.flow.pk).results
    assert row == binding


def test_binding_is_unique(given):
    sent = BINDING.minimal(given, "")
    given.keep(BINDING, BINDING.call("create", BINDING.request(sent)))
    with pytest.raises(BadRequestException) as error:
        BINDING.call("create", BINDING.request(sent))
    assert answer(error) == {"non_field_errors": ["The fields target, stage, order must make a unique set."]}


def test_group_members(given):
    api = ak.CoreApi(ADMIN)
    me = api.core_users_me_retrieve().user.pk
    group = given.group.pk
    assert api.core_groups_add_user_create(group, ak.UserAccountRequest(pk=me)) is None
    (member,) = GROUP.call("retrieve", group).users_obj
    assert (member.pk, member.username) == (me, "akadmin")
    assert GROUP.call("retrieve", group, include_users=False).users_obj is None
    assert api.core_groups_remove_user_create(group, ak.UserAccountRequest(pk=me)) is None
    assert GROUP.call("retrieve", group).users == []
    with pytest.raises(NotFoundException):
        api.core_groups_add_user_create(group, ak.UserAccountRequest(pk=999999))


def test_group_of_new_users(given):
    stage = given.create(USER_WRITE, "a", create_users_group=given.group.pk)
    (user,) = GROUP.call("used_by_list", given.group.pk)
    assert (user.model_name, user.pk, user.action) == ("userwritestage", str(stage.pk), "set_default")
    GROUP.call("destroy", given.group.pk)
    assert USER_WRITE.call("retrieve", stage.pk).create_users_group is None


def test_token_key_works(given):
    token = given.create(TOKEN, "a", expires=EXPIRES)
    assert token.expires < EXPIRES  # that of an API token is the server's to say
    key = ak.CoreApi(ADMIN).core_tokens_view_key_retrieve(token.identifier).key
    assert ak.CoreApi(client(key)).core_users_me_retrieve().user.username == "akadmin"
    TOKEN.call("destroy", token.identifier)
    with pytest.raises(ForbiddenException):
        ak.CoreApi(client(key)).core_users_me_retrieve()


def test_token_lives_no_longer_than_it_may(given):
    with pytest.raises(BadRequestException) as error:
        given.create(TOKEN, "a", intent="app_password", expires=EXPIRES)
    ((sentence,),) = answer(error).values()
    assert sentence.startswith("Token expires exceeds maximum lifetime (")


def test_token_keeps_its_owner(given):
    token = given.create(TOKEN, "a")
    other = ak.CoreApi(PLAIN).core_users_me_retrieve().user.pk
    with pytest.raises(BadRequestException) as error:
        TOKEN.call("partial_update", token.identifier, TOKEN.patch({"user": other}))
    assert answer(error) == {"user": ["User cannot be changed"]}


def test_token_is_its_owners(given):
    token = given.create(TOKEN, "a")
    own = given.keep(TOKEN, TOKEN.call("create", TOKEN.request({"identifier": given.label("b")}), by=PLAIN))
    listed = [row.identifier for row in TOKEN.call("list", search=given.prefix, by=PLAIN).results]
    assert listed == [own.identifier]
    with pytest.raises(NotFoundException):
        TOKEN.call("retrieve", token.identifier, by=PLAIN)


@pytest.mark.parametrize("resource", STAGES, ids=lambda resource: f"stage-{resource}")
def test_any_stage(resource, given):
    api = ak.StagesApi(ADMIN)
    stage = given.create(resource, "a")
    (listed,) = api.stages_all_list(name=stage.name, ordering="name").results
    assert listed == api.stages_all_retrieve(stage.pk)
    assert (listed.pk, listed.component, listed.meta_model_name) == (
        stage.pk,
        stage.component,
        stage.meta_model_name,
    )
    assert api.stages_all_used_by_list(stage.pk) == []
    assert api.stages_all_destroy(stage.pk) is None
    with pytest.raises(NotFoundException):
        resource.call("retrieve", stage.pk)


def test_stage_types():
    types = {row.component: row.name for row in ak.StagesApi(PLAIN).stages_all_types_list()}
    assert types["ak-stage-email-form"] == "Email Stage"
    assert types["ak-stage-user-write-form"] == "User Write Stage"
    assert types["ak-stage-invitation-form"] == "Invitation Stage"


def test_stage_user_settings():
    assert ak.StagesApi(PLAIN).stages_all_user_settings_list() == []


def test_stage_list_needs_permission():
    with pytest.raises(ForbiddenException) as error:
        ak.StagesApi(VIEWER).stages_all_list()
    assert answer(error) == NO_PERMISSION


def test_user_list():
    api = ak.CoreApi(ADMIN)
    names = [row.username for row in api.core_users_list(ordering="username").results]
    assert {"akadmin", "plain", "viewer"} <= set(names)
    assert names == sorted(names)
    (admin,) = api.core_users_list(username="akadmin").results
    assert admin.is_superuser
    assert api.core_users_retrieve(admin.pk) == admin
    with pytest.raises(NotFoundException):
        api.core_users_retrieve(999999)
    with pytest.raises(ForbiddenException):
        ak.CoreApi(PLAIN).core_users_list()


def test_user_in_a_group(given):
    user = given.create(USER, "a", groups=[given.group.pk])
    assert [group.name for group in user.groups_obj] == [given.group.name]
    (member,) = GROUP.call("retrieve", given.group.pk).users_obj
    assert (member.pk, member.username) == (user.pk, user.username)
    for resource, key, row in [
        (USER, user.pk, ("group", str(given.group.pk), "cascade_many")),
        (GROUP, given.group.pk, ("user", str(user.pk), "cascade_many")),
    ]:
        (using,) = resource.call("used_by_list", key)
        assert (using.model_name, using.pk, using.action) == row
    USER.call("destroy", user.pk)
    assert GROUP.call("retrieve", given.group.pk).users == []


def test_user_me():
    for caller, username, superuser in [(ADMIN, "akadmin", True), (PLAIN, "plain", False)]:
        user = ak.CoreApi(caller).core_users_me_retrieve().user
        assert (user.username, user.is_superuser) == (username, superuser)


def test_server_config():
    config = ak.RootApi(ak.ApiClient(ak.Configuration(host=ADMIN.configuration.host))).root_config_retrieve()
    assert config.error_reporting.enabled is False


def test_server_version():
    version = ak.AdminApi(PLAIN).admin_version_retrieve()
    assert int(version.version_current.split(".")[0]) >= 2025
    assert version.outdated is False


def test_server_schema():
    schema = ak.SchemaApi(PLAIN).schema_retrieve(format="json")
    assert {f"/{path}/" for path in ("stages/email", "flows/instances")} <= set(schema["paths"])


# What no server can do for every release at once.


def created_unread(resource: Resource, given: Given, body: dict) -> str:
    """Create something that this release may be unable to send or to read; its key."""
    response = resource.call("create_without_preload_content", resource.unchecked(body))
    assert response.status == 201, response.data
    key = json.loads(response.data)[resource.key]
    given.made.append((resource, key))
    return key


def unreadable(resource: Resource, key: str) -> list:
    """Why this release cannot read an object."""
    with pytest.raises(pydantic.ValidationError) as error:
        resource.call("retrieve", key)
    return [(problem["loc"], problem["type"]) for problem in error.value.errors()]


def test_invitation_without_flow(given):
    """flow_obj is null then, which every release declares impossible. The invitation is there all the same."""
    key = created_unread(INVITATION, given, {"name": given.label("a")})
    assert unreadable(INVITATION, key) == [(("flow_obj",), "model_type")]
    with pytest.raises(pydantic.ValidationError):
        INVITATION.call("list", search=given.prefix)
    INVITATION.call("destroy", key)


def test_invitation_with_a_long_name(given):
    name = given.label("x" * 50)
    key = created_unread(INVITATION, given, INVITATION.minimal(given, name))
    if RELEASE < (2025, 12):
        assert unreadable(INVITATION, key) == [(("name",), "string_too_long")]
    else:
        assert INVITATION.call("retrieve", key).name == name


def test_flow_with_a_new_layout(given):
    layout = "sidebar_left_frame_background"
    slug = created_unread(FLOW, given, FLOW.minimal(given, given.label("a")) | {"layout": layout})
    if RELEASE < (2026, 2):
        assert unreadable(FLOW, slug) == [(("layout",), "enum")]
    else:
        assert FLOW.call("retrieve", slug).layout == layout


if RELEASE >= (2025, 12):

    def test_group_parents(given):
        child = given.create(GROUP, "child", parents=[given.group.pk])
        assert GROUP.call("retrieve", child.pk).parents == [given.group.pk]
        (parent,) = GROUP.call("retrieve", child.pk, include_parents=True).parents_obj
        assert parent.name == given.group.name

else:

    def test_group_parent(given):
        """A group had one parent: the first of its parents now."""
        child = given.create(GROUP, "child", parent=given.group.pk)
        GROUP.assert_holds(GROUP.call("retrieve", child.pk), {"parent": given.group.pk})

    @each_stage
    def test_flow_set(resource, given):
        """flow_set could be sent then, and is taken."""
        body = FLOW.minimal(given, given.label("b"))
        flows = [ak.FlowSetRequest(**FLOW.minimal(given, given.flow.slug)), ak.FlowSetRequest(**body)]
        stage = given.create(resource, "a", flow_set=flows)
        given.keep(FLOW, FLOW.call("retrieve", body["slug"]))
        assert {flow.slug for flow in stage.flow_set} == {given.flow.slug, body["slug"]}
        resource.call("partial_update", stage.pk, resource.patch({"flow_set": flows[:1]}))
        assert [flow.slug for flow in resource.call("retrieve", stage.pk).flow_set] == [given.flow.slug]


if RELEASE < EMAIL.since:

    def test_email_token_expiry_was_a_number(given):
        """In minutes, in requests as in answers: the one thing that ends 2025.2's use."""
        with pytest.raises(BadRequestException) as error:
            EMAIL.call("create", EMAIL.request({"name": given.label("a"), "token_expiry": 30}))
        assert answer(error) == invalid_delta("token_expiry").answer
        key = created_unread(EMAIL, given, {"name": given.label("a")})
        assert unreadable(EMAIL, key) == [(("token_expiry",), "int_type")]
