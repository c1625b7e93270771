"""Which activation reads a value: a function, entry by entry, of that value alone, such as a relu."""

from __future__ import annotations

import functools
import heapq
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .._jax import origin
from .._jax.jaxpr import jaxprs, primitives, types
from .._jax.jaxpr.jaxprs import Closed, is_literal
from .entrywise import CALLS, Entrywise, constants_of
from .paths.exits import readers_of
from .point import Point, Site
from .softmax import is_softmax

if TYPE_CHECKING:
    from jax.extend.core import Jaxpr, JaxprEqn, Literal, Var

_BENDS = frozenset(
    (*primitives.COMPARISONS, "sign", "floor", "ceil", "max", "min", "clamp", "select_n", "tanh", "logistic")
    + ("erf", "erfc", "exp", "exp2", "expm1", "log1p", "sin", "cos", "atan", "asinh")
)
"""What makes an activation of a function of one value: not a power, as in a loss, nor a factor or a bias."""

_LIMIT = 64  # equations, at most, that one activation is looked for in


class Activation(NamedTuple):
    """What an activation makes of a value.

    Attributes:
        name: of the function, as "relu"; of one written out, its place in the source.
        closed: the program; value -> the results that others read.
        program: the text of it.
    """

    name: str
    closed: Closed
    program: str

    def apply(self, value: Any) -> list[Any]:
        """Return what others read in the place of the value."""
        return jaxprs.evaluate(self.closed, [value])


