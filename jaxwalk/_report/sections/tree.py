"""The tree of points with their sizes; each opens, and shows what is known of it."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Container, Mapping, Sequence

from ..._errors import counted
from ..._health.places import names_at
from ..._points.point import Point
from ..._show.outline import Row, tree
from ..._show.table import number
from ...plot._sizes import Size
from ..details import Detail, detail_of
from ..pictures import pictures_of
from ..record import Record
from ..section import Section
from ..sizes import Bar, Scale, overall

OPEN = 60  # rows of the tree that are unfolded at first, at most
DETAILS = 2000  # points that open


@dataclasses.dataclass
class Node:
    """A row of the tree, and the rows below it.

    Attributes:
        text: the last parts of the name.
        place: which of the page's points it is; None if it is none, but leads to some.
        point, size: the point that it is, and its sizes, if any is known.
        output, delta: the bars of its sizes; if it is no point, of the largest below it.
        marks: what is remarkable, of it or, if it is none itself, of those below: with how many they are.
        detail: what opens with it; None if nothing does.
        below: how many points are below it.
        is_open: whether what is below it shows at first.
        found: the names of what `jw.health` found at it, that are not among the marks.
    """

    text: str
    place: int | None
    point: Point | None
    size: Size | None
    output: Bar | None
    delta: Bar | None
    marks: list[tuple[str, int]]
    detail: Detail | None
    below: int
    children: list[Node]
    is_open: bool = False
    found: Sequence[str] = ()


def points(record: Record) -> Section | None:
    """Return the tree of points."""
    if not record.points:
        return None
    pictures, said = pictures_of(record)
    nodes = _nodes(record, pictures, _opening(record))
    _unfold(nodes)
    left_out = len(record.points) - DETAILS
    if left_out > 0:
        said = [f"{DETAILS:,} points open, those with a mark first; the other {left_out:,} do not.", *said]
    content = {"nodes": nodes, "notes": [*said, *record.points.hints], "over": _over(record)}
    return Section("points", counted(len(record.points), "point"), "points.html", content)


def _over(record: Record) -> str:
    """Say over what sizes are taken, if over more than one walk."""
    data = max((size.data for size in record.sizes.values()), default=1)
    return f", over {counted(data, 'datum', 'data')}" if data > 1 else ""


def _opening(record: Record) -> set[str]:
    """Return the points that open: those with a mark first, then in forward order."""
    is_marked = {name for name, size in record.sizes.items() if size.marks()}
    return set(sorted(record.points, key=lambda name: name not in is_marked)[:DETAILS])


def _nodes(record: Record, pictures: Mapping[str, str], opening: Container[str]) -> list[Node]:
    paths = {name: point.path or name for name, point in record.points.items()}
    scales = Scale(record, "output"), Scale(record, "delta")
    top: list[Node] = []
    around: list[list[Node]] = [top]  # at each level, the list that the next row of that level goes to
    for row in tree(paths, paths, sys.maxsize):
        node = _node(record, row, scales)
        if row.name is not None and row.name in opening:
            node.detail = detail_of(record, record.points[row.name], pictures.get(row.name, ""))
        del around[row.level + 1 :]
        around[-1].append(node)
        around.append(node.children)
    for node in top:
        _mark(node)
        _bound(node, "output", scales[0])
        _bound(node, "delta", scales[1])
    return top


def _node(record: Record, row: Row, scales: tuple[Scale, Scale]) -> Node:
    text = row.text[2 * row.level :]
    if row.name is None:
        return Node(text, None, None, None, None, None, [], None, row.below, [])
    point, size = record.points[row.name], record.sizes.get(row.name)
    output, delta = (scale.bar(size) for scale in scales)
    marks = [(mark, 1) for mark in (size.marks() if size else ())]
    marks += [("kink", 1)] if record.kinks_at.get(point.name) else []
    marks += [("opaque", 1)] if point.opaque is not None else []
    found = [name for name in names_at(record.health, point.name) if (name, 1) not in marks]
    return Node(text, record.place(row.name), point, size, output, delta, marks, None, row.below, [], found=found)


def _mark(node: Node) -> dict[str, int]:
    """Count the marks of a row and of those below it, and give them to it if it is no point itself."""
    counts = dict(node.marks)
    for child in node.children:
        for mark, count in _mark(child).items():
            counts[mark] = counts.get(mark, 0) + count
    if node.point is None:
        node.marks = list(counts.items())
    return counts


def _bound(node: Node, side: str, scale: Scale) -> float | None:
    """Return the largest size of a side, of a row and of those below it; a row that is no point has it as its bar."""
    own = overall(node.size, side)
    found = [size for size in (own, *(_bound(child, side, scale) for child in node.children)) if size is not None]
    largest = max(found, default=None)
    if node.point is None and largest is not None:
        setattr(node, side, Bar(f"≤ {number(largest, 3)}", scale.length(largest)))
    return largest


def _unfold(nodes: list[Node]) -> None:
    """Unfold whole levels, from the top, while no more than OPEN rows show."""
    level, shown = nodes, len(nodes)
    while level:
        below = [child for node in level for child in node.children]
        shown += len(below)
        if shown > OPEN:
            return
        for node in level:
            node.is_open = bool(node.children)
        level = below
