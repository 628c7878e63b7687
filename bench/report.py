"""What came of a run: medians and ratios, as JSON, CSV and Markdown; `chart.py` draws them."""

from __future__ import annotations

import csv
import json
import os
import platform
import re
import statistics
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

import chart
import soak
from capture import Captured
from cases import CASES, Point
from cluster import Cluster
from load import Sample
from seed import Dataset
from server import Program

ROOT = Path(__file__).parent.parent


@dataclass
class Row:
    """A server at a point: the medians of its rounds. Units are in the names."""

    layout: str
    invitations: int
    case: str
    connections: int
    writer: bool
    server: str
    requests_per_second: float
    p50_ms: float | None
    p99_ms: float | None
    server_cpu_us: float | None
    postgresql_cpu_us: float | None
    answer_bytes: float | None
    statements: float | None
    """Statements a request, under the load."""
    round_trips: int
    """Of a warm request that is sent alone; pings are among them."""
    transactions: int
    """Of the same request."""
    alone_ms: float
    """The time of the same request, logging included: for what takes longer than a round."""
    resident_mib: float
    same_per_second: float | None
    select_1_per_second: float | None
    of_same: float | None
    """Requests for each of pgbench's transactions: the median of the rounds' ratios."""
    of_select_1: float | None
    of_first: float | None
    """Requests for each of the first server's, in the same way."""
    failed: int
    """The sum of all rounds."""


COLUMNS = {
    "case": "case",
    "connections": "conn.",
    "writer": "writer",
    "server": "server",
    "requests_per_second": "req/s",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "alone_ms": "alone ms",
    "server_cpu_us": "server CPU µs",
    "postgresql_cpu_us": "PostgreSQL CPU µs",
    "answer_bytes": "bytes",
    "statements": "statements",
    "round_trips": "round trips",
    "transactions": "transactions",
    "resident_mib": "RSS MiB",
    "of_same": "× same",
    "of_select_1": "× SELECT 1",
    "of_first": "× first",
    "failed": "failed",
}
"""Those of the Markdown tables, and their heads."""


def median(values: Iterable[float | None]) -> float | None:
    """The median of those that there are."""
    there = [value for value in values if value is not None]
    return statistics.median(there) if there else None


def ratio(above: Iterable[float], below: Iterable[float | None]) -> float | None:
    """The median of the rounds' ratios: both sides of each were measured within seconds."""
    return median(one / other if other else None for one, other in zip(above, below, strict=True))


def row(dataset: Dataset, point: Point, captured: Captured, samples: list[Sample], first: list[Sample]) -> Row:
    """What the rounds of a server come to; `first` are those of the first server."""
    medians = {
        name: median(getattr(sample, name) for sample in samples)
        for name in asdict(samples[0]) if name in Row.__dataclass_fields__
    }
    speeds = [sample.requests_per_second for sample in samples]
    return Row(**medians | {
        "layout": dataset.layout,
        "invitations": dataset.invitations,
        "case": point.case.name,
        "connections": point.connections,
        "writer": point.writer,
        "server": dataset.program.name,
        "round_trips": captured.round_trips,
        "transactions": captured.transactions,
        "alone_ms": captured.alone_ms,
        "of_same": ratio(speeds, [sample.same_per_second for sample in samples]),
        "of_select_1": ratio(speeds, [sample.select_1_per_second for sample in samples]),
        "of_first": ratio(speeds, [sample.requests_per_second for sample in first]) if first is not samples else None,
        "failed": sum(sample.failed for sample in samples),
    })


