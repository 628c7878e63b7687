"""Draws the results: SVG by hand, no library."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from cases import CASES, plural, usual_connections

if TYPE_CHECKING:
    from report import Row

WIDTH, MARGIN, LABELS, VALUES = 860, 20, 210, 90
LINE, GAP, BETWEEN_PANELS = 15, 9, 34
SERVERS = ["#1f77b4", "#d62728", "#9467bd", "#8c564b"]
SAME, SELECT_1 = "#7f7f7f", "#c7c7c7"
SIZES = ["#9ecae1", "#4292c6", "#08519c", "#08306b"]


class Drawing:
    """Shapes one below the other."""

    def __init__(self) -> None:
        self.shapes: list[str] = []
        self.y = MARGIN

    def text(self, x: float, text: str, anchor: str = "start", weight: str = "normal") -> None:
        """A text on the current line."""
        self.shapes.append(
            f'<text x="{x:.0f}" y="{self.y + LINE - 4:.0f}" text-anchor="{anchor}" font-weight="{weight}">'
            f"{escape(text)}</text>"
        )

    def bar(self, share: float, colour: str, value: str) -> None:
        """A bar on a line of its own, `share` of the full length, with its value behind."""
        length = max(1, share * (WIDTH - 2 * MARGIN - LABELS - VALUES))
        x = MARGIN + LABELS
        self.shapes.append(
            f'<rect x="{x}" y="{self.y + 1:.0f}" width="{length:.1f}" height="{LINE - 3}" fill="{colour}"/>'
        )
        self.text(x + length + 5, value)
        self.y += LINE

    def head(self, title: str, legend: Iterable[tuple[str, str]]) -> None:
        """The title of a panel, and what its colours are."""
        self.text(MARGIN, title, weight="bold")
        self.y += LINE + 5
        x = MARGIN
        for name, colour in legend:
            self.shapes.append(f'<rect x="{x}" y="{self.y + 2:.0f}" width="10" height="10" fill="{colour}"/>')
            self.text(x + 15, name)
            x += 30 + 7 * len(name)
        self.y += LINE + GAP

    def svg(self) -> str:
        """All of it."""
        body = "\n".join(self.shapes)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{self.y + MARGIN:.0f}" '
            'font-family="sans-serif" font-size="12">\n'
            f'<rect width="100%" height="100%" fill="#fff"/>\n{body}\n</svg>\n'
        )


def draw(rows: Sequence[Row]) -> str:
    """What the headlines reach beside pgbench; and how latencies grow, where there is more than one size.

    Throughput at the usual number of connections, latency at the fewest; nobody writes.
    """
    connections = {row.connections for row in rows}
    quiet = [row for row in rows if not row.writer]
    busy = [row for row in quiet if row.connections == usual_connections(connections)]
    calm = [row for row in quiet if row.connections == min(connections)]
    drawing = Drawing()
    sizes = list(dict.fromkeys(row.invitations for row in rows))
    for layout in dict.fromkeys(row.layout for row in rows):
        throughput(drawing, [row for row in busy if (row.layout, row.invitations) == (layout, sizes[0])], layout)
        for server in dict.fromkeys(row.server for row in rows) if len(sizes) > 1 else ():
            latency(drawing, [row for row in calm if (row.layout, row.server) == (layout, server)], layout, sizes)
    return drawing.svg()


def throughput(drawing: Drawing, rows: Sequence[Row], layout: str) -> None:
    """Requests a second, on a linear scale."""
    headlines = [case.name for case in CASES if case.headline or case.writes]
    rows = [row for row in rows if row.case in headlines]
    if not rows:
        return
    colours = dict(zip(dict.fromkeys(row.server for row in rows), SERVERS))
    drawing.head(
        f"Requests a second, {plural(rows[0].connections)}, {rows[0].invitations:,} invitations, {layout} tables",
        [*colours.items(), ("pgbench, the same statements", SAME), ("pgbench, SELECT 1", SELECT_1)],
    )
    longest = max(max(row.requests_per_second, row.same_per_second or 0, row.select_1_per_second or 0) for row in rows)
    for case in dict.fromkeys(row.case for row in rows):
        of_case = [row for row in rows if row.case == case]
        drawing.text(MARGIN, case)
        bars = [(row.requests_per_second, colours[row.server]) for row in of_case]
        # The first server's statements stand for all.
        bars += [(of_case[0].same_per_second, SAME), (of_case[0].select_1_per_second, SELECT_1)]
        for value, colour in bars:
            if value is not None:
                drawing.bar(value / longest, colour, f"{value:,.0f}")
        drawing.y += GAP
    drawing.y += BETWEEN_PANELS


def latency(drawing: Drawing, rows: Sequence[Row], layout: str, sizes: Sequence[int]) -> None:
    """Medians of the latency of one server, on a logarithmic scale."""
    rows = [row for row in rows if row.p50_ms]
    if not rows:
        return
    colours = dict(zip(sizes, SIZES))
    drawing.head(
        f"Median latency of {rows[0].server} in ms, {plural(rows[0].connections)}, {layout} tables, logarithmic",
        [(f"{size:,} invitations", colour) for size, colour in colours.items()],
    )
    low = math.floor(math.log10(min(row.p50_ms for row in rows)))
    high = max(math.log10(max(row.p50_ms for row in rows)), low + 1)
    for case in dict.fromkeys(row.case for row in rows):
        drawing.text(MARGIN, case)
        for row in rows:
            if row.case == case:
                share = (math.log10(row.p50_ms) - low) / (high - low)
                drawing.bar(share, colours[row.invitations], f"{row.p50_ms:,.3g}")
        drawing.y += GAP
    drawing.y += BETWEEN_PANELS
