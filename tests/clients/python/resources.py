"""The resources as data: what to send, what comes back, and which mistakes are answered how.

What differs between releases of authentik-client is data, too: SINCE, and the `since` of a resource.
"""

import contextlib
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from importlib.metadata import version
from itertools import count

import authentik_client as ak
from authentik_client.exceptions import NotFoundException

RELEASE = tuple(int(part) for part in version("authentik-client").split(".")[:2])

# Fields that older releases don't know.
SINCE = {
    "recovery_max_attempts": (2025, 8),
    "recovery_cache_timeout": (2025, 8),
    "background": (2025, 12),
}

NOWHERE = "00000000-0000-4000-8000-000000000000"


def client(token: str) -> ak.ApiClient:
    return ak.ApiClient(ak.Configuration(host=f"{os.environ['BASE']}/api/v3", access_token=token))


ADMIN = client(os.environ["TOKEN"])


def known(body: dict) -> dict:
    """What of a body this release can send."""
    return {name: value for name, value in body.items() if RELEASE >= SINCE.get(name, RELEASE)}


@dataclass(frozen=True)
class Invalid:
    """A mistake in a body, and the whole answer to it."""

    name: str
    body: dict
    answer: dict


@dataclass(frozen=True)
class Resource:
    group: str
    api: type
    operations: str  # what the names of its methods begin with
    model: str
    required: tuple
    minimal: Callable[["Given", str], dict]
    optional: Callable[["Given"], dict]  # every optional field, none at its default
    change: dict
    defaults: dict
    filters: dict  # filter → (a value that finds an object with the optional fields, one that doesn't)
    invalid: list[Invalid]
    unique: dict = field(default_factory=dict)  # the answer to a second one of the same name
    key: str = "pk"
    label: str = "name"  # what it is ordered by
    unknown: str = NOWHERE
    write_only: frozenset = frozenset()
    guarded: bool = True  # whether a user without permissions sees nothing of it
    since: tuple = (2024, 2)

    def call(self, operation: str, *arguments, by: ak.ApiClient = ADMIN, **parameters):
        return getattr(self.api(by), f"{self.operations}_{operation}")(*arguments, **parameters)

    def request(self, body: dict):
        return getattr(ak, f"{self.model}Request")(**body)

    def patch(self, body: dict):
        return getattr(ak, f"Patched{self.model}Request")(**body)

    def unchecked(self, body: dict):
        """A request that the client's own validation has not seen: its mistakes are for the server to find."""
        return getattr(ak, f"{self.model}Request").model_construct(**body)

    def assert_holds(self, got, expected: dict):
        readable = {name: value for name, value in expected.items() if name not in self.write_only}
        assert {name: getattr(got, name) for name in readable} == readable

    def __str__(self):
        return self.group


class Given:
    """Makes objects for one test, with a prefix of its own, and removes them afterwards."""

    def __init__(self):
        self.prefix = f"t{uuid.uuid4().hex[:12]}"
        self.numbers = count(1)
        self.made = []

    def label(self, name: str) -> str:
        return f"{self.prefix}-{name}"

    def keep(self, resource: Resource, made):
        """Have something removed in the end."""
        self.made.append((resource, getattr(made, resource.key)))
        return made

    def create(self, resource: Resource, name: str, **fields):
        body = known(resource.minimal(self, self.label(name)) | fields)
        return self.keep(resource, resource.call("create", resource.request(body)))

    @cached_property
    def flow(self):
        return self.create(FLOW, "flow")

    @cached_property
    def stage(self):
        return self.create(USER_WRITE, "stage")

    @cached_property
    def group(self):
        return self.create(GROUP, "group")

    def clean(self):
        for resource, key in reversed(self.made):
            with contextlib.suppress(NotFoundException):
                resource.call("destroy", key)


STAGE_NAME_TAKEN = {"name": ["stage with this name already exists."]}


def invalid_delta(name: str) -> Invalid:
    return Invalid(name, {name: "30"}, {name: ["30 is not in the correct format of 'hours=3;minutes=1'."]})


