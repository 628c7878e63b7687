"""One measurement: a load generator, and what the processes did meanwhile."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from capture import Captured
from cases import Point
from cluster import BENCH, WRITER, Cluster, stop
from seed import Dataset
from server import Server

WRITES_A_SECOND = 10
# More stages than are deleted in a second.
DELETIONS_A_SECOND = 5_000
# The server's connections to PostgreSQL, at most: what it is set to if nobody says otherwise.
POOL_SIZE = 10
# How long wrk waits for an answer.
TIMEOUT_SECONDS = 10

# The row that the writer beside changes: no case looks at it.
WRITER_SCRIPT = """
UPDATE authentik_stages_email_emailstage SET timeout = 1 - timeout
WHERE stage_ptr_id = (SELECT stage_uuid FROM authentik_flows_stage WHERE name = 'template-login');
"""


def threads(connections: int) -> int:
    """How many threads a load generator gets: for half of the machine's cores at most."""
    return max(1, min(connections, (os.cpu_count() or 2) // 2))


@dataclass
class Sample:
    """One round of one server. What is counted by the request is `None` where no request was answered."""

    requests: int
    failed: int
    """Requests without an answer, or with an error."""
    requests_per_second: float
    p50_ms: float | None
    p99_ms: float | None
    server_cpu_us: float | None
    postgresql_cpu_us: float | None
    answer_bytes: float | None
    statements: float | None
    resident_mib: float
    writes_per_second: float | None
    """By the writer beside."""
    same_per_second: float | None = None
    """pgbench's transactions with the same statements."""
    select_1_per_second: float | None = None
    """pgbench's transactions with `SELECT 1`."""


class Generators:
    """wrk and pgbench, in rounds of some seconds. They ask nobody but the servers of this run."""

    def __init__(self, cluster: Cluster, seconds: int) -> None:
        self.cluster, self.seconds = cluster, seconds

    def measure(self, server: Server, dataset: Dataset, point: Point) -> Sample:
        """Let wrk send the requests of a case."""
        paths = point.case.paths(dataset, self.seconds * DELETIONS_A_SECOND)
        with self.writer(dataset.name) if point.writer else nullcontext():
            statements = self.cluster.statements(dataset.name)
            server_cpu, postgresql_cpu = server.cpu(), self.cluster.cpu()
            found = self.wrk(server, point, paths)
            server_cpu, postgresql_cpu = server.cpu() - server_cpu, self.cluster.cpu() - postgresql_cpu
            statements = self.cluster.statements(dataset.name) - statements
        self.cluster.settle(dataset.name)
        server.cut_log()
        if point.case.writes:
            dataset.clean()
        requests = found["requests"]

        def each(total: float) -> float | None:
            return total / requests if requests else None

        return Sample(
            requests=requests,
            failed=found["failed"],
            requests_per_second=requests / found["seconds"],
            p50_ms=found["p50_us"] / 1e3 if requests else None,
            p99_ms=found["p99_us"] / 1e3 if requests else None,
            server_cpu_us=each(server_cpu * 1e6),
            postgresql_cpu_us=each(postgresql_cpu * 1e6),
            answer_bytes=each(found["bytes"]),
            statements=each(statements[BENCH]),
            resident_mib=server.resident_kib() / 1024,
            writes_per_second=statements[WRITER] / found["seconds"] if point.writer else None,
        )

    def wrk(self, server: Server, point: Point, paths: list[str]) -> dict:
        """What `requests.lua` prints."""
        case, count = point.case, threads(point.connections)
        with tempfile.NamedTemporaryFile("w", suffix=".paths") as file:
            file.writelines(f"/api/v3{path}\n" for path in paths)
            file.flush()
            command = [
                "wrk", "-t", str(count), "-c", str(point.connections), "-d", f"{self.seconds}s",
                "--timeout", f"{TIMEOUT_SECONDS}s", "-H", f"Authorization: Bearer {server.token}",
                "-s", Path(__file__).with_name("requests.lua"), server.base,
                "--", case.method, file.name, str(count), *([case.body] if case.body else []),
            ]
            done = subprocess.run(command, capture_output=True, text=True)
        result = re.search(r"^result (\{.*\})$", done.stdout, re.MULTILINE)
        if done.returncode or not result:
            raise RuntimeError(f"wrk: {done.stdout}{done.stderr}")
        return json.loads(result[1])

    def same(self, dataset: Dataset, point: Point, captured: Captured) -> float:
        """pgbench's transactions a second with the statements of a case's request."""
        with self.writer(dataset.name) if point.writer else nullcontext():
            found = self.pgbench(dataset.name, point.connections, captured)
        self.cluster.settle(dataset.name)
        return found

    def select_1(self, dataset: Dataset, point: Point) -> float:
        """The same with `SELECT 1`."""
        return self.pgbench(dataset.name, point.connections, Captured.of("SELECT 1"))

    def pgbench(self, database: str, connections: int, captured: Captured, limit: str | None = None) -> float:
        """Transactions a second, prepared, over as many connections as a server would use, and over TCP like it."""
        connections = min(connections, POOL_SIZE)
        text, variables = captured.script()
        with self.script(text) as script:
            command = [
                *self.pgbench_command(database, BENCH, script),
                "-c", str(connections), "-j", str(threads(connections)), limit or f"-T{self.seconds}",
                *(f"-D{name}={value}" for name, value in variables.items()),
            ]
            done = subprocess.run(
                command, env=os.environ | {"PGOPTIONS": captured.options()}, capture_output=True, text=True,
            )
        found = re.search(r"^tps = ([0-9.]+)", done.stdout, re.MULTILINE)
        if done.returncode or not found:
            raise RuntimeError(done.stderr.partition("\n")[0])
        return float(found[1])

    @contextmanager
    def writer(self, database: str) -> Iterator[None]:
        """Another client that writes ten times a second."""
        with self.script(WRITER_SCRIPT) as script:
            command = self.pgbench_command(database, WRITER, script)
            command += ["-R", str(WRITES_A_SECOND), "-T", str(self.seconds + 60)]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            try:
                yield
                if process.poll() is not None:
                    raise RuntimeError(f"the writer has ended: {process.stderr.read()}")
            finally:
                stop(process, signal.SIGTERM)
                process.stderr.close()

    def pgbench_command(self, database: str, role: str, script: str) -> list:
        """What all runs of pgbench have in common."""
        return [
            self.cluster.binaries / "pgbench", "-h", "127.0.0.1", "-p", str(self.cluster.port), "-U", role,
            "-n", "-M", "prepared", "-f", script, database,
        ]

    @contextmanager
    def script(self, text: str) -> Iterator[str]:
        """A file for pgbench."""
        with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
            file.write(text)
            file.flush()
            yield file.name
