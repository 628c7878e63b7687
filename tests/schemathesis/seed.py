"""Fills a new server with an object of each kind, and writes their keys to keys/<kind>.

With --check it asks instead whether the tests still had their rights at the end: without them they tested little.
"""

import json
import os
import sys
from pathlib import Path
from urllib.request import Request, urlopen


def call(method: str, path: str, body: dict | None = None) -> dict:
    request = Request(
        f"{os.environ['BASE']}/api/v3{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {os.environ['TOKEN']}", "Content-Type": "application/json"},
    )
    with urlopen(request) as answer:
        return json.load(answer)


def seed() -> None:
    Path("keys").mkdir(exist_ok=True)

    def keep(kind: str, key: str) -> None:
        Path("keys", kind).write_text(key)

    def create(kind: str, path: str, body: dict) -> str:
        key = str(call("POST", path, body)["pk"])
        keep(kind, key)
        return key

    # What there is before anything else: the token in use, and the group that gives it its rights.
    keep("own_token", call("GET", "/core/tokens/")["results"][0]["identifier"])
    akadmin = call("GET", "/core/users/me/")["user"]["pk"]
    keep("akadmin", str(akadmin))
    admins = call("GET", "/core/groups/?is_superuser=true")["results"][0]
    keep("admins", admins["pk"])
    keep("admins_name", admins["name"])

    flow_body = {"name": "Seed", "slug": "seed", "title": "Seed", "designation": "enrollment"}
    flow = create("flow", "/flows/instances/", flow_body)
    keep("flow_slug", flow_body["slug"])
    group = create("group", "/core/groups/", {"name": "seed", "users": [akadmin]})
    create("user", "/core/users/", {"username": "seed", "name": "Seed"})
    create("role", "/rbac/roles/", {"name": "seed"})
    create("email_stage", "/stages/email/", {"name": "seed-email"})
    user_body = {"name": "seed-user", "create_users_group": group}
    create("user_write_stage", "/stages/user_write/", user_body)
    create("invitation_stage", "/stages/invitation/stages/", {"name": "seed-invitation"})
    create("invitation", "/stages/invitation/invitations/", {"name": "seed", "flow": flow})
    # A stage that the tests leave alone: a flow_set sent to it would unbind it.
    bound = create("bound_stage", "/stages/email/", {"name": "seed-bound"})
    create("binding", "/flows/bindings/", {"target": flow, "stage": bound, "order": 0})


def check() -> None:
    if not call("GET", "/core/users/me/")["user"]["is_superuser"]:
        sys.exit("The tests took their own rights from themselves.")


if __name__ == "__main__":
    check() if "--check" in sys.argv else seed()
