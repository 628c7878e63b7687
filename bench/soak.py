"""A long mixed load: whether the server's memory stays what it is."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from cases import CASES, Case, Point
from load import Generators
from seed import Dataset
from server import Server

CONNECTIONS = 64
WRITING_CASES = ("create", "update")
SAMPLES = 10


@dataclass
class Soak:
    """What came of it."""

    seconds: int
    requests: dict[str, int]
    """Answered, by `reads` and the writing cases."""
    failed: int
    resident_mib: list[float]
    """At the start and at the end of each tenth."""


def soak(generators: Generators, server: Server, dataset: Dataset, seconds: int) -> Soak:
    """All cases that read in turn, and two that write, over `CONNECTIONS` for so long."""
    long = Generators(generators.cluster, seconds)
    writing = [case for case in CASES if case.name in WRITING_CASES]
    reading = [case for case in CASES if not case.writes]
    paths = [path for case in reading for path in case.paths(dataset, 0)]
    reads = Case("reads", "all cases that read, in turn", lambda _: paths)
    found: dict[str, dict] = {}

    def load(case: Case, connections: int) -> None:
        found[case.name] = long.wrk(server, Point(case, connections, writer=False), list(case.paths(dataset, 0)))

    each = CONNECTIONS // 8
    loads = [threading.Thread(target=load, args=(case, each)) for case in writing]
    loads.append(threading.Thread(target=load, args=(reads, CONNECTIONS - each * len(writing))))
    resident = [server.resident_kib() / 1024]
    for one in loads:
        one.start()
    for _ in range(SAMPLES):
        time.sleep(seconds / SAMPLES)
        resident.append(server.resident_kib() / 1024)
        server.cut_log()
    for one in loads:
        one.join()
    dataset.clean()
    return Soak(
        seconds, {name: result["requests"] for name, result in found.items()},
        sum(result["failed"] for result in found.values()), resident,
    )
