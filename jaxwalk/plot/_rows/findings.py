"""The findings of `jw.health` beside the rows of a picture: which rows each is about, and its name there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..._health.finding import Health
from ..._health.places import check_health, names_by_point
from ..._points.point import Point
from .._style import Palette
from .._words import room
from .rows import Rows, runs, times_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TYPE = 7.5  # size of the letters of a name


class Mark(NamedTuple):
    """Rows one below the other, from `start` to before `stop`, and the names of the findings that they have."""

    start: int
    stop: int
    names: tuple[str, ...]


def given(health: Any) -> Health:
    """Return what was found, nothing for None.

    Raises:
        ArgumentError: it is no `Health`.
    """
    if health is None:
        return Health()
    check_health(health)
    return health


def marks_of(health: Health, points: Sequence[Point]) -> list[Mark]:
    """Return the rows that findings are about, those one below the other with the same names together."""
    found = names_by_point(health)
    names = [found.get(point.name, ()) for point in points]
    return [Mark(start, stop, names[start]) for start, stop in runs(names) if names[start]]


def write_marks(ax: Axes, rows: Rows, marks: Sequence[Mark], palette: Palette) -> None:
    """Draw a line at the right of the rows that findings are about, with their names where there is room."""
    apart = (TYPE + 1.5) * rows.edges[-1] / max(room(ax)[1], 1)
    right = 7 + max((5.4 * len(times_of(point)) for point in rows.points), default=0)
    beside = ax.get_yaxis_transform()
    placed: list[float] = []
    for mark in _most_telling_first(marks):
        ends = float(rows.edges[mark.start]), float(rows.edges[mark.stop])
        style = {"linewidth": 2.5, "solid_capstyle": "butt", "clip_on": False, "label": "_found"}
        ax.plot([1, 1], ends, color=palette.alarm, transform=beside, **style)
        middle = sum(ends) / 2
        if all(abs(middle - other) >= apart for other in placed):
            placed.append(middle)
            ax.annotate(
                ", ".join(mark.names), (1, middle), (right, 0), beside, "offset points", ha="left", va="center",
                fontsize=TYPE, color=palette.alarm, annotation_clip=False,
            )  # fmt: skip


def _most_telling_first(marks: Sequence[Mark]) -> list[Mark]:
    """Return the marks: of each group of names the largest, then the others, the large ones before the small."""
    by_size = sorted(marks, key=lambda mark: mark.start - mark.stop)
    largest = {mark.names: mark for mark in reversed(by_size)}
    return [*largest.values(), *(mark for mark in by_size if largest[mark.names] is not mark)]
