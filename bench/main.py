"""Measures ak-stages; bench/run starts it."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from capture import Captured, capture_all
from cases import Case, Point, chosen, points
from cluster import Cluster, cluster
from load import Generators, Sample
from mails import mails
from report import ROOT, Report, row, surroundings
from seed import SMALLEST, Dataset
from server import Program, Server
from soak import soak

DUMP = ROOT / ".." / "shared" / "authentik-2025.12.4-base.sql.gz"
RESULTS = ROOT / "bench" / "results"
QUICK_CASES = [
    "retrieve", "stages-20", "invitation", "invitations-20", "invitations-search-one", "users-last",
    "create", "update", "delete",
]


def count(text: str) -> int:
    """A number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} isn't a number from 1")
    return int(text)


def size(text: str) -> int:
    """A number such as `1k`, `100k` or `1M`."""
    factor = {"k": 1_000, "M": 1_000_000}.get(text[-1:], 1)
    number = count(text[:-1] if factor > 1 else text) * factor
    if number < SMALLEST:
        raise argparse.ArgumentTypeError(f"there have to be {SMALLEST:,} invitations")
    return number


def program(text: str) -> Program:
    """A build, as `NAME=PATH`."""
    name, _, path = text.partition("=")
    if not name.isidentifier() or not os.access(path, os.X_OK):
        raise argparse.ArgumentTypeError(f"{text} isn't the name and the path of a program, NAME=PATH")
    return Program(name, Path(path).resolve())


def listed(item: Callable[[str], object]) -> Callable[[str], list]:
    """Items with commas between."""
    return lambda text: [item(part) for part in text.split(",")]


