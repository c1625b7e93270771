"""Which values depend on what is explained, in each jaxpr of a traced function, by the calls that lead there."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from ...._jax.jaxpr import call_parameters, jaxprs, kinds, types
from ...._jax.jaxpr.jaxprs import Closed, is_literal
from ...._jax.shards import Loop, loops_of
from ...._points.entrywise import Entrywise
from ...._points.point import Points

if TYPE_CHECKING:
    from jax.extend.core import Jaxpr, JaxprEqn, Literal, Var

Calls: TypeAlias = tuple[tuple[int, int], ...]
NOT, OF_MAXIMA, DEPENDS = 0, 1, 2
"""How a value depends on what is explained; the second: only through the largest, or the least, of entries."""

ENTERED = ("jit", "checkpoint", "custom_jvp", "custom_vjp", "scan", "cond", "shard_map")
_MOVES = ("broadcast_in_dim", "reshape", "squeeze", "transpose")


class Level(NamedTuple):
    """A jaxpr of the function, with the calls and the loops that it is in.

    Attributes:
        how: by variable how it depends on what is explained; those that do not are left out.
    """

    jaxpr: Jaxpr
    calls: Calls
    loops: tuple[Loop, ...]
    how: Mapping[Var, int]

    def depends(self, v: Var | Literal) -> bool:
        return not is_literal(v) and v in self.how

    def active(self, v: Var | Literal) -> bool:
        """Tell whether a variable depends on what is explained and is a real or complex value."""
        return self.depends(v) and types.is_float(v.aval)


def bodies_of(eqn: JaxprEqn, kind: str | None) -> list[Closed]:
    """Return the jaxprs that an equation of a kind runs, where what is inside is looked at; else none."""
    if kind not in ENTERED:
        return []
    bodies = jaxprs.jaxprs_of(eqn)
    bodies = bodies if kind == "cond" else bodies[:1]
    operands = len(eqn.invars) - (kind == "cond")
    return bodies if all(len(closed.jaxpr.invars) == operands for closed in bodies) else []


def is_maximum(name: str | None) -> bool:
    """Tell whether a primitive gives the largest, or the least, of several entries of one value."""
    return name in ("reduce_max", "reduce_min", "reduce_window_max", "reduce_window_min", "cummax", "cummin")


def starts_at(points: Points) -> dict[Calls, set[tuple[int, int]]]:
    """Return where the values at points that have a δ are: by the calls around, (equation, result)."""
    found: dict[Calls, set[tuple[int, int]]] = {}
    for point in points.values():
        if point.has_delta:
            found.setdefault(point.site.calls, set()).add((point.site.equation, point.site.result or 0))
    return found


class Dependence:
    """Follows values forward. What comes out of a `stop_gradient` depends on nothing.

    Arguments:
        starts: by the calls that lead to a jaxpr, values in it that are explained: (equation, result).
        held: equations, by the calls that lead there, whose results are constants: they depend on nothing.
        through_maxima: whether a `stop_gradient` of what depends OF_MAXIMA alone is passed.
    """

    def __init__(
        self, starts: Mapping[Calls, set[tuple[int, int]]], through_maxima: bool, held: Collection[tuple[Calls, int]]
    ):
        self.levels: dict[Calls, Level] = {}
        self._starts, self._through_maxima, self._held = starts, through_maxima, held
        self._is_entrywise = Entrywise()
        self._kind, self._name = self._is_entrywise.kind_of, self._is_entrywise.name_of

    def run(self, jaxpr: Jaxpr, given: Sequence[int], calls: Calls = (), loops: tuple[Loop, ...] = ()) -> list[int]:
        """Return how the results of a jaxpr depend, whose inputs do as `given`; `levels` then has it."""
        how: dict[Var, int] = {v: g for v, g in zip(jaxpr.invars, given, strict=True) if g}
        look = lambda v: NOT if is_literal(v) else how.get(v, NOT)
        starts = self._starts.get(calls, ())
        for index, eqn in enumerate(jaxpr.eqns):
            found = self._through(eqn, [look(v) for v in eqn.invars], (calls, index), loops)
            found = [NOT] * len(found) if (calls, index) in self._held else found
            how.update({v: f for v, f in zip(eqn.outvars, found, strict=True) if f})
            how.update({v: DEPENDS for place, v in enumerate(eqn.outvars) if (index, place) in starts})
        self.levels[calls] = Level(jaxpr, calls, loops, how)
        return [look(v) for v in jaxpr.outvars]

    def _through(
        self, eqn: JaxprEqn, read: Sequence[int], at: tuple[Calls, int], loops: tuple[Loop, ...]
    ) -> Sequence[int]:
        kind, most = self._kind(eqn), max(read, default=NOT)
        if bodies := bodies_of(eqn, kind):
            loops = (*loops, *loops_of(kind or "", eqn))
            if kind == "scan":
                return self._scan(eqn, read, at, loops)
            decides, read = (read[0], read[1:]) if kind == "cond" else (NOT, read)
            each = [self._into(eqn, place, read, at, loops) for place in range(len(bodies))]
            return [max(DEPENDS if decides else NOT, *several) for several in zip(*each, strict=True)]
        if kinds.barrier_of(eqn) == "stop_gradient":
            most = most if most == OF_MAXIMA and self._through_maxima else NOT
        elif most and is_maximum(self._name(eqn)):
            most = OF_MAXIMA
        elif most and not (self._name(eqn) in _MOVES or self._is_entrywise(eqn)):
            most = DEPENDS
        return [most] * len(eqn.outvars)

    def _scan(
        self, eqn: JaxprEqn, read: Sequence[int], at: tuple[Calls, int], loops: tuple[Loop, ...]
    ) -> Sequence[int]:
        """Return how the results of a scan depend: a carry may come to depend in a step before."""
        parts = call_parameters.scan_parts(eqn)
        first = parts.consts + parts.carry
        carry = list(read[parts.consts : first])
        while True:
            found = self._into(eqn, 0, [*read[: parts.consts], *carry, *read[first:]], at, loops)
            grown = list(map(max, carry, found))
            if grown == carry:
                return found
            carry = grown

    def _into(
        self, eqn: JaxprEqn, place: int, read: Sequence[int], at: tuple[Calls, int], loops: tuple[Loop, ...]
    ) -> list[int]:
        calls, index = at
        return self.run(jaxprs.jaxprs_of(eqn)[place].jaxpr, read, (*calls, (index, place)), loops)
