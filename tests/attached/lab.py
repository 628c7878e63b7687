"""What the checks stand on: a private PostgreSQL with copies of the dump, servers on them, replays of recordings."""

from __future__ import annotations

import itertools
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from client import ADMIN, TOKENS, Client

DUMP = "authentik-2025.12.4-base.sql.gz"


def memory() -> str | None:
    """A place in memory with room for some dozens of databases, if there is one: copying them takes long on a disk."""
    place = "/dev/shm"
    return place if os.access(place, os.W_OK) and shutil.disk_usage(place).free > 2 << 30 else None


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port: int) -> bool:
    """Whether somebody listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(what: str, ready, process: subprocess.Popen, log: Path):
    """What `ready` gives once it gives something; an error if the process ends first, or takes half a minute."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if found := ready():
            return found
        if process.poll() is not None:
            break
        time.sleep(0.02)
    raise RuntimeError(f"{what} does not start: {log.read_text()[-2000:]}")


def stop(process: subprocess.Popen, how: signal.Signals) -> int:
    """End a process; its exit status."""
    process.send_signal(how)  # does nothing if it has ended
    try:
        return process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


@contextmanager
def laboratory(shared: Path, program: str, binaries: Path):
    """A [`Lab`], gone with all its processes and files when the context ends."""
    with tempfile.TemporaryDirectory(prefix="ak-stages-attached-", dir=memory()) as work:
        os.chmod(work, 0o755)  # for the daemons' user
        lab = Lab(Path(work), shared, program, binaries)
        with lab.postgresql():
            yield lab