def unknown_pk(name: str) -> Invalid:
    return Invalid(name, {name: NOWHERE}, {name: [f'Invalid pk "{NOWHERE}" - object does not exist.']})


EMAIL = Resource(
    group="email",
    api=ak.StagesApi,
    operations="stages_email",
    model="EmailStage",
    since=(2025, 4),  # before, token_expiry is a number
    required=("name",),
    minimal=lambda given, label: {"name": label},
    optional=lambda given: {
        "use_global_settings": True,
        "host": "smtp.example.org",
        "port": 587,
        "username": "mailer",
        "password": "correct horse",
        "use_tls": True,
        "use_ssl": True,
        "timeout": 30,
        "from_address": "welcome@example.org",
        "token_expiry": "hours=3;minutes=17",
        "subject": "Welcome",
        "template": "email/account_confirmation.html",
        "activate_user_on_success": True,
        "recovery_max_attempts": 3,
        "recovery_cache_timeout": "minutes=10",
    },
    write_only=frozenset({"password"}),
    change={"port": 2525, "subject": "Grüße"},
    defaults={
        "use_global_settings": False,
        "host": "localhost",
        "port": 25,
        "username": "",
        "use_tls": False,
        "use_ssl": False,
        "timeout": 10,
        "from_address": "system@authentik.local",
        "token_expiry": "minutes=30",
        "subject": "authentik",
        "template": "email/password_reset.html",
        "activate_user_on_success": False,
        "recovery_max_attempts": 5,
        "recovery_cache_timeout": "minutes=5",
    },
    filters={
        "use_global_settings": (True, False),
        "host": ("smtp.example.org", "localhost"),
        "port": (587, 25),
        "username": ("mailer", "nobody"),
        "use_tls": (True, False),
        "use_ssl": (True, False),
        "timeout": (30, 10),
        "from_address": ("welcome@example.org", "nobody@example.org"),
        "token_expiry": ("hours=3;minutes=17", "minutes=30"),
        "subject": ("Welcome", "welcome"),
        "template": ("email/account_confirmation.html", "email/password_reset.html"),
        "activate_user_on_success": (True, False),
    },
    unique=STAGE_NAME_TAKEN,
    invalid=[
        Invalid("template", {"template": "nope.html"}, {"template": ["Invalid template 'nope.html' specified."]}),
        invalid_delta("token_expiry"),
        invalid_delta("recovery_cache_timeout"),
        Invalid("from_address", {"from_address": "nobody"}, {"from_address": ["Enter a valid email address."]}),
        Invalid("port", {"port": 2**31}, {"port": ["Ensure this value is less than or equal to 2147483647."]}),
        Invalid(
            "several",
            {"name": "", "port": "x", "use_tls": "perhaps"},
            {
                "name": ["This field may not be blank."],
                "port": ["A valid integer is required."],
                "use_tls": ["Must be a valid boolean."],
            },
        ),
    ],
)

USER_WRITE = Resource(
    group="user_write",
    api=ak.StagesApi,
    operations="stages_user_write",
    model="UserWriteStage",
    required=("name",),
    minimal=lambda given, label: {"name": label},
    optional=lambda given: {
        "user_creation_mode": "always_create",
        "create_users_as_inactive": True,
        "create_users_group": given.group.pk,
        "user_type": "internal",
        "user_path_template": "users/invited",
    },
    change={"user_creation_mode": "never_create", "create_users_group": None},
    defaults={
        "user_creation_mode": "create_when_required",
        "create_users_as_inactive": False,
        "create_users_group": None,
        "user_type": "external",
        "user_path_template": "",
    },
    filters={
        "user_creation_mode": (ak.UserCreationModeEnum.ALWAYS_CREATE, ak.UserCreationModeEnum.NEVER_CREATE),
        "create_users_as_inactive": (True, False),
        "user_type": (ak.UserTypeEnum.INTERNAL, ak.UserTypeEnum.EXTERNAL),
        "user_path_template": ("users/invited", "users"),
    },
    unique=STAGE_NAME_TAKEN,
    invalid=[
        unknown_pk("create_users_group"),
        Invalid("user_type", {"user_type": "robot"}, {"user_type": ['"robot" is not a valid choice.']}),
    ],
)

