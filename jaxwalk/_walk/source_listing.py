"""The source of what was walked, line by line, with what came out of each line beside it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import NamedTuple

from .._errors import ArgumentError, PointError, shown
from .._points.point import Point
from .._printable import printable
from .._show.alike import ranged
from .._show.fit import as_html, as_lines, as_text
from .._show.table import Table
from .._source.statements import Function, function_at, has_source, lines_of, text_of
from .result import Walk
from .result_table import COLUMNS, SIZES, health_notes, kink_notes, row_of

LIMIT = 5  # rows for one line, beyond which those in the middle are folded


class Listing:
    """The listing of a walk: a table for each function, in the order in which the run came to them.

    Shown as text in a terminal and as HTML in a notebook.
    """

    def __init__(self, tables: Sequence[Table], notes: Sequence[str] = ()):
        self._tables, self._notes = tuple(tables), tuple(notes)

    def __repr__(self) -> str:
        notes = "\n".join(as_lines(printable(note)) for note in self._notes)
        return "\n\n".join([*map(as_text, self._tables), *[notes] * bool(notes)])

    def _repr_html_(self) -> str:
        return "".join([*map(as_html, self._tables), *(f"<p>{escape(printable(note))}</p>" for note in self._notes)])


def listing(walk: Walk) -> Listing:
    """List the source, line by line, each with the size of its output and of its δ beside it.

    Like a debugger that has stepped through the run, forward and then backward. A line that ran several times has a
    row for each pass; those in the middle are folded where there are more than five. Lines that no point stands on are
    there, with nothing beside them. Where the source cannot be read, as of the plain Python prompt before 3.13, the
    numbers of the lines stand alone, and a note says so.
    With `Walk.with_kinks` there is a column `kinks`, with `Walk.with_health` a column `health`.

    Arguments:
        walk: what `jw.walk` returned; by="lines" gives a point for every line.

    Raises:
        ArgumentError: it is no `Walk`.
        PointError: none of its points says where in the source it is.

    >>> import jax.numpy as jnp, jaxwalk as jw
    >>> listed = jw.listing(jw.walk(lambda x: jnp.sum(jw.tag(x * x, "square")))(jnp.array([1.0, 2.0])))
    """
    found = sections(walk)
    return Listing(
        [_table(walk, section) for section in found], [*without_source(found), *health_notes(walk), *kink_notes(walk)]
    )


class Section(NamedTuple):
    """A function in which points are, or of a file the lines outside all functions.

    Attributes:
        title: what it is, and of which file.
        file: the file.
        source: its lines by their numbers; where there is no source, those with points alone, empty.
        points: the points that stand on a line, by its number.
    """

    title: str
    file: str
    source: dict[int, str]
    points: dict[int, list[Point]]


def sections(walk: Walk) -> list[Section]:
    """Return the functions in which points of a walk are, in the order in which the run came to them.

    Raises:
        ArgumentError: it is no `Walk`.
        PointError: none of its points says where in the source it is.
    """
    if not isinstance(walk, Walk):
        raise ArgumentError(f"`walk` is {shown(walk)}, which is no `Walk`; give what `jw.walk(fun)(...)` returns.")
    found = sections_of(point for point in walk.points.values() if point.file)
    if not found:
        raise PointError("No point of this walk says where in the source it is; there is nothing to list.")
    return found


def sections_of(points: Iterable[Point]) -> list[Section]:
    """Return the functions in which points are that say where they are, in the order of the points."""
    places: dict[tuple[str, Function | None], dict[int, list[Point]]] = {}
    for point in points:
        lines = places.setdefault((point.file, function_at(point.file, point.line)), {})
        lines.setdefault(point.line, []).append(point)
    return [_section(file, function, lines) for (file, function), lines in places.items()]


def _section(file: str, function: Function | None, points: dict[int, list[Point]]) -> Section:
    name = os.path.basename(file)
    if function is None:  # in no function, or there is no source
        return Section(name, file, {line: text_of(file, line) for line in sorted(points)}, points)
    source = dict(enumerate(lines_of(file, function), function.first))
    return Section(f"{function.name}, {name}", file, source, points)


def without_source(found: Iterable[Section]) -> Iterator[str]:
    """Yield a sentence for each file that has no source to show."""
    for file in dict.fromkeys(section.file for section in found if not has_source(section.file)):
        name = os.path.basename(file)
        yield f"There is no source of `{name}` to show; put the function into a file or a notebook, which keep it."


def _table(walk: Walk, section: Section) -> Table:
    source, points = section.source.items(), section.points
    rows = [row for line, code in source for row in _rows(walk, line, code, points.get(line, ()))]
    lead, right, words = ("line", "source", "point"), ("line", *SIZES), ("kept", "note")
    return Table(section.title, ("line", "source", *COLUMNS), rows, right, (), ("source",), lead, ("point",), words)


def _rows(walk: Walk, line: int, code: str, points: Sequence[Point]) -> Iterator[tuple[str, ...]]:
    cells = [row_of(walk, point) for point in points]
    if len(cells) > LIMIT:
        middle = cells[LIMIT - 2 : -1]
        cells = [*cells[: LIMIT - 2], _folded(middle), cells[-1]]
    cells = cells or [("",) * len(COLUMNS)]
    yield (str(line), code.expandtabs(4), *cells[0])
    yield from (("", "", *row) for row in cells[1:])


def _folded(rows: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Return one row for many: how many they are, what they all say, and between which numbers they lie."""
    columns = zip(COLUMNS, zip(*rows, strict=True), strict=True)
    return (f"… {len(rows)} more", *[_together(name in SIZES, cells) for name, cells in columns][1:])


def _together(are_numbers: bool, cells: Sequence[str]) -> str:
    if len({*cells}) == 1:
        return cells[0]
    numbers = [cell for cell in cells if cell] if are_numbers else []
    return ranged(numbers) if numbers else "…"