class Lab:
    """A PostgreSQL on a Unix socket and a free port of the loopback device, and what is done with it."""

    def __init__(self, work: Path, shared: Path, program: str, binaries: Path) -> None:
        self.work, self.shared, self.program, self.binaries = work, shared, program, binaries
        # PostgreSQL and PgBouncer refuse to run as root.
        self.account = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        self.port, self.files = free_port(), self.directory("postgresql")
        self.numbers = itertools.count(1)
        self.copies: list[str] = []
        self.replays: dict[str, Replay] = {}

    @contextmanager
    def postgresql(self):
        """Make it, restore the dump, and run it as long as the context."""
        self.tool("initdb", "-D", "data", "-U", "postgres", "-A", "trust", "--locale=C.UTF-8", "-E", "UTF8", "-N")
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.files,
            "fsync": "off",
            "autovacuum": "off",
        }
        command = [self.binaries / "postgres", "-D", "data", *(f"-c{name}={value}" for name, value in settings.items())]
        log = self.files / "log"
        process = self.daemon(command, log)
        try:
            wait_for("PostgreSQL", lambda: "ready to accept connections" in log.read_text(), process, log)
            self.base = self.database("base")
            dump = subprocess.run(["gzip", "-dc", self.shared / DUMP], capture_output=True, check=True, text=True)
            self.base.execute(dump.stdout)
            yield
        finally:
            stop(process, signal.SIGQUIT)  # nothing in it is of use any more

    def directory(self, name: str) -> Path:
        """A directory for a daemon's files."""
        made = self.work / name
        made.mkdir()
        if self.account:
            os.chown(made, self.account.pw_uid, self.account.pw_gid)
        return made

    @property
    def user(self) -> dict:
        """How `subprocess` is told to run something as the daemons' user."""
        if not self.account:
            return {}
        return {"user": self.account.pw_uid, "group": self.account.pw_gid, "extra_groups": []}

    def daemon(self, command: list, log: Path) -> subprocess.Popen:
        """A process that runs until it is stopped, in the directory of its log."""
        with log.open("a") as output:
            return subprocess.Popen(
                command, cwd=log.parent, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, **self.user
            )

    def tool(self, name: str, *arguments: str, stdin: str | None = None) -> str:
        """What one of PostgreSQL's programs prints."""
        place = {"PGHOST": str(self.files), "PGPORT": str(self.port), "PGUSER": "postgres"}
        done = subprocess.run(
            [self.binaries / name, *arguments],
            input=stdin, capture_output=True, text=True, cwd=self.files, env=os.environ | place, **self.user,
        )
        if done.returncode:
            raise RuntimeError(f"{name} {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def database(self, name: str, template: str = "template0") -> Database:
        """A new database."""
        self.tool("createdb", "-T", template, name)
        return Database(self, name)

    def fresh(self) -> Database:
        """A copy of the dump."""
        return self.base.copy()

    def drop_copies(self) -> None:
        """Make room for others."""
        while self.copies:
            self.tool("dropdb", "--force", self.copies.pop())

    @cached_property
    def wiped(self) -> Database:
        """The dump after all its flows and stages were deleted through the API: what the recordings began with."""
        database = self.database("wiped", "base")
        with self.serve(database) as server:
            api = server.client()
            for path, key in (("/flows/instances/", "slug"), ("/stages/all/", "pk")):
                for row in api.get(f"{path}?page_size=100").body["results"]:
                    answer = api.send("DELETE", f"{path}{row[key]}/")
                    if answer.status != 204:
                        raise RuntimeError(f"DELETE {path}{row[key]}/: {answer}")
        left = database.counts().keys() & {"authentik_flows_flow", "authentik_flows_stage"}
        if left:
            raise RuntimeError(f"{left} have rows left")
        return database

    def best(self, recording: str) -> Replay:
        """The replay of a recording on a copy of `wiped`, by a server that may do everything."""
        if recording not in self.replays:
            with self.serve(self.wiped.copy()) as server:
                self.replays[recording] = self.replay(server, recording)
        return self.replays[recording]

    def environment(self, database: Database, settings: dict[str, object]) -> dict[str, str]:
        """The settings that attach ak-stages to a database, through the socket, and more."""
        foreign = re.compile("AUTHENTIK_|DATABASE_URL$|DATA_DIR$")
        attached = {
            "AUTHENTIK_POSTGRESQL__HOST": self.files,
            "AUTHENTIK_POSTGRESQL__PORT": self.port,
            "AUTHENTIK_POSTGRESQL__USER": "postgres",
            "AUTHENTIK_POSTGRESQL__NAME": database.name,
            "AUTHENTIK_LISTEN__HTTP": "127.0.0.1:0",
            "AUTHENTIK_LISTEN__METRICS": "127.0.0.1:0",
        }
        clean = {name: value for name, value in os.environ.items() if not foreign.match(name)}
        return clean | {name: str(value) for name, value in (attached | settings).items()}

    def ak_stages(self, database: Database, *arguments: str, **settings: object) -> subprocess.CompletedProcess:
        """A command of ak-stages that ends by itself."""
        return subprocess.run(
            [self.program, *arguments],
            env=self.environment(database, settings), capture_output=True, text=True, cwd=self.work, timeout=30,
        )

    @contextmanager
    def serve(self, database: Database, **settings: object):
        """A [`Server`] that runs as long as the context. It has to end well and may not log an error."""
        server = Server(self, database, settings)
        try:
            server.wait()
            yield server
        finally:
            status = stop(server.process, signal.SIGTERM)
        errors = server.logged(level="ERROR")
        if errors or status not in (0, -signal.SIGKILL):
            raise RuntimeError(f"the server ended with status {status} and logged {errors}")

    def replay(self, server: Server, recording: str) -> Replay:
        """Send a recording's requests to a server and compare the answers."""
        conformance = self.shared / "conformance"
        with tempfile.TemporaryDirectory(dir=self.work) as place:
            tokens, differences = Path(place, "tokens.json"), Path(place, "differences.json")
            tokens.write_text(json.dumps(TOKENS))
            command = [
                sys.executable, conformance / "replay.py", "verify", "--base", server.base, "--tokens", tokens,
                "--show", "0", "--report", differences, conformance / f"{recording}-public.jsonl",
            ]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode not in (0, 1) or not differences.exists():
                raise RuntimeError(f"replay.py: {done.stderr}")
            found = json.loads(differences.read_text())
            return Replay(server.database, done.returncode == 0, done.stdout.splitlines()[-1], found)


@dataclass
class Database:
    """One database of the private PostgreSQL."""

    lab: Lab
    name: str

    def copy(self) -> Database:
        """A copy. Nothing may be connected to this one."""
        name = f"copy{next(self.lab.numbers)}"
        self.lab.copies.append(name)
        return self.lab.database(name, self.name)

    def execute(self, sql: str) -> None:
        """Run statements in one transaction."""
        self.lab.tool("psql", "-XqAt", "-1", "-v", "ON_ERROR_STOP=1", "-d", self.name, stdin=sql)

    def rows(self, query: str) -> list[dict]:
        """The rows of a query."""
        as_json = f"SELECT coalesce(json_agg(t), '[]') FROM ({query}) t"
        return json.loads(self.lab.tool("psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", self.name, "-c", as_json))

    def value(self, query: str):
        """The one value of a query."""
        (row,) = self.rows(query)
        (value,) = row.values()
        return value

    def dump(self, *options: str) -> list[str]:
        """The lines of `pg_dump`, without the random key that newer versions put around them."""
        lines = self.lab.tool("pg_dump", *options, self.name).splitlines()
        return [line for line in lines if not line.startswith(("\\restrict ", "\\unrestrict "))]

    def counts(self) -> dict[str, int]:
        """How many rows the tables have, but for the empty ones."""
        tables = self.rows("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
        selects = (f"SELECT '{table['relname']}' AS name, count(*) AS rows FROM {table['relname']}" for table in tables)
        return {row["name"]: row["rows"] for row in self.rows(" UNION ALL ".join(selects)) if row["rows"]}

    def growth(self, before: dict[str, int]) -> dict[str, int]:
        """By how many rows which tables grew since these `counts`."""
        after = self.counts()
        differences = {table: after.get(table, 0) - before.get(table, 0) for table in before | after}
        return {table: difference for table, difference in differences.items() if difference}


@dataclass
class Replay:
    """What came of a replay."""

    database: Database
    same: bool
    line: str
    report: list

    def differences(self) -> set[tuple[str, int]]:
        """Scenarios and steps that differ, but for the order of equal rows, which authentik leaves to the database."""
        return {
            (scenario["name"], item.get("step"))
            for scenario in self.report
            for item in scenario["differences"]
            if not (item["kind"] == "order" and scenario["name"].endswith("/list/ordering"))
        }


class Server:
    """A running ak-stages."""

    def __init__(self, lab: Lab, database: Database, settings: dict[str, object]) -> None:
        self.database = database
        descriptor, name = tempfile.mkstemp(suffix=".log", dir=lab.work)
        self.log = Path(name)
        with open(descriptor, "w") as output:
            self.process = subprocess.Popen(
                [lab.program, "serve"],
                env=lab.environment(database, settings), cwd=lab.work,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )

    def wait(self) -> None:
        """Wait until it serves."""
        serving = wait_for("ak-stages", lambda: self.logged(message="serving"), self.process, self.log)
        self.base = f"http://{serving[0]['address']}"

    def logged(self, **fields: str) -> list[dict]:
        """The lines of the log with these fields."""
        lines = re.findall(r"^\{.*\}\n", self.log.read_text(), re.MULTILINE)
        return [line for line in map(json.loads, lines) if fields.items() <= line.items()]

    def client(self, token: str = ADMIN) -> Client:
        """Somebody who asks it."""
        return Client(self.base, token)
