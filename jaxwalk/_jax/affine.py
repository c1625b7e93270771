"""Which equations are affine in some of their operands: told by their derivative, which then does not look at these."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax

from .jaxpr import jaxprs, primitives, structure, types
from .jaxpr.jaxprs import is_literal
from .reach import Reach
from .shards import Loop, trace_inside

if TYPE_CHECKING:
    from jax.extend.core import JaxprEqn


class Affine:
    """Tells whether equations are affine. Of equations that are alike, one is looked at."""

    def __init__(self) -> None:
        self._found: dict[Any, bool] = {}

    def __call__(self, eqn: JaxprEqn, active: Sequence[bool], loops: Sequence[Loop]) -> bool:
        """Tell whether all results are affine in the operands that are `active`, together, and each depends on one.

        `loops` are what the equation is in. What has no derivative forward is not affine.
        """
        try:
            key = structure.of_eqn(eqn), tuple(structure.of_type(v.aval) for v in eqn.invars), tuple(active)
        except structure.Unknown:
            return _is_affine(eqn, active, loops)
        if key not in self._found:
            self._found[key] = _is_affine(eqn, active, loops)
        return self._found[key]


_IN_PARTS = ("rem", "nextafter")
"""What jumps between parts in each of which it is affine, so that its derivative does not tell."""


def _is_affine(eqn: JaxprEqn, active: Sequence[bool], loops: Sequence[Loop]) -> bool:
    if primitives.names()(eqn) in _IN_PARTS:
        return False
    places = [place for place, is_active in enumerate(active) if is_active]
    literals = [jaxprs.literal_array(v) if is_literal(v) else None for v in eqn.invars]
    variables = [place for place, number in enumerate(literals) if number is None]

    def moves(*both: Any) -> list[Any]:
        """Return the derivative of the results: of the operands first, then of moves of those at `places`."""
        given = iter(both)
        values = [next(given) if number is None else number for number in literals]
        operands = [values[place] for place in places]
        return jax.jvp(jaxprs.function_of(eqn, values, places), operands, list(given))[1]

    structs = [types.struct(v.aval) for v in eqn.invars]
    try:
        closed, _ = trace_inside(loops, moves, *(structs[i] for i in variables), *(structs[i] for i in places))
    except Exception:  # whatever a rule raises that has no derivative forward
        return False
    return _reads_moves_alone(closed.jaxpr, [place in places for place in variables])


def _reads_moves_alone(jaxpr: Any, active: Sequence[bool]) -> bool:
    """Tell whether each result of a derivative reads a move, and none an operand that is active."""
    reach, count = Reach(), len(jaxpr.outvars)
    for place in range(count):
        read, _ = reach.into(jaxpr, [other == place for other in range(count)])
        if any(itertools.compress(read, active)) or not any(read[len(active) :]):
            return False
    return count > 0
