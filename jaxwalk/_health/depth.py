"""Which points are to be compared over depth: the same one in the layers of a stack, or those along the flow."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from .._points.point import Point, ScanStep
from .flow_back import FlowBack
from .signals import Signals

LAYERS = 3  # of one stack, at least, for a slope
ALONG = 5  # unlike points along the flow, at least: their sizes differ by nature
_INTEGER = re.compile(r"\d+")


class Line(NamedTuple):
    """Places whose sizes may be compared, in order of depth, the first computed first.

    Attributes:
        points: one for each place; of the steps of a scan, the one point that has them all.
        axis: of the scan among the point's `axes`; None if the places are points.
        reverse: the scan runs backward.
    """

    points: tuple[Point, ...]
    axis: int | None = None
    reverse: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(point.name for point in self.points)

    @property
    def first(self) -> Point:
        return self.points[0]

    @property
    def places(self) -> int:
        """Return how many places there are."""
        return len(self.points) if self.axis is None else self.first.axes[self.axis].length

    def forward(self) -> str:
        """Return in words which way outputs take."""
        if self.axis is not None:
            return f"through `{self.first.name}`, over the {self.places} steps of its scan"
        return f"from `{self.first.name}` to `{self.points[-1].name}`, over {self.places} points"

    def sizes(self, signals: Signals, key: str) -> np.ndarray:
        """Return a result at each place: (n, places); over other loops around it, the root mean square."""
        if self.axis is None:
            return np.stack([_rms(signals.per_step(point.name, key)) for point in self.points], axis=1)
        values = signals.kept[self.first.name][key]
        values = np.moveaxis(np.asarray(values, np.float64), 1 + self.axis, 1)
        found = _rms(values.reshape(*values.shape[:2], -1))
        return found[:, ::-1] if self.reverse else found

    def told(self) -> str:
        """Return in words which way δ takes."""
        if self.axis is not None:
            return f"through `{self.first.name}`, over the {self.places} steps of its scan"
        return f"from `{self.points[-1].name}` to `{self.first.name}`, over {self.places} points"


def lines(signals: Signals, key: str) -> Iterator[Line]:
    """Yield what is to be compared of the points that have a result: each scan over layers or time, each run of names
    that count on, and of the other points, those along the longest way of δ.

    The steps of a scan that do not depend on each other, and points of which none is computed from the other, as the
    heads of attention, are no layers.
    """
    points = [p for p in signals.having(key) if not (p.unused or p.stopped or p.conditional)]
    flow = signals.points.flow
    back = FlowBack(flow, signals.points, [p.name for p in points]) if flow is not None else None
    for point in points:
        yield from _scans(point, back)
    flat = [point for point in points if not point.axes]
    runs = [run for run in _runs(flat) if _is_one_way(run, back)]
    yield from map(Line, runs)
    others = [p for p in flat if p.shape and not any(p in run for run in runs)]
    way = _longest_way(others, back)
    if len(way) >= ALONG:
        yield Line(tuple(way))


def _rms(values: np.ndarray) -> np.ndarray:
    """Compute the root mean square over the last axis, of what is finite; NaN where nothing is."""
    fine = np.isfinite(values)
    count = fine.sum(axis=-1)
    total = np.where(fine, values, 0.0) ** 2
    return np.sqrt(np.where(count, total.sum(axis=-1), np.nan) / np.maximum(count, 1))


def _scans(point: Point, back: FlowBack | None) -> Iterator[Line]:
    if back is not None and any(axis.kind == "scan" for axis in point.axes) and not back.repeats(point):
        return
    for place, axis in enumerate(point.axes):
        if axis.kind == "scan" and axis.length >= LAYERS:
            yield Line((point,), place, runs_backward(point, place))


def runs_backward(point: Point, place: int) -> bool:
    """Tell whether the loop that gave a point one of its axes, by the place of that, is a scan that runs backward."""
    loops = [part for part in point.clock if not isinstance(part, int)]
    step = loops[place] if place < len(loops) else None
    return isinstance(step, ScanStep) and step.reverse


def _runs(points: Sequence[Point]) -> Iterator[tuple[Point, ...]]:
    """Yield points whose names count on in one number, or in two together: h/0/attn, h/1/attn, h/2/attn.

    Those of a stack have equally many axes, and more than none: `L1`, `L2` and `L3` may be a vector, a product, a relu.
    """
    families: dict[tuple, list[tuple[tuple[int, ...], Point]]] = {}
    for point in points:
        name = point.name if "#" in point.name else f"{point.name}#1"
        spans = tuple(map(int, _INTEGER.findall(name)))
        if point.shape:
            families.setdefault((*_INTEGER.split(name), point.dtype, len(point.shape)), []).append((spans, point))
    for family in families.values():
        if len(family) >= LAYERS:
            yield from _along(family)


def _along(family: Sequence[tuple[tuple[int, ...], Point]]) -> Iterator[tuple[Point, ...]]:
    numbers = range(len(family[0][0]))
    for axes in [*((axis,) for axis in numbers), *itertools.combinations(numbers, 2)]:
        runs: dict[tuple, list[tuple[int, Point]]] = {}
        for spans, point in family:
            others = tuple(span for i, span in enumerate(spans) if i not in axes)
            apart = tuple(spans[i] - spans[axes[0]] for i in axes)
            runs.setdefault((others, apart), []).append((spans[axes[0]], point))
        for run in runs.values():
            counts = [count for count, _ in run]
            if len(run) >= LAYERS and counts == sorted(counts):
                yield tuple(point for _, point in run)


def _is_one_way(run: Iterable[Point], back: FlowBack | None) -> bool:
    return back is None or all(back.comes_from(later, earlier) for earlier, later in itertools.pairwise(run))


def _longest_way(points: Sequence[Point], back: FlowBack | None) -> list[Point]:
    """Return the longest row of points of which each is computed from the one before; none if that is not known."""
    best: list[tuple[int, int]] = []  # by place: how long the longest way that ends here is, and where it comes from
    if back is None:
        return []
    for place, point in enumerate(points):
        ways = [(best[i][0], i) for i in range(place) if back.comes_from(point, points[i])]
        length, before = max(ways, default=(0, -1))
        best.append((length + 1, before))
    way: list[Point] = []
    place = max(range(len(best)), key=lambda i: best[i][0], default=-1)
    while place >= 0:
        way.append(points[place])
        place = best[place][1]
    return way[::-1]