def output_of(*command: object) -> str | None:
    """What a program prints; `None` where there is no such program, or nothing that it could tell."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    except OSError:
        return None
    return None if done.returncode else done.stdout.strip()


def surroundings(cluster: Cluster, programs: Iterable[Program]) -> dict[str, object]:
    """The machine, the versions, the commit, the date."""
    processor = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = int(re.search(r"^MemTotal:\s+(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)[1])
    wrk = subprocess.run(["wrk", "-v"], capture_output=True, text=True).stdout.splitlines()[0]
    changed = " with changes" if output_of("git", "status", "--porcelain") else ""
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": (output_of("git", "rev-parse", "HEAD") or "unknown") + changed,
        "machine": f"{processor[1] if processor else platform.machine()}, {os.cpu_count()} cores, "
        f"{memory / 2**20:.0f} GiB",
        "kernel": platform.release(),
        "rustc": output_of("rustc", "--version") or "unknown",
        "PostgreSQL": output_of(cluster.binaries / "postgres", "--version"),
        "wrk": wrk.partition(" Copyright")[0],
        "servers": {
            program.name: f"{program.version()}, {program.path.stat().st_size / 1e6:.1f} MB" for program in programs
        },
    }


class Report:
    """All rows of a run, and what has to be said with them."""

    def __init__(self, run: dict[str, object]) -> None:
        self.run = run
        """Surroundings and options."""
        self.rows: list[Row] = []
        self.rounds: list[dict[str, object]] = []
        self.statements: list[dict[str, object]] = []
        self.starts: list[dict[str, object]] = []
        self.soaks: list[dict[str, object]] = []
        self.mails: list[dict[str, object]] = []
        self.beside_mails: list[dict[str, object]] = []
        self.notes: list[str] = []

    def write(self, directory: Path) -> None:
        """Write everything into a directory."""
        directory.mkdir(parents=True, exist_ok=True)
        rows = [asdict(row) for row in self.rows]
        everything = {
            "run": self.run, "notes": self.notes, "starts": self.starts, "soaks": self.soaks, "rows": rows,
            "mails": self.mails, "beside mails": self.beside_mails, "statements": self.statements, "rounds": self.rounds,
        }
        (directory / "results.json").write_text(json.dumps(everything, indent=1) + "\n")
        with (directory / "results.csv").open("w", newline="") as file:
            table = csv.DictWriter(file, list(Row.__dataclass_fields__), lineterminator="\n")
            table.writeheader()
            table.writerows(rows)
        (directory / "results.svg").write_text(chart.draw(self.rows))
        (directory / "README.md").write_text(self.markdown())

    def markdown(self) -> str:
        """The tables."""
        lines = ["# Results of `make bench`", "", "![Requests a second and latencies](results.svg)", ""]
        lines += ["| | |", "|---|---|"]
        for name, value in self.run.items():
            shown = "; ".join(f"{key}: {item}" for key, item in value.items()) if isinstance(value, dict) else value
            lines.append(f"| {name} | {shown} |")
        lines += ["", "Medians of the rounds; `bench/README.md` says what the columns mean.", ""]
        lines += [f"- {note}" for note in self.notes] + [""] * bool(self.notes)
        lines += table(self.starts)
        for layout, invitations in dict.fromkeys((row.layout, row.invitations) for row in self.rows):
            here = [row for row in self.rows if (row.layout, row.invitations) == (layout, invitations)]
            lines += ["", f"## {invitations:,} invitations, {layout} tables", ""]
            lines += table([{head: getattr(row, name) for name, head in used(here).items()} for row in here])
        if self.soaks:
            lines += ["", f"## Mixed load over {soak.CONNECTIONS} connections", "", *table(self.soaks)]
        if self.mails:
            lines += ["", "## Mails that wait", "", *table(self.mails), "", *table(self.beside_mails)]
        lines += ["", "## Cases", ""]
        lines += [f"- `{case.name}`: {case.about}" for case in CASES]
        return "\n".join(lines) + "\n"


def used(rows: list[Row]) -> dict[str, str]:
    """The columns that say something."""
    return {
        name: head for name, head in COLUMNS.items() if any(getattr(row, name) not in (None, False) for row in rows)
    }


def table(items: list[dict[str, object]]) -> list[str]:
    """A Markdown table; the keys are its head."""
    if not items:
        return []
    lines = ["| " + " | ".join(items[0]) + " |", "|" + "---|" * len(items[0])]
    return lines + ["| " + " | ".join(shown(value) for value in item.values()) + " |" for item in items]


def shown(value: object) -> str:
    """A value in a cell: three significant digits."""
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return "–" if value is None else str(value)
