"""Regions: the equations of one jaxpr by which a value is computed from others, as a program of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ...._jax.jaxpr import jaxprs, types
from ...._jax.jaxpr.jaxprs import Closed, is_literal
from ...._points.entrywise import Entrywise, constants_of
from ...._points.point import Points
from .dependence import Calls, Level

if TYPE_CHECKING:
    from jax.extend.core import Jaxpr, JaxprEqn, Literal, Var


class Region(NamedTuple):
    """The values that a program reads, and the program."""

    reads: Sequence[Var | Literal]
    closed: Closed


class Visited:
    """The values with a δ that are asked for: what stands in for several equations leaves none of them inside."""

    def __init__(self, points: Points):
        sites = [point.site for point in points.values() if point.has_delta]
        self._made = {(site.calls, site.equation) for site in sites}
        self._around = {
            (site.calls[:depth], site.calls[depth][0]) for site in sites for depth in range(len(site.calls))
        }

    def at(self, calls: Calls, index: int) -> bool:
        """Tell whether one of them is a result of an equation, or inside of it."""
        return (calls, index) in self._made or (calls, index) in self._around

    def inside(self, calls: Calls, index: int) -> bool:
        return (calls, index) in self._around


class Regions:
    """Finds the regions of one jaxpr.

    Equations that work entry by entry are a forest: above a value is the nearest one of which all that it is computed
    from is a function, entry by entry. What is asked for is a root.
    """

    def __init__(self, level: Level, visited: Visited, is_entrywise: Entrywise):
        self.level, self.makers = level, makers_of(level.jaxpr)
        self._visited, self._is_entrywise = visited, is_entrywise
        self._constants = constants_of(level.jaxpr)
        self._above: dict[Var, Var] = {}
        for index, eqn in enumerate(level.jaxpr.eqns):
            if not visited.at(level.calls, index) and self.is_entrywise(eqn):
                above = self.common(self.dependent(eqn))
                self._above.update({} if above is None else {eqn.outvars[0]: above})

    def dependent(self, eqn: JaxprEqn) -> list[Var]:
        """Return the operands of an equation that depend on what is explained, each once."""
        return list(dict.fromkeys(v for v in eqn.invars if not is_literal(v) and self.level.depends(v)))

    def is_entrywise(self, eqn: JaxprEqn) -> bool:
        """Tell whether an equation has one result, each entry of which is computed from those at its own place."""
        operands = self.dependent(eqn)
        if not operands or len(eqn.outvars) != 1:
            return False
        shape = getattr(eqn.outvars[0].aval, "shape", None)
        alike = all(types.is_array_type(v.aval) and types.type_of(v).shape == shape for v in operands)
        return alike and self._is_entrywise(eqn)

    def common(self, values: Sequence[Var]) -> Var | None:
        """Return the nearest value that all of some are functions of, entry by entry; itself, of one."""
        others = [set(self._ancestors(v)) for v in values[1:]]
        return next((v for v in self._ancestors(values[0]) if all(v in other for other in others)), None)

    def origin(self, values: Sequence[Var]) -> Var | None:
        """Return the nearest real or complex value that all of some are functions of, entry by entry."""
        nearest = self.common(values)
        return None if nearest is None else next((v for v in self._ancestors(nearest) if types.is_float(v.aval)), None)

    def origins(self, values: Sequence[Var]) -> list[Var] | None:
        """Return the real or complex values that some are computed from, entry by entry: themselves, or what integers
        and booleans among them are made of; None if these are made in another way."""
        found: dict[Var, None] = {}
        waiting = list(values)[::-1]
        while waiting:
            if types.is_float((v := waiting.pop()).aval):
                found[v] = None
                continue
            if v not in self.makers or not self.is_entrywise(eqn := self.level.jaxpr.eqns[self.makers[v]]):
                return None
            waiting += self.dependent(eqn)[::-1]
        return list(found)

    def ending_at(self, index: int, starts: Sequence[Var]) -> Region | None:
        """Return the region from some values to the results of an equation; None if something that is asked for is
        inside, or what depends on what is explained comes in by another way."""
        eqns, others = {index}, dict.fromkeys(starts)
        waiting: list[Var | Literal] = [*self.level.jaxpr.eqns[index].invars[::-1]]
        while waiting:
            v = waiting.pop()
            if is_literal(v) or v in others:
                continue
            maker = self.makers.get(v) if self.level.depends(v) else self._constants.get(v)
            if maker is None and not self.level.depends(v):
                others[v] = None
            elif maker is None or (self.level.depends(v) and self._visited.at(self.level.calls, maker)):
                return None
            elif maker not in eqns:
                eqns.add(maker)
                waiting += self.level.jaxpr.eqns[maker].invars[::-1]
        return self.of([self.level.jaxpr.eqns[i] for i in sorted(eqns)], [*others])

    def of(self, eqns: Sequence[JaxprEqn], reads: Sequence[Var]) -> Region:
        """Return the region of some equations, as it is."""
        return Region(reads, jaxprs.stretch(self.level.jaxpr, eqns, reads, eqns[-1].outvars))

    def above(self, v: Var) -> Var | None:
        """Return the nearest value that a value is a function of, entry by entry; None if there is none."""
        return self._above.get(v)

    def _ancestors(self, v: Var) -> Iterator[Var]:
        yield v
        while (above := self._above.get(v)) is not None:
            yield (v := above)


def makers_of(jaxpr: Jaxpr) -> dict[Var, int]:
    """Return by variable the equation that makes it."""
    return {v: index for index, eqn in enumerate(jaxpr.eqns) for v in eqn.outvars}
