"""Where δ goes on to from a point: the points that its value is computed from."""

from __future__ import annotations

import functools
from collections.abc import Iterable

from .._points.flow import Flow
from .._points.point import Point, Points


class FlowBack:
    """Follows δ from point to point, of a function of which `Points.flow` is known."""

    def __init__(self, flow: Flow, points: Points, looked_at: Iterable[str]):
        self._flow = flow
        self._chosen = {flow.names[points[name].number - 1]: points[name] for name in looked_at}

    def sources(self, point: Point) -> list[Point]:
        """Return the points looked at that a value is computed from, with none of these on the way.

        One that is not before it in forward order is met in the step of a loop before.
        """
        found: dict[int, Point] = {}
        waiting, seen = [*self._back(point.number)], set[int]()
        while waiting:
            number = waiting.pop()
            if number in seen:
                continue
            seen.add(number)
            if number in self._chosen:
                found[number] = self._chosen[number]
            else:
                waiting += self._back(number)
        return [found[number] for number in sorted(found)]

    def ends(self) -> list[Point]:
        """Return the points looked at that the loss is computed from, with none of these on the way."""
        loss = Point("", 0, "", (), None)
        return self.sources(loss)

    def comes_from(self, later: Point, earlier: Point) -> bool:
        """Tell whether a value is computed from another that is before it in forward order."""
        return bool(self._ancestors[self._name(later)] >> self._name(earlier) & 1)

    def repeats(self, point: Point) -> bool:
        """Tell whether a value in a loop is computed from what it was in the step before."""
        me = self._name(point)
        waiting, seen = [*self._back(point.number)], set[int]()
        while waiting:
            number = waiting.pop()
            if number == me:
                return True
            if number not in seen:
                seen.add(number)
                waiting += self._back(number)
        return False

    def _back(self, number: int) -> tuple[int, ...]:
        return (self._flow.values[number - 1] if number else self._flow.result).back

    def _name(self, point: Point) -> int:
        return self._flow.names[point.number - 1]

    @functools.cached_property
    def _ancestors(self) -> list[int]:
        """Return, by number, the set of all that are before a point and that it is computed from, as bits."""
        found = [0] * (len(self._flow.values) + 1)
        for number, read in enumerate(self._flow.values, 1):
            for source in read.back:
                if source < number:
                    found[number] |= found[source] | 1 << source
        return found
