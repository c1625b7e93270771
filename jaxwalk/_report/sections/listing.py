"""The source with the size of output and δ beside each line."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ..._points.point import Point
from ..._source.packages import package_of
from ..._source.statements import Function, function_at, has_source, lines_of, text_of
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
    places: dict[tuple[str, Function | None], dict[int, list[Point]]] = {}
    for point in record.points.values():
        if has_source(point.file) and (point.kind == "line" or package_of(point.file) == ""):
            lines = places.setdefault((point.file, function_at(point.file, point.line)), {})
            lines.setdefault(point.line, []).append(point)
    scales = Scale(record, "output"), Scale(record, "delta")
    left, listed, left_out = LINES, [], 0
    for (file, function), points in places.items():
        found = _listed(record, file, function, points, scales)
        if len(found.lines) <= left:
            left -= len(found.lines)
            listed.append(found)
        else:
            left_out += 1
    content = {"functions": listed, "left_out": left_out, "limit": LINES}
    return Section("listing", "The source, line by line", "listing.html", content) if listed else None


def _listed(
    record: Record, file: str, function: Function | None, points: Mapping[int, Sequence[Point]], scales: Sequence[Scale]
) -> Listed:
    name = os.path.basename(file)
    if function is None:
        source = {line: text_of(file, line) for line in sorted(points)}
    else:
        source = dict(enumerate(lines_of(file, function), function.first))
        name = f"{function.name}, {name}"
    entries = lambda line: list(_entries(record, points.get(line, ()), scales))
    return Listed(name, [Line(line, code.expandtabs(4), entries(line)) for line, code in source.items()])


def _entries(record: Record, points: Sequence[Point], scales: Sequence[Scale]) -> Iterator[Entry]:
    left_out = len(points) - PASSES
    for i, point in enumerate(points):
        if left_out > 0 and i == PASSES - 1:
            yield Entry(None, f"… {left_out} more", None, None)
        if left_out <= 0 or i < PASSES - 1 or i == len(points) - 1:
            output, delta = (scale.bar(record.sizes.get(point.name)) for scale in scales)
            yield Entry(record.place(point.name), point.name, output, delta)
