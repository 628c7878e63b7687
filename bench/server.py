"""A running ak-stages."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster import ProcessTimes, free_port, stop, wait_for

# The first API token of our own database.
TOKEN = "bench-token-0123456789"
# The key of the token of the dump's administrator.
DUMP_TOKEN = "peer-admin-token-0123456789"


@dataclass(frozen=True)
class Program:
    """A build to measure, and what the report calls it."""

    name: str
    path: Path

    def version(self) -> str:
        """What it says of itself."""
        done = subprocess.run([self.path, "--version"], capture_output=True, text=True, check=True)
        return done.stdout.strip()


class Server:
    """A process that serves one database."""

    def __init__(self, program: Program, url: str, token: str, log: Path, **settings: str) -> None:
        self.token, self.log, self.port = token, log, free_port()
        foreign = re.compile("AUTHENTIK_|DATABASE_URL$|DATA_DIR$|PG")
        clean = {name: value for name, value in os.environ.items() if not foreign.match(name)}
        own = {
            "DATABASE_URL": url,
            "AUTHENTIK_LISTEN__HTTP": f"127.0.0.1:{self.port}",
            "AUTHENTIK_LISTEN__METRICS": "127.0.0.1:0",
            "AUTHENTIK_BOOTSTRAP_TOKEN": TOKEN,
        }
        began = time.monotonic()
        with log.open("ab") as output:  # appends, so that the log can be cut while it runs
            self.process = subprocess.Popen(
                [program.path, "serve"], env=clean | own | settings, cwd=log.parent,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )
        wait_for(f"{program.name} serves", self.is_up, pause=0.001)
        self.start_seconds = time.monotonic() - began
        """Until the first authenticated answer."""

    @property
    def base(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def is_up(self) -> bool:
        """Whether it answers; an error if it has ended."""
        if self.process.poll() is not None:
            raise RuntimeError(f"the server has ended: {self.log.read_text()[-2000:]}")
        try:
            self.get("/stages/all/types/")
        except OSError:
            return False
        return True

    def connect(self) -> http.client.HTTPConnection:
        """A connection for requests one by one."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def send(self, method: str, path: str, body: str | None = None, over: http.client.HTTPConnection | None = None):
        """The parsed answer to a request that has to succeed. `path` is below `/api/v3`."""
        connection = over or self.connect()
        headers = {"Authorization": f"Bearer {self.token}"} | ({"Content-Type": "application/json"} if body else {})
        connection.request(method, f"/api/v3{path}", body, headers)
        response = connection.getresponse()
        text = response.read()
        if not over:
            connection.close()
        if response.status >= 300:
            raise RuntimeError(f"{method} {path}: {response.status} {text[:500]!r}")
        return json.loads(text) if text else None

    def get(self, path: str):
        """The parsed answer to a GET."""
        return self.send("GET", path)

    def post(self, path: str, body: dict):
        """The object that a POST makes."""
        return self.send("POST", path, json.dumps(body))

    def cpu(self) -> float:
        """Seconds of CPU so far."""
        return ProcessTimes(self.process.pid).own

    def resident_kib(self) -> int:
        """RSS."""
        return self.memory("VmRSS")

    def most_resident_kib(self) -> int:
        """The largest RSS so far."""
        return self.memory("VmHWM")

    def memory(self, name: str) -> int:
        """One of the system's figures, in KiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)[1])

    def cut_log(self) -> None:
        """Throw away what was logged: there is a line a request."""
        os.truncate(self.log, 0)


@contextmanager
def serve(program: Program, url: str, token: str, log: Path, **settings: str) -> Iterator[Server]:
    """A [`Server`] that runs as long as the context."""
    server = Server(program, url, token, log, **settings)
    try:
        yield server
    finally:
        stop(server.process, signal.SIGTERM)