class Activations:
    """Finds the activations of a traced function."""

    def __init__(self, closed: Closed):
        self._closed = closed
        self._is_of_entries = Entrywise()
        self._kind_of, self._name_of = self._is_of_entries.kind_of, self._is_of_entries.name_of
        self._readers = functools.cache(readers_of)
        self._constants = functools.cache(constants_of)

    def reading(self, point: Point) -> Activation | None:
        """Return the activation that reads the value at a point, where it is or where a call returns it to."""
        chain = self._jaxprs(point.site)
        index, result = point.site.equation, point.site.result or 0
        for depth in range(len(chain) - 1, -1, -1):
            jaxpr = chain[depth]
            v = jaxpr.eqns[index].outvars[result]
            if (found := self._of(jaxpr, v)) is not None:
                return found
            places = [place for place, out in enumerate(jaxpr.outvars) if out is v]
            if depth == 0 or not places:
                return None
            index = point.site.calls[depth - 1][0]
            if self._kind_of(chain[depth - 1].eqns[index]) not in CALLS:
                return None
            result = places[0]
        return None

    def making(self, point: Point) -> str:
        """Return the name of the activation whose result the value at a point is; "" if it is of none."""
        jaxpr = self._jaxprs(point.site)[-1]
        eqn, operands = jaxpr.eqns[point.site.equation], {v: e for e in jaxpr.eqns for v in e.outvars}
        while self._kind_of(eqn) == "name" and eqn.invars[0] in operands:
            eqn = operands[eqn.invars[0]]
        is_activation = self._is_of_entries(eqn) and self._bends(eqn)
        return self._called(eqn) if is_activation else self._softmax(jaxpr, eqn)

    def _softmax(self, jaxpr: Jaxpr, eqn: JaxprEqn) -> str:
        is_one = len(eqn.outvars) == 1 and is_softmax(jaxpr, eqn.outvars[0], self._kind_of, self._name_of)
        return "softmax" if is_one else ""

    def _jaxprs(self, site: Site) -> list[Jaxpr]:
        """Return the jaxprs down to the one that a site is in, the outermost first."""
        chain = [self._closed.jaxpr]
        for index, branch in site.calls:
            chain.append(jaxprs.jaxprs_of(chain[-1].eqns[index])[branch].jaxpr)
        return chain

    def _of(self, jaxpr: Jaxpr, value: Var) -> Activation | None:
        bends = self._functions(jaxpr, value)
        readers = self._readers(jaxpr)
        reached: dict[Var, bool] = {value: False}  # whether it is more than linear in the value
        left: list[Var] = []
        for count, (eqn, is_bent) in enumerate(bends.values(), 1):
            reached.update(dict.fromkeys(eqn.outvars, is_bent))
            later = {*bends} - {*itertools.islice(bends, count)}
            goes_on = lambda v, later=later: any(i in later or (v is not value and i not in bends) for i in readers[v])
            left = [v for v in reached if v in readers and goes_on(v)]
            if len(left) == 1 and reached[left[0]]:
                break  # it alone goes on from here: the first activation is complete
        left = [v for v in left if reached[v] and types.is_float(v.aval)]
        return self._activation(jaxpr, value, list(bends), left) if left else None

    def _functions(self, jaxpr: Jaxpr, value: Var) -> dict[int, tuple[JaxprEqn, bool]]:
        """Return the equations that compute, entry by entry, functions of `value` alone, and whether they bend."""
        readers, constants = self._readers(jaxpr), self._constants(jaxpr)
        bent: dict[Any, bool] = {value: False}
        found: dict[int, tuple[JaxprEqn, bool]] = {}
        waiting = sorted({*readers.get(value, ())})
        while waiting and (index := heapq.heappop(waiting)) < len(jaxpr.eqns) and len(found) < _LIMIT:
            eqn = jaxpr.eqns[index]
            if index not in found and self._joins(eqn, value, bent, constants):
                is_bent = self._bends(eqn) or any(bent.get(v, False) for v in eqn.invars if not is_literal(v))
                found[index] = eqn, is_bent
                bent.update(dict.fromkeys(eqn.outvars, is_bent))
                for reader in {r for v in eqn.outvars for r in readers.get(v, ())}:
                    heapq.heappush(waiting, reader)
        return found

    def _joins(self, eqn: JaxprEqn, value: Var, bent: dict[Any, bool], constants: dict[Var, int]) -> bool:
        others = [v for v in eqn.invars if not is_literal(v) and v not in constants]
        shape = types.type_of(value).shape
        alike = all(types.is_array_type(v.aval) and types.type_of(v).shape == shape for v in eqn.outvars)
        return alike and all(v in bent for v in others) and self._is_of_entries(eqn)

    def _bends(self, eqn: JaxprEqn) -> bool:
        if self._kind_of(eqn) in CALLS:
            return any(self._bends(inner) for closed in jaxprs.jaxprs_of(eqn)[:1] for inner in closed.jaxpr.eqns)
        return self._name_of(eqn) in _BENDS

    def _called(self, eqn: JaxprEqn) -> str:
        """Return what a bending equation is called: its function, or its primitive."""
        bodies = jaxprs.jaxprs_of(eqn)
        name = (
            getattr(getattr(bodies[0].jaxpr, "debug_info", None), "func_name", None) if bodies else self._name_of(eqn)
        )
        return (name or str(eqn.primitive)).strip("_<>")

    def _activation(self, jaxpr: Jaxpr, value: Var, mine: Sequence[int], left: Sequence[Var]) -> Activation:
        eqns = [jaxpr.eqns[i] for i in _needed(jaxpr, mine, left, self._constants(jaxpr))]
        closed = jaxprs.stretch(jaxpr, eqns, [value], left)
        names = dict.fromkeys(self._name_in_full(eqn) for eqn in eqns if any(v in left for v in eqn.outvars))
        return Activation(", ".join(names), closed, str(closed.jaxpr))

    def _name_in_full(self, eqn: JaxprEqn) -> str:
        return self._called(eqn) if self._bends(eqn) else origin.source_of(eqn) or self._called(eqn)


def _needed(jaxpr: Jaxpr, mine: Sequence[int], left: Sequence[Var], constants: dict[Var, int]) -> list[int]:
    """Return, of some equations, those that some results depend on, with those that make their constants."""
    makers = {v: i for i in mine for v in jaxpr.eqns[i].outvars} | constants
    needed: set[int] = set()
    waiting: list[Var | Literal] = list(left)
    while waiting:
        index = None if is_literal(v := waiting.pop()) else makers.get(v)
        if index is not None and index not in needed:
            needed.add(index)
            waiting += jaxpr.eqns[index].invars
    return sorted(needed)
