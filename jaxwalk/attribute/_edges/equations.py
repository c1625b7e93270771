"""What one equation makes of sums: a sum, where it adds, subtracts, scales by a number, casts or moves entries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..._jax.jaxpr import call_parameters, jaxprs, kinds, primitives, types
from ..._jax.jaxpr.jaxprs import is_literal
from .sums import NOTHING, Move, Sum, added, moved, scaled

if TYPE_CHECKING:
    from jax.extend.core import JaxprEqn, Literal, Var

_PASSING = ("copy", "device_put", "reduce_precision", "convert", "optimization_barrier")
_MOVING = ("reshape", "transpose", "broadcast_in_dim", "squeeze", "slice", "rev", "reduce_sum")


def summing() -> Callable[[JaxprEqn, Sequence[Sum]], list[Sum] | None]:
    """Return a function from an equation and what its operands are sums of to that of its results; None if it bends.

    Casts, and what rounds, count as the identity.
    """
    name_of, kind_of = primitives.names(), kinds.kinds()

    def made(eqn: JaxprEqn, operands: Sequence[Sum]) -> list[Sum] | None:
        name = name_of(eqn)
        if kinds.barrier_of(eqn) == "stop_gradient":
            return [NOTHING] * len(eqn.outvars)
        if name in _PASSING or kind_of(eqn) == "name" or call_parameters.only_places(eqn):
            return list(operands)
        if name in ("add", "add_any"):
            return [added(*operands)]
        if name == "sub":
            return [added(operands[0], scaled(operands[1], -1))]
        if name == "neg":
            return [scaled(operands[0], -1)]
        if name in ("mul", "div") and (factors := _factors(eqn, name == "div")) is not None:
            place, factor = factors
            return [scaled(operands[place], factor)]
        if name in _MOVING and all(map(is_literal, eqn.invars[1:])):
            return [moved(operands[0], Move.of(eqn))]
        return None

    return made


def _factors(eqn: JaxprEqn, divides: bool) -> tuple[int, float] | None:
    """Return which operand a number scales, and by how much; None if there is no real number in the equation."""
    first, second = map(_number, eqn.invars)
    if second is not None and first is None:
        return (0, 1 / second if divides else second) if second or not divides else None
    return (1, first) if first is not None and second is None and not divides else None


def _number(v: Var | Literal) -> float | None:
    if not is_literal(v) or types.type_of(v).shape != () or np.iscomplexobj(v.val):
        return None
    return float(jaxprs.literal_array(v))
