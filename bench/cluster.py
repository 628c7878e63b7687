"""A private PostgreSQL for one run: durable as in production, with what it takes to look into it."""

from __future__ import annotations

import csv
import os
import pwd
import signal
import socket
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": 200,
    "shared_buffers": "256MB",
    # Nothing that comes and goes by itself in the middle of a measurement.
    "autovacuum": "off",
    "checkpoint_timeout": "1h",
    "max_wal_size": "8GB",
    # To count statements, and to see with which settings they are planned.
    "shared_preload_libraries": "pg_stat_statements,auto_explain",
    "auto_explain.log_settings": "on",
    "auto_explain.log_format": "json",
    # `log_statement` is off but for one role, so that the log costs the measured servers nothing.
    "logging_collector": "on",
    "log_destination": "csvlog",
    "log_filename": "postgresql.log",
    "log_rotation_age": 0,
    "log_rotation_size": 0,
}

# Who connects: the measured servers and pgbench; another client that writes; the server whose statements are logged.
BENCH, WRITER, CAPTURE = "bench", "writer", "capture"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(what: str, ready: Callable[[], object], seconds: float = 30, pause: float = 0.02) -> None:
    """Return once `ready` says so; an error if that takes too long."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what}: not after {seconds:.0f} seconds")
        time.sleep(pause)


def stop(process: subprocess.Popen, how: signal.Signals) -> None:
    """End a process."""
    process.send_signal(how)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class ProcessTimes:
    """A process's parent and CPU times, from `/proc/<pid>/stat`."""

    def __init__(self, pid: int) -> None:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks = os.sysconf("SC_CLK_TCK")
        self.parent = int(fields[1])
        self.own = (int(fields[11]) + int(fields[12])) / ticks
        """Seconds of user and system time of all threads."""
        self.ended_children = (int(fields[13]) + int(fields[14])) / ticks
        """The same of children that were waited for."""


