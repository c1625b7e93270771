"""Where in a program an equation is: the calls, scopes and steps around it, and the points that are there."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

from .._jax.origin import name_stack
from .._points.point import Points

if TYPE_CHECKING:
    from jax.extend.core import JaxprEqn


class Step(NamedTuple):
    """A step of a loop: of a "scan", or of a "while".

    Attributes:
        kind: "scan" or "while".
        number: which step, from 0; of a scan, in the order of its inputs.
        length: how many steps the scan has; None of a while.
    """

    kind: str
    number: int
    length: int | None


class Place(NamedTuple):
    """Where an equation is.

    Attributes:
        calls: the calls around it, as of the `Site` of a point; None where no point can be.
        scopes: the names of the scopes around it, the outermost first.
        steps: the steps of the loops around it, the outermost first.
        callers: the equations that are these calls, the outermost first.
    """

    calls: tuple[tuple[int, int], ...] | None = ()
    scopes: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    callers: tuple[JaxprEqn, ...] = ()

    def of(self, eqn: JaxprEqn) -> Place:
        """Return the same in the scopes of an equation."""
        names = [element.name for element in name_stack(eqn) if not element.is_transform]
        return self._replace(scopes=(*self.scopes, *names)) if names else self

    def into(self, eqn: JaxprEqn, index: int | None, jaxpr: int = 0) -> Place:
        """Return the place inside a jaxpr of an equation, the one of number `index`; None: where no points are."""
        calls = None if self.calls is None or index is None else (*self.calls, (index, jaxpr))
        return self._replace(calls=calls, callers=(*self.callers, eqn))

    def at(self, kind: str, number: int, length: int | None = None) -> Place:
        """Return the place in a step of a loop."""
        return self._replace(steps=(*self.steps, Step(kind, number, length)))


class Sites:
    """The numbers of the points of a program, by where they are."""

    def __init__(self, points: Points) -> None:
        self._results: dict[tuple[tuple, int, int], int] = {}
        self._inside: dict[tuple, int] = {}
        for point in points.values():
            if point.opaque is None:
                calls, equation, result = point.site
                key = (calls, equation, result or 0)
                self._results[key] = max(point.number, self._results.get(key, 0))
                for around in itertools.accumulate(((call,) for call in calls), initial=()):
                    self._inside[around] = max(point.number, self._inside.get(around, 0))

    def last_at(self, place: Place, equation: int, result: int) -> int:
        """Return the number of the last point that a result of an equation is; 0 if it is none."""
        return 0 if place.calls is None else self._results.get((place.calls, equation, result), 0)

    def last_inside(self, place: Place) -> int:
        """Return the number of the last point inside a call; 0 if there is none."""
        return 0 if place.calls is None else self._inside.get(place.calls, 0)
