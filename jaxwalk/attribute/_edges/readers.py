"""Which equations a scope is of, that reads: by the point that leaves it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..._jax.jaxpr import jaxprs
from ..._jax.jaxpr.jaxprs import Closed
from ..._points.paths.paths import Entries, Entry, Path
from ..._points.paths.scopes import ScopePaths
from ..._points.point import Point

if TYPE_CHECKING:
    from jax.extend.core import Jaxpr

Calls = tuple[tuple[int, int], ...]


class Level(NamedTuple):
    """A jaxpr of the program where it is called, the scopes around it, and those of each of its equations."""

    jaxpr: Jaxpr
    around: Path
    paths: Sequence[Path]
    entries: Entries


class Scopes:
    """The scopes of every equation of a program. What is called twice has scopes of its own in each call."""

    def __init__(self, closed: Closed):
        self._closed, self._paths = closed, ScopePaths(with_einsum=True)
        self._levels: dict[Calls, Level] = {}

    def level(self, calls: Calls) -> Level:
        if calls not in self._levels:
            jaxpr, around, outer = self._closed.jaxpr, (), {}
            if calls:
                above, (index, branch) = self.level(calls[:-1]), calls[-1]
                jaxpr = jaxprs.jaxprs_of(above.jaxpr.eqns[index])[branch].jaxpr
                around, outer = above.paths[index], above.entries
            self._levels[calls] = Level(jaxpr, around, *self._paths(jaxpr, around, outer))
        return self._levels[calls]

    def left_by(self, point: Point) -> Entry | None:
        """Return the passage through a scope that the value at a point leaves; None if it leaves none."""
        calls, equation, _ = point.site
        if point.kind != "scope":
            return None
        for depth in range(len(calls) + 1):
            index = calls[depth][0] if depth < len(calls) else equation
            for entry in self.level(calls[:depth]).paths[index]:
                if entry.opening == point.opening:
                    return entry
        return None

    def reading(self, points: Iterable[Point]) -> Mapping[Entry, str]:
        """Return the scopes that points leave, each with the name of the first that does."""
        found: dict[Entry, str] = {}
        for point in points:
            if (entry := self.left_by(point)) is not None:
                found.setdefault(entry, point.name)
        return found