class Cluster:
    """The PostgreSQL."""

    def __init__(self, binaries: Path, directory: Path) -> None:
        self.binaries, self.directory, self.port = binaries, directory, free_port()
        # PostgreSQL refuses to run as root.
        self.account = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        if self.account:
            os.chown(directory, self.account.pw_uid, self.account.pw_gid)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Make it, and run it as long as the context."""
        self.tool("initdb", "-D", "data", "-U", "postgres", "-A", "trust", "--locale=C.UTF-8", "-E", "UTF8")
        settings = SETTINGS | {
            "port": self.port, "unix_socket_directories": self.directory, "log_directory": self.directory
        }
        command = [self.binaries / "postgres", "-D", "data", *(f"-c{name}={value}" for name, value in settings.items())]
        early_log = self.directory / "start.log"
        with early_log.open("w") as output:
            self.process = subprocess.Popen(
                command, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                **self.user,
            )
        try:
            wait_for("PostgreSQL starts", lambda: self.process.poll() is not None or self.answers())
            if self.process.poll() is not None:
                raise RuntimeError(f"PostgreSQL does not start: {early_log.read_text()}")
            self.make_roles()
            yield
        finally:
            stop(self.process, signal.SIGQUIT)  # nothing in it is of use any more

    def make_roles(self) -> None:
        """`BENCH` owns the databases, the others may do the same with them."""
        self.sql("postgres", f"""
            CREATE EXTENSION pg_stat_statements;
            CREATE ROLE {BENCH} LOGIN;
            CREATE ROLE {WRITER} LOGIN IN ROLE {BENCH};
            CREATE ROLE {CAPTURE} LOGIN IN ROLE {BENCH};
            ALTER ROLE {CAPTURE} SET log_statement = 'all';
            ALTER ROLE {CAPTURE} SET auto_explain.log_min_duration = 0;
        """)

    @property
    def user(self) -> dict[str, object]:
        """How `subprocess` is told to run something as PostgreSQL's user."""
        if not self.account:
            return {}
        return {"user": self.account.pw_uid, "group": self.account.pw_gid, "extra_groups": []}

    def answers(self) -> bool:
        """Whether it takes connections."""
        command = [self.binaries / "pg_isready", "-q", "-h", self.directory, "-p", str(self.port)]
        return subprocess.run(command).returncode == 0

    def tool(self, name: str, *arguments: str, role: str = "postgres", stdin: str | None = None) -> str:
        """What one of PostgreSQL's programs prints."""
        place = {"PGHOST": str(self.directory), "PGPORT": str(self.port), "PGUSER": role}
        done = subprocess.run(
            [self.binaries / name, *arguments],
            input=stdin, capture_output=True, text=True, cwd=self.directory, env=os.environ | place, **self.user,
        )
        if done.returncode:
            raise RuntimeError(f"{name} {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def sql(self, database: str, statements: str, role: str = "postgres") -> list[str]:
        """Run statements; the rows of their answers, columns with `|` between."""
        arguments = ("-XqAt", "-v", "ON_ERROR_STOP=1", "-d", database)
        return self.tool("psql", *arguments, role=role, stdin=statements).splitlines()

    def create(self, database: str) -> None:
        """Make an empty database."""
        self.tool("createdb", "-T", "template0", "-O", BENCH, database)

    def drop(self, database: str) -> None:
        """Remove one."""
        self.tool("dropdb", "--force", database)

    def url(self, database: str, role: str = BENCH, port: int | None = None) -> str:
        """A `DATABASE_URL`, perhaps with the port of a relay."""
        return f"postgres://{role}@127.0.0.1:{port or self.port}/{database}?sslmode=disable"

    def cpu(self) -> float:
        """Seconds of CPU of all its processes so far, those that have ended included."""
        while True:
            before = ProcessTimes(self.process.pid)
            total = before.own + before.ended_children + sum(child.own for child in self.children())
            # The times of a process that ended meanwhile may be in neither sum, so the sums have to be made again.
            if ProcessTimes(self.process.pid).ended_children == before.ended_children:
                return total

    def children(self) -> Iterator[ProcessTimes]:
        """The server's processes but for the first, whose children they all are."""
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                with suppress(OSError):  # ended meanwhile
                    times = ProcessTimes(int(entry.name))
                    if times.parent == self.process.pid:
                        yield times

    def statements(self, database: str) -> Counter[str]:
        """How many statements each role has run in a database.

        The look-ups of foreign keys count as statements of a client when they are deferred to the commit: not here.
        """
        rows = self.sql("postgres", rf"""
            SELECT r.rolname, sum(s.calls) FROM pg_stat_statements s
            JOIN pg_database d ON d.oid = s.dbid JOIN pg_roles r ON r.oid = s.userid
            WHERE d.datname = '{database}' AND s.query !~ '^SELECT (1|\$[0-9]+) FROM ONLY ' GROUP BY r.rolname
        """)
        return Counter({role: int(calls) for role, calls in (row.split("|") for row in rows)})

    def settle(self, database: str) -> None:
        """Wait until nobody computes anything in a database: what a client gave up goes on for a while."""
        busy = f"SELECT FROM pg_stat_activity WHERE datname = '{database}' AND state = 'active'"
        wait_for(f"{database} comes to rest", lambda: self.sql("postgres", f"SELECT NOT EXISTS ({busy})") == ["t"], 60)

    @contextmanager
    def capture(self) -> Iterator[list[list[str]]]:
        """Lines of the log (the columns of PostgreSQL's csvlog): those of `CAPTURE` while the context lasted."""
        path, lines = self.directory / "postgresql.csv", []
        begin, end = f"{time.monotonic_ns()} begins", f"{time.monotonic_ns()} ends"
        start = path.stat().st_size
        self.mark(begin)
        yield lines
        self.mark(end)
        seen: list[list[str]] = []

        def complete() -> bool:
            with path.open(newline="") as log:
                log.seek(start)
                seen[:] = [line for line in csv.reader(log) if len(line) > 14 and line[1] == CAPTURE]
            return find(seen, end) is not None

        wait_for("PostgreSQL logs", complete)
        lines += seen[find(seen, begin) + 2 : find(seen, end)]  # a mark has two lines, the second is its plan

    def mark(self, text: str) -> None:
        """Put a line into the log of `CAPTURE`."""
        self.sql("postgres", f"SELECT '{text}'", role=CAPTURE)


def find(lines: list[list[str]], mark: str) -> int | None:
    """Where a log has a mark."""
    return next((index for index, line in enumerate(lines) if line[13] == f"statement: SELECT '{mark}'"), None)


@contextmanager
def cluster(binaries: Path, place: Path) -> Iterator[Cluster]:
    """A PostgreSQL with its files in a directory below `place`, both gone when the context ends."""
    with tempfile.TemporaryDirectory(prefix="ak-stages-bench-", dir=place) as directory:
        os.chmod(directory, 0o755)  # for PostgreSQL's user
        files = Path(directory, "postgresql")
        files.mkdir()
        made = Cluster(binaries, files)
        with made.running():
            yield made
