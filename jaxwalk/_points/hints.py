"""What else there is to look at, where most of what a function does lies in installed packages."""

from __future__ import annotations

import collections
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .._errors import listed
from .._jax import origin
from .._jax.jaxpr import jaxprs, kinds
from .._source.packages import made_in
from .point import Points, of_same_function

if TYPE_CHECKING:
    from jax.extend.core import Jaxpr

FEW = 2  # points, of which one wonders where the others are


def hinted(jaxpr: Jaxpr, points: Points, by: str | None) -> Points:
    """Return the points with sentences on what else could be walked, if there are any."""
    hints = [*_hints(jaxpr, points, by)]
    return of_same_function(points, points.values(), hints) if hints else points


def _hints(jaxpr: Jaxpr, points: Points, by: str | None) -> Iterator[str]:
    if by == "lines" and len(points) <= FEW:
        makers = collections.Counter(maker for maker, _ in _Makers().of(jaxpr))
        package, count = next(iter(makers.most_common(1)), ("", 0))
        if package and 2 * count > makers.total():
            most = f"{count} of {makers.total()} operations are made in `{package}`, an installed package"
            yield f"{most}: its lines are points with `source={package}`."
    elif by is None and points:
        packages = set()
        for maker, is_named in _Makers().of(jaxpr):
            if is_named:
                packages.add(maker)
            if "" in packages:
                return
        if packages:
            every = f"Every point is made in {listed(sorted(packages))}, not by a line of your own"
            yield f'{every}: `by="lines"` takes the values of these.'


class _Makers:
    """Finds what made the equations of a jaxpr, each jaxpr in it looked at once in a scope and once outside of one."""

    def __init__(self) -> None:
        self._kind = kinds.kinds()
        self._met: set[tuple[int, bool]] = set()

    def of(self, jaxpr: Jaxpr, in_scope: bool = False) -> Iterator[tuple[str, bool]]:
        """Yield what made each equation, "" for the user, and whether it is in a scope or names a value."""
        if (id(jaxpr), in_scope) in self._met:
            return
        self._met.add((id(jaxpr), in_scope))
        for eqn in jaxpr.eqns:
            is_in = in_scope or any(not e.is_transform and "->" not in e.name for e in origin.name_stack(eqn))
            if (maker := made_in(origin.codes_of(eqn))) is not None:
                yield maker, is_in or self._kind(eqn) == "name"
            for closed in jaxprs.jaxprs_of(eqn):
                yield from self.of(closed.jaxpr, is_in)