def options() -> argparse.Namespace:
    """What was asked for."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser = argparse.ArgumentParser(prog="bench/run", description="Measures ak-stages. See bench/README.md.")
    add = parser.add_argument
    add("--quick", action="store_true", help="one round of a second each, 1k invitations, 8 connections, own tables, a "
        "few cases: shows that everything works, and no more than orders of magnitude")
    add("--server", type=program, action="append", metavar="NAME=PATH", dest="servers",
        help="a build to measure; more than one take turns. Default: the release build")
    add("--cases", type=listed(str), help="names or patterns, such as retrieve,stages-*; default: all, or with --quick "
        "those that the chart shows and a few")
    add("--sizes", type=listed(size), help="how many invitations; as many stages and users, up to 100k. "
        "Default: 1k,100k,1M")
    add("--connections", type=listed(count), help="default: 1,8,64")
    add("--layouts", type=listed(str), help="own, attached or both, which is the default where the dump is there")
    add("--rounds", type=count, help="default: 5")
    add("--seconds", type=count, help="of each measurement; default: 3")
    add("--full", action="store_true", help="all numbers of connections with all sizes, and a writer with all cases: takes a night")
    add("--soak", type=count, metavar="SECONDS",
        help="at last, on the first database: a mixed load over 64 connections for so long, and the server's memory")
    add("--mails", type=count, metavar="NUMBER",
        help="after that, on the same database: so many mails that wait and are sent, and requests meanwhile")
    add("--dump", type=Path, default=DUMP, help="of an authentik 2025.12.4, for attached; default: %(default)s")
    add("--place", type=Path, default=Path("/var/tmp"),
        help="for the databases: some GB on a disk of the usual kind, since commits wait for it; default: %(default)s")
    add("--name", help="keep the results in bench/results/NAME; else they are in bench/results/local, not in git")
    chosen_options = parser.parse_args()

    def default(name: str, quick: object, usual: object) -> None:
        if getattr(chosen_options, name) is None:
            setattr(chosen_options, name, quick if chosen_options.quick else usual)

    default("servers", *[[Program("ak_stages", target / "release" / "ak-stages")]] * 2)
    default("cases", QUICK_CASES, ["*"])
    default("sizes", [1_000], [1_000, 100_000, 1_000_000])
    default("connections", [8], [1, 8, 64])
    default("layouts", ["own"], ["own", "attached"] if chosen_options.dump.exists() else ["own"])
    default("rounds", 1, 5)
    default("seconds", 1, 3)
    try:
        chosen_options.cases = chosen(chosen_options.cases)
    except ValueError as error:
        parser.error(str(error))
    if not set(chosen_options.layouts) <= {"own", "attached"}:
        parser.error("layouts are own and attached")
    if "attached" in chosen_options.layouts and not chosen_options.dump.exists():
        parser.error(f"attached takes a dump, and there is no {chosen_options.dump}")
    for server in chosen_options.servers:
        if not server.path.exists():
            parser.error(f"there is no {server.path}: cargo build --release, or make bench")
    return chosen_options


@dataclass
class Runner:
    """A server, the database that it alone uses, and what its requests take."""

    dataset: Dataset
    server: Server
    captured: dict[str, Captured]
    comparable: set[str]
    """The cases that pgbench can do as well."""


class Bench:
    """One run."""

    def __init__(self, cluster: Cluster, given: argparse.Namespace) -> None:
        self.cluster, self.given = cluster, given
        self.generators = Generators(cluster, given.seconds)
        quick = ", quick: this shows that it works, and no more than orders of magnitude" if given.quick else ""
        self.report = Report(surroundings(cluster, given.servers) | {
            "rounds": f"{given.rounds} of {given.seconds} s{quick}",
            "sizes": ", ".join(f"{number:,}" for number in given.sizes),
        })

    def points(self, invitations: int) -> list[Point]:
        """What is measured with this many invitations."""
        given = self.given
        return points(given.cases, given.connections, invitations == given.sizes[0], given.full)

    def seconds(self) -> int:
        """How long the load takes."""
        given = self.given
        measurements = 0
        for invitations in given.sizes:
            for point in self.points(invitations):
                measurements += len(given.servers) * (1 if point.case.writes else 2) + point.case.headline
        return measurements * len(given.layouts) * given.rounds * given.seconds

    def everything(self) -> None:
        """Measure all there is to measure."""
        say(f"{self.seconds() / 60:.1f} minutes of load, and about as much again for all around it")
        for layout in self.given.layouts:
            for invitations in self.given.sizes:
                self.databases(layout, invitations)

    def databases(self, layout: str, invitations: int) -> None:
        """Measure with one layout and one size: each server on a database of its own, that its own migrations made."""
        with ExitStack() as stack:
            runners = [self.runner(stack, program, layout, invitations) for program in self.given.servers]
            for point in self.points(invitations):
                self.point(runners, point)
            if self.given.soak and not self.report.soaks:
                for runner in runners:
                    self.soak(runner)
            if self.given.mails and not self.report.mails:
                for runner in runners:
                    self.mails(runner)

    def runner(self, stack: ExitStack, program: Program, layout: str, invitations: int) -> Runner:
        """Make a database and start a server on it, until the stack ends."""
        dataset = Dataset(self.cluster, program, layout, invitations)
        began = time.monotonic()
        dataset.make(self.given.dump)
        stack.callback(self.cluster.drop, dataset.name)
        captured = capture_all(dataset, self.given.cases)
        server = stack.enter_context(dataset.serve())
        self.report.starts.append({
            "server": program.name, "tables": layout, "invitations": invitations,
            "start to the first answer, ms": server.start_seconds * 1e3, "RSS then, MiB": server.resident_kib() / 1024,
        })
        say(f"{dataset.name}: filled in {time.monotonic() - began:.0f} s")
        comparable = {case.name for case in self.given.cases if self.is_comparable(dataset, case, captured[case.name])}
        return Runner(dataset, server, captured, comparable)

    def is_comparable(self, dataset: Dataset, case: Case, captured: Captured) -> bool:
        """Whether pgbench can do what a case's requests do; writes it can't, since their values are good for once."""
        self.report.statements.append({
            "database": dataset.name, "case": case.name, "settings": captured.settings,
            "statements": [statement.text for statement in captured.statements],
        })
        if case.writes:
            return False
        try:
            self.generators.pgbench(dataset.name, 1, captured, "-t1")
        except RuntimeError as error:
            self.report.notes.append(f"{dataset.name}, {case.name}: pgbench can't do the same, {error}")
            say(self.report.notes[-1])
            return False
        return True

    def point(self, runners: list[Runner], point: Point) -> None:
        """Measure a case: in each round all servers, each with pgbench right behind it, and `SELECT 1`."""
        samples: list[list[Sample]] = [[] for _ in runners]
        for _ in range(self.given.rounds):
            for runner, of_runner in zip(runners, samples, strict=True):
                sample = self.generators.measure(runner.server, runner.dataset, point)
                if point.case.name in runner.comparable:
                    sample.same_per_second = self.generators.same(
                        runner.dataset, point, runner.captured[point.case.name]
                    )
                of_runner.append(sample)
            if point.case.headline:
                select_1 = self.generators.select_1(runners[0].dataset, point)
                for of_runner in samples:
                    of_runner[-1].select_1_per_second = select_1
        for runner, of_runner in zip(runners, samples, strict=True):
            captured = runner.captured[point.case.name]
            made = row(runner.dataset, point, captured, of_runner, samples[0])
            self.report.rows.append(made)
            self.report.rounds += [
                {"database": runner.dataset.name, "point": str(point)} | asdict(sample) for sample in of_runner
            ]
            say(f"{runner.dataset.name}: {point}: {made.requests_per_second:,.0f} requests/s")
            if made.failed:
                self.report.notes.append(f"{runner.dataset.name}, {point}: {made.failed} requests failed")
                say(self.report.notes[-1])

    def soak(self, runner: Runner) -> None:
        """A long mixed load."""
        say(f"{runner.dataset.name}: {self.given.soak} seconds of mixed load")
        done = soak(self.generators, runner.server, runner.dataset, self.given.soak)
        self.report.soaks.append({
            "server": runner.dataset.program.name, "seconds": done.seconds,
            **{f"{kind}, requests": count for kind, count in sorted(done.requests.items())}, "failed": done.failed,
            "RSS, MiB, at the start and then ten times": " ".join(f"{mib:.1f}" for mib in done.resident_mib),
        })
        if done.failed:
            self.report.notes.append(f"{runner.dataset.name}, mixed load: {done.failed} requests failed")
            say(self.report.notes[-1])

    def mails(self, runner: Runner) -> None:
        """Many mails that wait."""
        given = self.given
        say(f"{runner.dataset.name}: {given.mails:,} mails")
        done = mails(self.generators, runner.dataset, given.mails, given.seconds * given.rounds)
        self.report.mails.append(done.figures)
        self.report.beside_mails += done.meanwhile
        failed = sum(load["failed"] for load in done.meanwhile)
        if failed or done.figures["came twice"]:
            self.report.notes.append(f"{runner.dataset.name}, mails: {failed} requests failed, or mails came twice")
            say(self.report.notes[-1])


def say(text: str) -> None:
    """Tell how far it is."""
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """Measure and write the results."""
    # SIGTERM ends this as Ctrl-C does: with everything stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    given = options()
    with cluster(Path(os.environ["PG_BIN"]), given.place) as postgresql:
        bench = Bench(postgresql, given)
        bench.everything()
    directory = RESULTS / (given.name or "local")
    bench.report.write(directory)
    say(f"results: {directory}/README.md")
    return 1 if bench.report.notes else 0


if __name__ == "__main__":
    sys.exit(main())