INVITATION_STAGE = Resource(
    group="invitation_stage",
    api=ak.StagesApi,
    operations="stages_invitation_stages",
    model="InvitationStage",
    required=("name",),
    minimal=lambda given, label: {"name": label},
    optional=lambda given: {"continue_flow_without_invitation": True},
    change={"continue_flow_without_invitation": False},
    defaults={"continue_flow_without_invitation": False},
    filters={"continue_flow_without_invitation": (True, False), "no_flows": (True, False)},
    unique=STAGE_NAME_TAKEN,
    invalid=[
        Invalid(
            "boolean",
            {"continue_flow_without_invitation": "perhaps"},
            {"continue_flow_without_invitation": ["Must be a valid boolean."]},
        ),
    ],
)

EXPIRES = datetime(2040, 2, 29, 12, 30, 15, 250_000, UTC)
SOON = datetime.now(UTC).replace(microsecond=250_000) + timedelta(minutes=25)  # an app password may live half an hour

INVITATION = Resource(
    group="invitation",
    api=ak.StagesApi,
    operations="stages_invitation_invitations",
    model="Invitation",
    required=("name",),
    minimal=lambda given, label: {"name": label, "flow": given.flow.pk},  # without, no release can read the answer
    optional=lambda given: {
        "expires": EXPIRES,
        "fixed_data": {"email": "guest@example.org", "groups": ["a", {"b": None}], "visits": 2**40, "share": 0.5},
        "single_use": True,
    },
    change={"fixed_data": {}, "single_use": False},
    defaults={"fixed_data": {}, "single_use": False},
    filters={"expires": (EXPIRES, datetime(2041, 1, 1, tzinfo=UTC)), "created_by__username": ("akadmin", "nobody")},
    invalid=[
        unknown_pk("flow"),
        Invalid(
            "slug",
            {"name": "two words"},
            {"name": ["Enter a valid “slug” consisting of letters, numbers, underscores or hyphens."]},
        ),
        Invalid(
            "fixed_data",
            {"fixed_data": ["a"]},
            {"fixed_data": ["Value must be a dictionary, and not have any duplicate keys."]},
        ),
    ],
)

FLOW = Resource(
    group="flow",
    api=ak.FlowsApi,
    operations="flows_instances",
    model="Flow",
    key="slug",
    label="slug",
    unknown="no-such-flow",
    required=("name", "slug", "title", "designation"),
    minimal=lambda given, label: {"name": label, "slug": label, "title": label, "designation": "enrollment"},
    optional=lambda given: {
        "policy_engine_mode": "all",
        "compatibility_mode": True,
        "layout": "content_left",
        "denied_action": "continue",
        "authentication": "require_unauthenticated",
        "background": "https://example.org/meadow.jpg",
    },
    change={"title": "Welcome", "designation": "recovery"},
    defaults={
        "policy_engine_mode": "any",
        "compatibility_mode": False,
        "layout": "stacked",
        "denied_action": "message_continue",
        "authentication": "none",
        "background": "",
    },
    filters={
        "designation": (ak.FlowDesignationEnum.ENROLLMENT, ak.FlowDesignationEnum.RECOVERY),
        "denied_action": (ak.DeniedActionEnum.CONTINUE, ak.DeniedActionEnum.MESSAGE),
    },
    unique={"slug": ["Flow with this slug already exists."]},
    invalid=[
        Invalid("layout", {"layout": "round"}, {"layout": ['"round" is not a valid choice.']}),
        Invalid("designation", {"designation": ""}, {"designation": ['"" is not a valid choice.']}),
    ],
)

