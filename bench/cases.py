"""The work that is measured, and under which circumstances."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from seed import EMAIL_STAGE, FIRST_FLOW, ONE, Dataset

EMAIL = "/stages/email/"
INVITATIONS = "/stages/invitation/invitations/"
USERS = "/core/users/"

# At how many connections a writer is beside, and what the chart shows of throughput.
USUAL_CONNECTIONS = 8


@dataclass(frozen=True)
class Case:
    """One kind of request."""

    name: str
    about: str
    asked: Callable[[Dataset], Sequence[str]] | None
    """The paths that are asked for in turn; `None` for those of email stages that are made for each round."""
    method: str = "GET"
    body: str | None = None
    """With `{n}` where each request has a number of its own."""
    headline: bool = False
    """Whether it is measured beside a writer and beside `SELECT 1` too, and shown in the chart."""

    def paths(self, dataset: Dataset, fresh: int) -> Sequence[str]:
        """What is asked for in turn. Where objects are made for it, there are that many `fresh` ones."""
        return self.asked(dataset) if self.asked else [f"{EMAIL}{key}/" for key in dataset.pool(fresh)]

    @property
    def writes(self) -> bool:
        """Whether it changes something."""
        return self.method != "GET"


def always(path: str) -> Callable[[Dataset], Sequence[str]]:
    """The same path for every request."""
    return lambda _: [path]


def keyed(path: str, kind: str) -> Callable[[Dataset], Sequence[str]]:
    """A thousand objects of a kind, picked at random."""
    return lambda dataset: [f"{path}{key}/" for key in dataset.keys[kind]]


CASES = [
    Case(
        "retrieve", "one email stage, always the same", lambda dataset: [f"{EMAIL}{dataset.keys['stage'][0]}/"],
        headline=True,
    ),
    Case("stages-20", "the first 20 email stages", always(EMAIL), headline=True),
    Case("stages-100", "the first 100 email stages", always(f"{EMAIL}?page_size=100")),
    Case("stages-last", "the last 20 email stages", always(f"{EMAIL}?page=last")),
    Case("stages-name", "email stages with a name", always(f"{EMAIL}?name=email-{ONE}")),
    Case("stages-search", "search for an email stage, 1 hit", always(f"{EMAIL}?search={ONE}")),
    Case("invitation", "one of 1,000 invitations, by its key", keyed(INVITATIONS, "invitation"), headline=True),
    Case("invitations-20", "the first 20 invitations", always(INVITATIONS), headline=True),
    Case("invitations-last", "the last 20 invitations", always(f"{INVITATIONS}?page=last")),
    Case(
        "invitations-name", "invitations with a name",
        lambda dataset: [f"{INVITATIONS}?name={dataset.invitation_name}"],
    ),
    Case("invitations-search-one", "search for an invitation, 1 hit", always(f"{INVITATIONS}?search={ONE}")),
    Case("invitations-search-many", "the same, 1,000 hits", always(f"{INVITATIONS}?search=many")),
    Case("invitations-search-none", "the same, no hit", always(f"{INVITATIONS}?search=nothing-like-it")),
    Case("users-20", "the first 20 users", always(USERS)),
    Case("users-last", "the last 20 users", always(f"{USERS}?page=last")),
    Case("users-search", "search for a user, 1 hit", always(f"{USERS}?search=user-{ONE}")),
    Case(
        "create", "an email stage, bound to one flow", always(EMAIL), "POST",
        json.dumps(EMAIL_STAGE | {"name": "created-{n}", "flow_set": [FIRST_FLOW]}),
    ),
    Case(
        "create-unbound", "an email stage in no flow: creates into one flow wait for each other", always(EMAIL), "POST",
        json.dumps(EMAIL_STAGE | {"name": "created-{n}"}),
    ),
    Case("update", "change one of 1,000 email stages", keyed(EMAIL, "stage"), "PATCH", '{"subject": "updated {n}"}'),
    Case("delete", "an email stage bound to one flow", None, "DELETE"),
]


def chosen(patterns: Sequence[str]) -> list[Case]:
    """The cases with a name that one of the patterns fits; an error for a pattern that fits none."""
    for pattern in patterns:
        if not any(fnmatchcase(case.name, pattern) for case in CASES):
            raise ValueError(f"no case is called {pattern}; there are {', '.join(case.name for case in CASES)}")
    return [case for case in CASES if any(fnmatchcase(case.name, pattern) for pattern in patterns)]


@dataclass(frozen=True)
class Point:
    """A case under its circumstances."""

    case: Case
    connections: int
    writer: bool
    """Whether another client writes meanwhile."""

    def __str__(self) -> str:
        beside = ", a writer beside" if self.writer else ""
        return f"{self.case.name}, {plural(self.connections)}{beside}"


def plural(connections: int) -> str:
    """A number of connections in words."""
    return f"{connections} connection{'s' * (connections > 1)}"


def usual_connections(connections: Collection[int]) -> int:
    """The usual number of connections, or one that there is."""
    return USUAL_CONNECTIONS if USUAL_CONNECTIONS in connections else max(connections)


def points(cases: Sequence[Case], connections: Sequence[int], first: bool, full: bool) -> list[Point]:
    """What is measured on one database; `first` is that of the first size.

    The whole product of all circumstances takes a night (`full`). Else they vary on the first size alone; with the
    others it is the time of a request that matters, so there are the fewest connections. And a writer is beside the
    headlines alone, at the usual number of connections.
    """
    usual = usual_connections(connections)
    made = []
    for case in cases:
        for number in connections:
            if full or first or number == min(connections):
                made.append(Point(case, number, writer=False))
                if not case.writes and (full or (case.headline and first and number == usual)):
                    made.append(Point(case, number, writer=True))
    return made
