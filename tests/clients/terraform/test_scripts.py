"""What scripts around invitations do: find the flow, invite, build the link, clean up."""

import os
from datetime import UTC, datetime, timedelta

import pytest

from rest import Rest

script = Rest(os.environ["TOKEN"], "python-requests/2.32.3")

INVITATIONS = "stages/invitation/invitations/"


@pytest.fixture
def flow(prefix):
    body = {"name": prefix, "slug": prefix, "title": prefix, "designation": "enrollment"}
    yield script("POST", "flows/instances/", body, status=201)
    script("DELETE", f"flows/instances/{prefix}/", status=204)


@pytest.fixture
def invite(prefix, flow):
    """Invites to the flow, and withdraws what is left of it."""
    invited = []

    def invite(name: str, expires: str, **fields) -> dict:
        body = {
            "name": f"{prefix}-{name}",
            "expires": expires,
            "fixed_data": {"username": name, "email": f"{name}@example.org", "name": name.title()},
            "single_use": True,
            "flow": flow["pk"],
        }
        invited.append(script("POST", INVITATIONS, body | fields, status=201))
        return invited[-1]

    yield invite
    for row in script("GET", INVITATIONS, flow__slug=flow["slug"], page_size=100)["results"]:
        script("DELETE", f"{INVITATIONS}{row['pk']}/", status=204)


def hence(hours: int) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()


def test_server_health():
    assert script("GET", "admin/version/")["version_current"]
    me = script("GET", "core/users/me/")["user"]
    assert script("GET", "core/users/", username=me["username"])["results"][0]["pk"] == me["pk"]
    assert me["pk"] in [row["pk"] for row in script("GET", "core/users/", email=me["email"])["results"]]
    assert script("GET", "schema/", format="json")["openapi"].startswith("3.")


def test_flow_is_found(flow):
    (found,) = script("GET", "flows/instances/", slug=flow["slug"])["results"]
    assert (found["pk"], found["designation"]) == (flow["pk"], "enrollment")
    assert script("GET", f"flows/instances/{flow['slug']}/")["pk"] == flow["pk"]


@pytest.mark.parametrize(
    "expires",
    ["2040-01-26T10:00:00.123456+00:00", "2040-01-26T10:00:00.123Z", "2040-01-26T12:00:00.123000+02:00"],
    ids=["invitation-python", "invitation-javascript", "invitation-elsewhere"],
)
def test_invitation(invite, flow, expires):
    """Python's isoformat and JavaScript's toISOString; `expiring` is no field, and no mistake either."""
    created = invite("guest", expires, expiring=True)
    assert datetime.fromisoformat(created["expires"]) == datetime.fromisoformat(expires)
    assert created["flow_obj"]["slug"] == flow["slug"]
    assert created["fixed_data"] == {"username": "guest", "email": "guest@example.org", "name": "Guest"}
    assert script("GET", f"{INVITATIONS}{created['pk']}/") == created


def test_invitation_named_after_an_address(flow):
    """The mistake that scripts make: an address is no slug."""
    body = {"name": "guest@example.org", "flow": flow["pk"]}
    answer = script("POST", INVITATIONS, body, status=400)
    message = "Enter a valid “slug” consisting of letters, numbers, underscores or hyphens."
    assert answer == {"name": [message]}


def test_invitation_housekeeping(invite, flow):
    """Expired invitations stay listed until they are deleted. Afterwards they are a 404: used, or gone."""
    expired = {invite(f"old{number}", hence(-1))["pk"] for number in range(3)}
    valid = invite("new", hence(24))["pk"]
    rows, page = [], 1
    while page:
        answer = script("GET", INVITATIONS, flow__slug=flow["slug"], page=page, page_size=2)
        rows += answer["results"]
        page = answer["pagination"]["next"]
    now = datetime.now(UTC)
    assert {row["pk"] for row in rows if datetime.fromisoformat(row["expires"]) < now} == expired
    for pk in expired:
        script("DELETE", f"{INVITATIONS}{pk}/", status=204)
        script("GET", f"{INVITATIONS}{pk}/", status=404)
    assert [row["pk"] for row in script("GET", INVITATIONS, flow__slug=flow["slug"])["results"]] == [valid]


def test_stage_is_found(prefix):
    stage = script("POST", "stages/invitation/stages/", {"name": prefix}, status=201)
    (found,) = script("GET", "stages/all/", name=prefix)["results"]
    assert found["pk"] == stage["pk"]
    script("DELETE", f"stages/all/{stage['pk']}/", status=204)
