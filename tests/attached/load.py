"""Many clients at once: behind a PgBouncer, and on two replicas of which one dies."""

import itertools
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from client import Answer, Client
from lab import Database, Lab, free_port, listens, stop, wait_for
from report import Report

CLIENTS = 20
SECONDS = 4


class Worker:
    """Writes and reads email stages of its own, and remembers what was acknowledged."""

    def __init__(self, number: int, bases: list[str]) -> None:
        self.number, self.random = number, random.Random(number)
        self.clients = [Client(base) for base in bases]
        self.statuses: Counter[int] = Counter()
        self.unanswered = self.stale = 0
        self.hosts: dict[str, str] = {}  # by key, of the stages that are there
        self.deleted: set[str] = set()

    def run(self, stopped: threading.Event) -> None:
        for count in itertools.count():
            if stopped.is_set():
                break
            act = self.random.choices([self.create, self.change, self.read, self.delete], [4, 3, 4, 1])[0]
            if act == self.create or self.hosts:
                act(f"w{self.number}-{count}")

    def send(self, method: str, path: str, body: dict | None = None) -> Answer | None:
        """Ask any server; `None` for no answer: then nobody knows what was done, and another server is asked next."""
        client = self.random.choice(self.clients)
        try:
            answer = client.send(method, path, body)
        except OSError:
            self.unanswered += 1
            self.clients = [other for other in self.clients if other is not client] or [client]
            return None
        self.statuses[answer.status] += 1
        return answer

    def some(self) -> tuple[str, str]:
        return self.random.choice(list(self.hosts.items()))

    def create(self, name: str) -> None:
        answer = self.send("POST", "/stages/email/", {"name": name, "host": name})
        if answer and answer.status == 201:
            self.hosts[answer.body["pk"]] = name

    def read(self, _: str) -> None:
        pk, host = self.some()
        answer = self.send("GET", f"/stages/email/{pk}/")
        self.stale += bool(answer and answer.status == 200 and answer.body["host"] != host)

    def change(self, name: str) -> None:
        pk, host = self.some()
        answer = self.send("PATCH", f"/stages/email/{pk}/", {"host": name})
        del self.hosts[pk]
        if answer:
            self.hosts[pk] = name if answer.status == 200 else host

    def delete(self, _: str) -> None:
        pk, host = self.some()
        answer = self.send("DELETE", f"/stages/email/{pk}/")
        del self.hosts[pk]
        if answer and answer.status == 204:
            self.deleted.add(pk)
        elif answer:
            self.hosts[pk] = host


def work(report: Report, database: Database, bases: list[str], halfway: Callable[[], object]) -> list[Worker]:
    """Let all clients work for some time, then compare what they were told with what is in the database."""
    stopped = threading.Event()
    workers = [Worker(number, bases) for number in range(CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as pool:
        running = [pool.submit(worker.run, stopped) for worker in workers]
        try:
            time.sleep(SECONDS / 2)
            halfway()
            time.sleep(SECONDS / 2)
        finally:
            stopped.set()
        for done in running:
            done.result()

    statuses = sum((worker.statuses for worker in workers), Counter())
    by_status = dict(sorted(statuses.items()))
    report.same(f"{statuses.total()} answers to {CLIENTS} clients: {by_status}", list(by_status), [200, 201, 204])
    report.same("every read shows what was acknowledged before", sum(worker.stale for worker in workers), 0)
    rows = database.rows("SELECT stage_ptr_id AS pk, host FROM authentik_stages_email_emailstage")
    stored = {row["pk"]: row["host"] for row in rows}
    hosts = {pk: host for worker in workers for pk, host in worker.hosts.items()}
    wrong = {pk: (host, stored.get(pk)) for pk, host in hosts.items() if stored.get(pk) != host}
    report.check(f"{len(hosts)} stages are in the database as acknowledged", hosts and not wrong, wrong)
    deleted = set().union(*(worker.deleted for worker in workers))
    back = deleted & stored.keys()
    report.check(f"{len(deleted)} deleted ones are gone", deleted and not back, back)
    return workers


@contextmanager
def pooler(lab: Lab):
    """A PgBouncer in transaction mode with three connections to PostgreSQL; its port."""
    directory, port = lab.directory("pgbouncer"), free_port()
    (directory / "users").write_text('"postgres" ""\n')
    (directory / "ini").write_text(f"""
        [databases]
        * = host={lab.files} port={lab.port}
        [pgbouncer]
        listen_addr = 127.0.0.1
        listen_port = {port}
        unix_socket_dir =
        auth_type = trust
        auth_file = {directory}/users
        pool_mode = transaction
        default_pool_size = 3
        ignore_startup_parameters = extra_float_digits
        """)
    log = directory / "log"
    process = lab.daemon(["pgbouncer", directory / "ini"], log)
    try:
        wait_for("PgBouncer", lambda: listens(port), process, log)
        yield port
    finally:
        stop(process, signal.SIGINT)


def pgbouncer(lab: Lab, report: Report) -> None:
    """Behind a PgBouncer in transaction mode with three connections"""
    with pooler(lab) as port:
        through = {
            "AUTHENTIK_POSTGRESQL__HOST": "127.0.0.1",
            "AUTHENTIK_POSTGRESQL__PORT": port,
            "AUTHENTIK_POSTGRESQL__USE_PGBOUNCER": "true",
        }
        database = lab.fresh()
        others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        connections = []
        with lab.serve(database, **through) as server:
            replay = lab.replay(server, "attached")
            report.check(f"attached-public: {replay.line}", replay.same, replay.report)
            workers = work(report, database, [server.base], lambda: connections.append(database.value(others)))
            report.same("every request was answered", sum(worker.unanswered for worker in workers), 0)
            report.same("the clients shared the connections", connections, [3])
        doctor = lab.ak_stages(database, "doctor", **through)
        report.check("`ak-stages doctor` ends with status 0", doctor.returncode == 0, doctor.stdout + doctor.stderr)
        with lab.serve(lab.wiped.copy(), **through) as server:
            found = lab.replay(server, "core")
        more = found.differences() - lab.best("core").differences()
        report.check(f"core-public: {found.line}, nothing because of PgBouncer", not more, more)


def replicas(lab: Lab, report: Report) -> None:
    """Two replicas on one database, one of them killed with SIGKILL during writes"""
    database = lab.fresh()
    with lab.serve(database) as doomed, lab.serve(database) as survivor:
        workers = work(report, database, [doomed.base, survivor.base], lambda: stop(doomed.process, signal.SIGKILL))
    hit = sum(worker.unanswered for worker in workers)
    report.check(f"{hit} requests to the killed one had no answer, at most one a client", 0 < hit <= CLIENTS)
    made = sum(worker.statuses[201] for worker in workers)
    events = database.value("SELECT count(*) FROM authentik_events_event WHERE action = 'model_created'")
    report.check(f"{made} acknowledged creations have left {events} events", made <= events <= made + hit)
