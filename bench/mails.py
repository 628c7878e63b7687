"""Many mails that wait: the server's memory, how long it takes to send them, and requests meanwhile."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field

from cases import CASES, INVITATIONS, Point
from cluster import wait_for
from load import Generators
from seed import Dataset
from server import Server
from sink import Sink, sink

CONNECTIONS = (1, 8)
# Addresses of a request: as many as it takes.
AT_ONCE = 1_000
# How long sending may take, in seconds.
PATIENCE = 3_600


@dataclass
class Mails:
    """What came of it."""

    figures: dict[str, object]
    """Times, speeds and the server's memory."""
    meanwhile: list[dict[str, object]] = field(default_factory=list)
    """Requests while nothing waits, while all wait, and while they are sent."""


def mails(generators: Generators, dataset: Dataset, count: int, seconds: int) -> Mails:
    """Queue `count` mails while the SMTP server greets nobody, and let it take them; requests for `seconds` at a time."""
    with sink() as smtp, dataset.serve(
        AUTHENTIK_STAGES__PUBLIC_URL="https://id.example.com",
        AUTHENTIK_EMAIL__PORT=str(smtp.port),
        # A step may wait for the gate.
        AUTHENTIK_EMAIL__TIMEOUT="300",
        AUTHENTIK_STAGES__EMAIL_PER_SENDER="0",
    ) as server:
        run = Run(Generators(generators.cluster, seconds), dataset, server, smtp)
        run.ask("nothing waits")
        at_rest = server.resident_kib()
        queued_in = run.queue(count)
        run.ask("all wait")
        waiting = server.resident_kib()
        began = time.monotonic()
        smtp.open()
        alone = run.speed(seconds)
        run.ask("they are sent")
        wait_for("all are sent", lambda: run.are_sent(count), PATIENCE, pause=0.2)
        sent_in = time.monotonic() - began
        figures = {
            "server": dataset.program.name, "mails": count, "queued in, s": queued_in, "sent in, s": sent_in,
            "a second, without requests": alone, "came twice": smtp.taken - smtp.distinct,
            "RSS before, MiB": at_rest / 1024, "while all wait": waiting / 1024,
            "at most": server.most_resident_kib() / 1024, "after": server.resident_kib() / 1024,
        }
    dataset.sql("DELETE FROM ak_stages.mail")
    return Mails(figures, run.meanwhile)


class Run:
    """A server whose mail goes to a sink."""

    def __init__(self, generators: Generators, dataset: Dataset, server: Server, smtp: Sink) -> None:
        self.generators, self.dataset, self.server, self.smtp = generators, dataset, server, smtp
        self.case = next(case for case in CASES if case.name == "retrieve")
        self.meanwhile: list[dict[str, object]] = []

    def ask(self, what: str) -> None:
        """Requests for one stage while this is so, at each of the numbers of connections."""
        for connections in CONNECTIONS:
            point = Point(self.case, connections, writer=False)
            before = self.smtp.taken
            found = self.generators.wrk(self.server, point, list(self.case.paths(self.dataset, 0)))
            self.server.cut_log()
            self.meanwhile.append({
                "server": self.dataset.program.name, "while": what, "connections": connections,
                "req/s": found["requests"] / found["seconds"], "p50 ms": found["p50_us"] / 1e3,
                "p99 ms": found["p99_us"] / 1e3, "failed": found["failed"],
                "mails/s": (self.smtp.taken - before) / found["seconds"],
            })

    def queue(self, count: int) -> float:
        """Queue so many; how long that takes."""
        path = f"{INVITATIONS}{self.dataset.keys['invitation'][0]}/send_email/"
        began, connection = time.monotonic(), self.server.connect()
        for first in range(0, count, AT_ONCE):
            numbers = range(first, min(count, first + AT_ONCE))
            body = json.dumps({"email_addresses": [f"guest-{number}@example.org" for number in numbers]})
            self.server.send("POST", path, body, connection)
        connection.close()
        return time.monotonic() - began

    def speed(self, seconds: int) -> float:
        """Mails a second, for so long."""
        before = self.smtp.taken
        time.sleep(seconds)
        return (self.smtp.taken - before) / seconds

    def are_sent(self, count: int) -> bool:
        """Whether all have arrived, and the database knows it."""
        if self.smtp.distinct < count:
            return False
        return self.dataset.sql("SELECT count(*) FROM ak_stages.message WHERE state <> 'sent'") == ["0"]