BINDING = Resource(
    group="binding",
    api=ak.FlowsApi,
    operations="flows_bindings",
    model="FlowStageBinding",
    label="order",
    required=("target", "stage", "order"),
    minimal=lambda given, label: {
        "target": given.flow.pk,
        "stage": given.stage.pk,
        "order": next(given.numbers),
    },
    optional=lambda given: {
        "evaluate_on_plan": True,
        "re_evaluate_policies": False,
        "policy_engine_mode": "all",
        "invalid_response_action": "restart",
    },
    # Of the two evaluations one must be asked for, and only the request counts.
    change={"evaluate_on_plan": True, "order": -5},
    defaults={
        "evaluate_on_plan": False,
        "re_evaluate_policies": True,
        "policy_engine_mode": "any",
        "invalid_response_action": "retry",
    },
    filters={
        "evaluate_on_plan": (True, False),
        "re_evaluate_policies": (False, True),
        "policy_engine_mode": (ak.PolicyEngineMode.ALL, ak.PolicyEngineMode.ANY),
        "invalid_response_action": (ak.InvalidResponseActionEnum.RESTART, ak.InvalidResponseActionEnum.RETRY),
    },
    invalid=[
        unknown_pk("target"),
        unknown_pk("stage"),
        Invalid(
            "evaluation",
            {"re_evaluate_policies": False},
            {"non_field_errors": ["Either evaluation on plan or evaluation on run must be enabled"]},
        ),
    ],
)

GROUP = Resource(
    group="group",
    api=ak.CoreApi,
    operations="core_groups",
    model="Group",
    required=("name",),
    minimal=lambda given, label: {"name": label},
    optional=lambda given: {"is_superuser": True, "attributes": {"color": "green"}},
    change={"attributes": {}},
    defaults={"is_superuser": False, "attributes": {}, "users": [], "roles": []},
    filters={"is_superuser": (True, False)},
    unique={"name": ["Group with this name already exists."]},
    invalid=[
        Invalid("users", {"users": [999999]}, {"users": ['Invalid pk "999999" - object does not exist.']}),
    ],
)

USER = Resource(
    group="user",
    api=ak.CoreApi,
    operations="core_users",
    model="User",
    label="username",
    unknown=999_999,
    required=("username", "name"),
    minimal=lambda given, label: {"username": label, "name": "Jane Doe"},
    optional=lambda given: {
        "is_active": False,
        "last_login": EXPIRES,
        "email": "jane@example.org",
        "attributes": {"color": "green"},
        "path": "users/guests",
        "type": "external",
    },
    change={"name": "", "attributes": {}},
    defaults={
        "is_active": True,
        "last_login": None,
        "groups": [],
        "email": "",
        "attributes": {},
        "path": "users",
        "type": "internal",
    },
    filters={
        "is_active": (False, True),
        "email": ("jane@example.org", "joe@example.org"),
        "path": ("users/guests", "users"),
    },
    unique={"username": ["This field must be unique."]},
    invalid=[
        Invalid("path", {"path": "/users"}, {"path": ["No leading or trailing slashes allowed."]}),
        Invalid(
            "type",
            {"type": "internal_service_account"},
            {"type": ["Setting a user to internal service account is not allowed."]},
        ),
        Invalid("email", {"email": "nobody"}, {"email": ["Enter a valid email address."]}),
    ],
)

TOKEN = Resource(
    group="token",
    api=ak.CoreApi,
    operations="core_tokens",
    model="Token",
    key="identifier",
    label="identifier",
    unknown="no-such-token",
    guarded=False,
    required=("identifier",),
    minimal=lambda given, label: {"identifier": label},
    optional=lambda given: {"intent": "app_password", "description": "for the printer", "expires": SOON},
    change={"description": "for the scanner"},
    defaults={"intent": "api", "description": "", "expiring": True},
    filters={
        "intent": (ak.IntentEnum.APP_PASSWORD, ak.IntentEnum.API),
        "description": ("for the printer", "for nobody"),
        "expiring": (True, False),
    },
    unique={"identifier": ["Token with this identifier already exists."]},
    invalid=[Invalid("intent", {"intent": "recovery"}, {"intent": ["Invalid intent recovery"]})],
)

RESOURCES = [EMAIL, USER_WRITE, INVITATION_STAGE, INVITATION, FLOW, BINDING, GROUP, USER, TOKEN]
RESOURCES = [resource for resource in RESOURCES if RELEASE >= resource.since]
STAGES = [resource for resource in RESOURCES if resource.unique == STAGE_NAME_TAKEN]
