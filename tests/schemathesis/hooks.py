"""What the document cannot say: which objects exist, what must be unique, and what the tests must not touch.

Without this most requests would end in 404, or in 400 for a key of nothing or a name that is taken.
"""

from pathlib import Path
from time import time_ns
from uuid import UUID

import schemathesis
from schemathesis.openapi.checks import EnsureResourceAvailability, RejectedPositiveData

# The objects of seed.py. The tests change them; they delete what they made themselves.
SEEDS = {file.name: file.read_text() for file in Path("keys").iterdir()}
# The token that the tests send, whose it is, and the group that makes that a superuser: the branch that they sit on.
UNTOUCHABLE = {SEEDS["own_token"], SEEDS["admins"], SEEDS["akadmin"]}
AKADMIN = int(SEEDS["akadmin"])
NOWHERE = "00000000-0000-0000-0000-000000000000"
NOBODY = 0

# Whose key a path holds.
OBJECTS = {
    "/stages/all/": SEEDS["invitation_stage"],
    "/stages/email/": SEEDS["email_stage"],
    "/stages/user_write/": SEEDS["user_write_stage"],
    "/stages/invitation/stages/": SEEDS["invitation_stage"],
    "/stages/invitation/invitations/": SEEDS["invitation"],
    "/flows/bindings/": SEEDS["binding"],
    "/core/groups/": SEEDS["group"],
    "/core/users/": int(SEEDS["user"]),
    "/rbac/permissions/assigned_by_roles/": SEEDS["role"],
    "/rbac/roles/": SEEDS["role"],
}

# Fields whose rules no schema states, and a value that keeps them.
LAWFUL = {
    "background": "",
    "bcc_addresses": [],
    "cc_addresses": ["copy@example.org"],
    "create_users_group": SEEDS["group"],
    "email_addresses": ["person@example.org"],
    "flow": SEEDS["flow"],
    "from_address": "id@example.org",
    "groups": [SEEDS["group"]],
    "groups_by_name": [SEEDS["admins_name"]],
    "groups_by_pk": [SEEDS["group"]],
    "intent": "api",
    "members_by_pk": [AKADMIN],
    "members_by_username": ["akadmin"],
    "parents": [],
    "path": "users",
    "pk": AKADMIN,
    "re_evaluate_policies": True,
    "recovery_cache_timeout": "minutes=5",
    "reply_to": "help@example.org",
    "roles": [],
    "stage": SEEDS["bound_stage"],
    "subject": "A subject",
    "target": SEEDS["flow"],
    "template": "email/account_confirmation.html",
    "to": "person@example.org",
    "token_expiry": "minutes=30",
    "type": "external",
    "url": "",
    "user": AKADMIN,
    "users": [AKADMIN],
}

# Parameters that name what a new server has none of.
UNNAMEABLE = {"managed", "policies", "role", "roles_by_name", "roles_by_pk"}

# Bodies of which the schema says too little: what has to be named excludes something else.
WHOLE = {
    "/bulk/": {"template": {"name": "guest"}, "count": 3},
    "/bulk_delete/": {"pks": [NOWHERE]},
    "assign/": {"permissions": ["view_group"], "model": "authentik_core.group", "object_pk": SEEDS["group"]},
}

# Why something may be refused whatever the schema allows: PostgreSQL has no NUL, Django REST framework trims blanks, an
# invitation may have lost its flow, or its time, or its uses, before it is sent or used, and test mails go to SMTP servers,
# seldom, and to somebody.
REFUSALS = (
    "Null characters are not allowed.",
    "This field may not be blank.",
    "Invitation has no associated flow",
    "Invitation has expired",
    "AUTHENTIK_STAGES__EMAIL_HOSTS does not name it.",
    "Ensure this value is a port, from 0 to 65535.",
    "“use_tls” and “use_ssl” can't both be true.",
    '{"to":["This field is required."]}',
    "Request was throttled.",
    "Invitation is for another flow",
    "Invitation has been used as often as it may be",
    "Invitation is reserved",
)


@schemathesis.hook
def before_call(context, case, kwargs):
    path, body = case.path_parameters or {}, case.body
    for name, key in path.items():
        path[name] = key_for(case, key)
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    for end, whole in WHOLE.items():
        if case.path.endswith(end):
            case.body = dict(whole)
            return
    for values in (case.query, body):
        if isinstance(values, dict):
            values |= {
                name: LAWFUL[name] for name in LAWFUL.keys() & values.keys() if values[name] is not None
            }
    if isinstance(case.query, dict):
        for name in UNNAMEABLE & case.query.keys():
            del case.query[name]
        if "attributes" in case.query:
            case.query["attributes"] = "{}"  # JSON in a text
    if isinstance(body, dict):
        number = next_number()
        if "order" in body:
            body["order"] = number
        if case.method != "POST":
            body.pop("managed", None)  # whoever manages a token says so when it is made
        for name in {"name", "username", "slug", "identifier", "managed"} & body.keys():
            # An object keeps what its path names it by.
            body[name] = path.get(name) or f"{str(body[name] or '')[:100]}-{number}"


def next_number() -> int:
    """A number that no run had before, within 31 bits."""
    return time_ns() // 1000 % 2**31


def key_for(case, key):
    stateful = case.meta is None or case.meta.phase.name.value == "stateful"
    seed = next((seed for path, seed in OBJECTS.items() if case.path.startswith(path)), None)
    if case.path.startswith("/core/users/") and is_uuid(key):
        return NOBODY  # a user has a uuid, too, but it names none
    nowhere = NOBODY if isinstance(key, int) else NOWHERE
    if case.method == "DELETE" or case.path.endswith(("/redeem/", "/commit/")):  # which may end an invitation
        return nowhere if str(key) in SEEDS.values() else key
    if seed and not stateful and (isinstance(key, int) or is_uuid(key)):
        return seed
    return nowhere if str(key) in UNTOUCHABLE and case.method != "GET" else key


def is_uuid(text) -> bool:
    try:
        return bool(UUID(text))
    except (ValueError, TypeError, AttributeError):
        return False


@schemathesis.hook
def filter_failure(context, failure, case, response):
    if isinstance(failure, EnsureResourceAvailability):
        return not {NOWHERE, NOBODY} & {*(case.path_parameters or {}).values()}
    if isinstance(failure, RejectedPositiveData):
        return not any(text in response.text for text in REFUSALS)
    return True
