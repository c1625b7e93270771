"""The table of `Points`: a tree, in which look-alike ones stand together."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from .._errors import counted, listed
from .._show.alike import together
from .._show.outline import Row, tree
from .._show.table import Table, size
from .._source.packages import package_of

if TYPE_CHECKING:
    from .point import Point, Points

COLUMNS = ("X", "point", "kind", "shape", "dtype", "line", "note", "path")
MORE = "`points[name]` is one, `list(points)` names all"


def points_table(points: Points, rows: int) -> Table:
    """Return the points as a tree; if there are more than `rows`, alike ones together, and the deepest counted."""
    of_packages = _tags_of_packages(points)
    names = [name for name in points if name not in of_packages]
    flat = [_cells(points[name], points.also(name)) for name in names]
    paths = ("point", "path")
    flat = together(Table("", COLUMNS, flat, ("X",), lead=("X",), paths=paths, more=MORE, alike=True), rows)
    cells = {row[1]: row for row in flat.rows}
    outline = tree(cells, {name: row[-1] for name, row in cells.items()}, rows)
    title = f"{counted(len(points), 'point')} ({size(points.nbytes)} for every output and δ)"
    below = [f"Points below others are counted; {MORE}."] * any(row.folded for row in outline)
    notes = [*flat.notes, *below, *_folded(of_packages.values()), *_opaque(points), *points.hints]
    what = "point" if len(cells) == len(names) else "row"
    shown, lead = [_row(row, cells, what) for row in outline], ("X", "point")
    return Table(title if points else "0 points", COLUMNS[:-1], shown, ("X",), notes, lead=lead, more=MORE)


def _cells(p: Point, also: str) -> tuple[str, ...]:
    notes = "; ".join(filter(None, [p.note(), also]))
    line = p.source if p.kind == "line" else ""
    return (str(p.number), p.name, p.kind, str(p.shape), str(p.dtype), line, notes, p.path or p.name)


def _row(row: Row, cells: Mapping[str, Sequence[str]], what: str) -> tuple[str, ...]:
    """Return the cells of a row of the tree: of a point, or of what only has points below it."""
    folded = f"{counted(row.below, what)} below, not shown" if row.folded else ""
    if row.name is None:
        return ("", row.text, "", "", "", "", folded or counted(row.below, what))
    number, _, *about, note, _ = cells[row.name]
    return (number, row.text, *about, "; ".join(filter(None, [note, folded])))


def _tags_of_packages(points: Points) -> dict[str, str]:
    """Return the tags that installed packages have put on values, with their packages; none if these are all."""
    found = {name: package_of(p.file) or "" for name, p in points.items() if p.kind == "tag"}
    found = {name: package for name, package in found.items() if package}
    return found if len(found) < len(points) else {}


def _folded(packages: Iterable[str]) -> Iterator[str]:
    for package, count in collections.Counter(packages).items():
        yield f"Not shown: {counted(count, 'tag')} of `{package}`, an installed package."


def _opaque(points: Points) -> Iterator[str]:
    """Yield the reasons why points are opaque, each once, in full."""
    reasons: dict[str, list[str]] = {}
    for name, point in points.items():
        if point.opaque is not None:
            reasons.setdefault(point.opaque, []).append(name)
    for reason, names in reasons.items():
        yield f"Opaque: {listed(names, 4)}: {reason}."
