"""The source with the size of output and δ beside each line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..._points.point import Point
from ..._source.packages import package_of
from ..._source.statements import has_source
from ..._walk.source_listing import Section as FunctionSource
from ..._walk.source_listing import sections_of
from ..record import Record
from ..section import Section
from ..sizes import Bar, Scale

PASSES = 5  # points of one line that are shown; of more, the first and the last
LINES = 4000  # of source, in all


class Entry(NamedTuple):
    """A point beside a line, or how many are left out there."""

    place: int | None
    text: str
    output: Bar | None
    delta: Bar | None


class Line(NamedTuple):
    """A line of source, and the points that stand on it."""

    number: int
    code: str
    entries: list[Entry]


class Listed(NamedTuple):
    """A function of the source."""

    title: str
    lines: list[Line]


def listing(record: Record) -> Section | None:
    """Return the user's functions that points stand in, in the order in which the run came to them; None if there are
    none."""
    theirs = lambda point: point.kind == "line" or package_of(point.file) == ""
    found = sections_of(p for p in record.points.values() if has_source(p.file) and theirs(p))
    scales = Scale(record, "output"), Scale(record, "delta")
    left, listed, left_out = LINES, [], 0
    for source in found:
        if len(source.source) <= left:
            left -= len(source.source)
            listed.append(_listed(record, source, scales))
        else:
            left_out += 1
    content = {"functions": listed, "left_out": left_out, "limit": LINES}
    return Section("listing", "The source, line by line", "listing.html", content) if listed else None


def _listed(record: Record, function: FunctionSource, scales: Sequence[Scale]) -> Listed:
    entries = lambda line: list(_entries(record, function.points.get(line, ()), scales))
    lines = [Line(line, code.expandtabs(4), entries(line)) for line, code in function.source.items()]
    return Listed(function.title, lines)


def _entries(record: Record, points: Sequence[Point], scales: Sequence[Scale]) -> Iterator[Entry]:
    left_out = len(points) - PASSES
    for i, point in enumerate(points):
        if left_out > 0 and i == PASSES - 1:
            yield Entry(None, f"… {left_out} more", None, None)
        if left_out <= 0 or i < PASSES - 1 or i == len(points) - 1:
            output, delta = (scale.bar(record.sizes.get(point.name)) for scale in scales)
            yield Entry(record.place(point.name), point.name, output, delta)
