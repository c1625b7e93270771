"""Points as the rows of a picture, in forward order from above: where each is, and what is written beside it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..._points.point import Point
from ..._printable import printable
from ..._rewrite.tap import loops
from .._style import Palette
from .._words import folded, room

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INCHES = 0.19  # of a row of a figure of our own
TALLEST = 60  # rows that a figure of our own grows with
WORDS = 45.0  # typographic points that the title, the legend and the notes take of the height
LABEL = 9.5  # typographic points that a label takes, from one row to the next
TYPE = 8.0  # size of the letters of a label
LONGEST = 165.0  # typographic points that a label is wide, at most


class Rows(NamedTuple):
    """Where each point is: `edges[i]` to `edges[i + 1]`, downwards."""

    points: Sequence[Point]
    edges: np.ndarray

    def middle(self, i: int) -> float:
        """Return the middle of a row."""
        return float(self.edges[i] + self.edges[i + 1]) / 2

    def steps(self, i: int, count: int) -> np.ndarray:
        """Return where the steps of a row are, from its top to its bottom."""
        height = self.edges[i + 1] - self.edges[i]
        return self.edges[i] + height * (np.arange(count) + 0.5) / count


def rows_of(points: Sequence[Point], heights: Sequence[float]) -> Rows:
    """Return rows of these heights, one below the other."""
    return Rows(points, np.concatenate([[0.0], np.cumsum(np.asarray(heights, float))]))


def rows_with_steps(points: Sequence[Point]) -> Rows:
    """Return rows of points, of which one in a loop has twice the height: its steps are in it."""
    return rows_of(points, [1 + (math.prod(loops(point)) > 1) for point in points])


def figure_height(rows: Rows) -> float:
    """Return how many inches a figure of our own takes for these rows."""
    return 1.5 + INCHES * min(max(float(rows.edges[-1]), 4.0), TALLEST)


def prepare(ax: Axes, rows: Rows, palette: Palette, colours: Mapping[str, str]) -> list[str]:
    """Name the rows on the y axis: every one where there is room, else the scopes that they are in.

    Arguments:
        colours: by the name of a point, the colour of its name, if it is not that of all.

    Returns:
        Notes on what the names leave out.
    """
    ax.set_ylim(max(rows.edges[-1], 1), 0)
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    width, height = room(ax)[0], max(room(ax)[1] - WORDS, room(ax)[1] / 2)
    names = [point.name for point in rows.points]
    shared = _shared(rows.points)
    is_roomy = height / max(rows.edges[-1], 1) >= LABEL
    groups = [(i, i + 1) for i in range(len(names))] if is_roomy else _groups(rows.points, int(height / LABEL))
    middles = [float(rows.edges[start] + rows.edges[stop]) / 2 for start, stop in groups]
    placed = _placed(groups, middles, 0 if is_roomy else LABEL * rows.edges[-1] / max(height, 1))
    longest = min(LONGEST, 0.45 * width)
    written = [folded(_label(rows.points[slice(*groups[g])], shared), longest, TYPE) for g in placed]
    ax.set_yticks([middles[g] for g in placed], written)
    for g, tick in zip(placed, ax.get_yticklabels(), strict=True):
        start, stop = groups[g]
        tick.set_color(colours.get(names[start], palette.ink) if stop - start == 1 else palette.ink)
        tick.set_parse_math(False)
    if not is_roomy:
        inner = [rows.edges[start] for start, _ in groups[1:]]
        ax.hlines(inner, 0, 1, transform=ax.get_yaxis_transform(), color=palette.faint, alpha=0.3, linewidth=0.5)
    notes = [f"Names are within `{shared}`."] if shared else []
    unnamed = len(names) - sum(groups[g][1] - groups[g][0] for g in placed)
    return notes + [f"No room for the names of {unnamed} of {len(names)} points; choose by `at`."] * bool(unnamed)


def _placed(groups: Sequence[tuple[int, int]], middles: Sequence[float], apart: float) -> list[int]:
    """Return which groups have a name: the largest first, each that is far enough from those before it."""
    placed: list[float] = []
    chosen: list[int] = []
    for g in sorted(range(len(groups)), key=lambda g: groups[g][0] - groups[g][1]):
        if all(abs(middles[g] - other) >= apart for other in placed):
            placed.append(middles[g])
            chosen.append(g)
    return sorted(chosen)


def _groups(points: Sequence[Point], limit: int) -> list[tuple[int, int]]:
    """Return the deepest division of the points into scopes, as ranges, that has no more than about `limit` of them.

    One of a few large scopes alone says little: a deeper one, of which some have no name, says more.
    """
    paths = [_parts(point) for point in points]
    found: list[tuple[int, int]] = []
    for depth in range(1, max(map(len, paths)) + 1):
        deeper = list(runs([tuple(part.removesuffix("/") for part in path[:depth]) for path in paths]))
        if found and len(deeper) > (limit if len(found) > 2 else 4 * limit):
            break
        found = deeper
    return found


def runs(keys: Iterable[object]) -> Iterator[tuple[int, int]]:
    """Yield where equal keys stand one after the other: the first, and past the last."""
    start = 0
    for _, run in itertools.groupby(keys):
        stop = start + len(list(run))
        yield start, stop
        start = stop


def _parts(point: Point) -> list[str]:
    """Return the parts of a name, each with the mark that ends it, divided where its path is."""
    name, path = point.name, point.path or point.name
    cuts = [0, *(i + 1 for i, mark in enumerate(path[: len(name)]) if mark == "/"), len(name)]
    return [name[start:stop] for start, stop in itertools.pairwise(cuts)]


def _shared(points: Sequence[Point]) -> str:
    """Return the scopes in which all these points are, but for what leaves such a scope; "" if there are none."""
    parts = [_parts(point) for point in points]
    scopes = {"".join(each[:depth]) for each in parts for depth in range(1, len(each))}
    inner = [each[:-1] for each in parts if f"{''.join(each)}/" not in scopes]
    return "" if len(points) < 2 else "".join(_alike(inner))


def _alike(parts: Sequence[Sequence[str]]) -> list[str]:
    """Return the first parts that all have."""
    return [each[0] for each in itertools.takewhile(lambda each: len({*each}) == 1, zip(*parts, strict=False))]


def _label(points: Sequence[Point], shared: str) -> str:
    if len(points) == 1:
        name = points[0].name
    else:  # what leaves the scope is one of them: "stage" of "stage/block", "stage"
        name = "".join(_alike([[part.removesuffix("/") + "/" for part in _parts(point)] for point in points]))
    return name.removeprefix(shared) or name


def bands(ax: Axes, rows: Rows, palette: Palette) -> None:
    """Draw a band behind the points of each loop, with how often it runs: "×12"."""
    for start, stop in runs([_loop(point) for point in rows.points]):
        if rows.points[start].axes:
            top, bottom = float(rows.edges[start]), float(rows.edges[stop])
            ax.axhspan(top, bottom, color=palette.faint, alpha=0.13, linewidth=0, label="_loop")
            ax.annotate(
                times_of(rows.points[start]), (1, (top + bottom) / 2), (4, 0), ax.get_yaxis_transform(),
                "offset points", ha="left", va="center", fontsize=8, color=palette.ink, annotation_clip=False,
            )  # fmt: skip


def times_of(point: Point) -> str:
    """Return how often the loops around a point run: "×12"; "" where there are none."""
    others = sorted({axis.kind for axis in point.axes if axis.kind != "scan"})
    return f"{''.join(f'×{axis.length}' for axis in point.axes)} {', '.join(map(printable, others))}".strip()


def _loop(point: Point) -> tuple[object, ...]:
    """Return what all points in one loop have alike: how the run comes to it, and its lengths."""
    inner = max((i for i, part in enumerate(point.clock, 1) if not isinstance(part, int)), default=0)
    return (point.clock[:inner], point.axes)
