"""What a server asks of PostgreSQL for one request: read in PostgreSQL's log, so that it stays true."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

from cases import Case
from cluster import CAPTURE, Cluster
from relay import Relay, relay
from seed import Dataset
from server import Server

# The columns of PostgreSQL's csvlog.
TRANSACTION, MESSAGE, DETAIL = 9, 13, 14

# How often a request is sent before it is looked at: each connection of a pool has prepared its statements then.
WARM, WARM_SECONDS = 30, 2


@dataclass(frozen=True)
class Statement:
    """A statement as it was sent, with `$1` and so on for its parameters."""

    text: str
    parameters: dict[int, str | None]
    types: dict[int, str]
    """Where the server says them."""

    def script(self, number: int) -> str:
        """The same for pgbench, where each use of a parameter is one of its own, and needs its type."""

        def replaced(found: re.Match) -> str:
            if literal := found[1]:
                # pgbench looks for variables in texts too; written like this, they are the same constants.
                return "E" + literal.replace("\\", r"\\").replace(":", r"\x3a") if ":" in literal else literal
            place = int(found[2])
            # pgbench can't bind NULL.
            value = "NULL" if self.parameters[place] is None else f":{self.variable(number, place)}"
            return value + (f"::{self.types[place]}" if place in self.types else "")

        return re.sub(r"('(?:[^']|'')*')|\$(\d+)", replaced, self.text) + ";\n"

    def variables(self, number: int) -> dict[str, str]:
        """The values of the variables in the script."""
        values = self.parameters.items()
        return {self.variable(number, place): value for place, value in values if value is not None}

    @staticmethod
    def variable(number: int, place: int) -> str:
        """The name of a variable, if the script's statements are numbered."""
        return f"s{number}_{place}"


@dataclass(frozen=True)
class Captured:
    """What one request takes."""

    statements: list[Statement]
    round_trips: int
    """How often the server waits for PostgreSQL: for the statements, and for pings."""
    transactions: int
    settings: dict[str, str]
    """Settings of the planner that aren't PostgreSQL's defaults."""
    alone_ms: float
    """The time of that request, logging included."""

    @classmethod
    def of(cls, text: str) -> Captured:
        """One statement without parameters."""
        return cls([Statement(text, {}, {})], 1, 1, {}, 0)

    def options(self) -> str:
        """The settings, as PGOPTIONS takes them."""
        values = {name: re.sub(r"([\\ ])", r"\\\1", value) for name, value in self.settings.items()}
        return " ".join(f"-c {name}={value}" for name, value in values.items())

    def script(self) -> tuple[str, dict[str, str]]:
        """The statements for pgbench, and the values of the variables in them."""
        text, variables = "", {}
        for number, statement in enumerate(self.statements):
            text += statement.script(number)
            variables |= statement.variables(number)
        return text, variables


def capture(server: Server, cluster: Cluster, wire: Relay, case: Case, paths: Sequence[str]) -> Captured:
    """Send a case's requests to a server that connects as `CAPTURE` through a relay, and look at the last one."""
    connection = server.connect()

    def send(number: int) -> None:
        # No run of wrk gets to a number like this.
        body = case.body and case.body.replace("{n}", f"{time.monotonic_ns()}-{number}")
        server.send(case.method, paths[number % len(paths)], body, over=connection)

    deadline = time.monotonic() + WARM_SECONDS
    number = 0
    while number < WARM and time.monotonic() < deadline:
        send(number)
        number += 1
    with cluster.capture() as log:
        before, began = wire.round_trips, time.monotonic()
        send(number)
        alone = time.monotonic() - began
        # What gives the connection back to the pool may come behind the answer.
        time.sleep(0.05)
        round_trips = wire.round_trips - before
    connection.close()
    statements, transactions, settings = [], set(), {}
    for line in log:
        message = line[MESSAGE]
        if found := re.match(r"(?:execute [^:]+|statement): ", message):
            text = message[found.end() :]
            if text.strip(" ;") and not re.fullmatch(r"/\*.*?\*/", text):  # a ping
                types = names_of_types(cluster, wire.types.get(text, ()))
                statements.append(Statement(text.strip(" ;"), parameters(line[DETAIL]), types))
                transactions.add(line[TRANSACTION])
        elif found := re.match(r"duration: .*?plan:\s*(?=\{)", message):
            settings |= json.loads(message[found.end() :]).get("Settings", {})
    return Captured(statements, round_trips, len(transactions), settings, alone * 1e3)


def capture_all(dataset: Dataset, cases: Sequence[Case]) -> dict[str, Captured]:
    """What each case takes, by its name.

    Remembered answers are off: the statement that is worth comparing with is the one that finds the rows.
    """
    found = {}
    with (
        relay(dataset.cluster.port) as wire,
        dataset.serve(CAPTURE, wire.port, AUTHENTIK_STAGES__ANSWER_CACHE="0") as server,
    ):
        for case in cases:
            found[case.name] = capture(server, dataset.cluster, wire, case, case.paths(dataset, WARM + 1))
    dataset.clean()
    return found


def parameters(detail: str) -> dict[int, str | None]:
    """The values in a detail such as `parameters: $1 = 'it''s', $2 = NULL`."""
    found = re.findall(r"\$(\d+) = (NULL|'(?:[^']|'')*')", detail)
    return {int(place): None if value == "NULL" else value[1:-1].replace("''", "'") for place, value in found}


def names_of_types(cluster: Cluster, types: Sequence[int]) -> dict[int, str]:
    """The types of a statement's parameters by their places, but for those that PostgreSQL has to find out."""
    named = cluster.sql("postgres", "".join(f"SELECT {oid}::regtype;" for oid in types))
    return {place: name for place, (oid, name) in enumerate(zip(types, named, strict=True), 1) if oid}
