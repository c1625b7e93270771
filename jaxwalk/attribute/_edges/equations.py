"""What one equation makes of sums: a sum, where it adds, subtracts, scales by a number, casts or moves entries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from ..._jax.jaxpr import call_parameters, jaxprs, kinds, primitives, types
from ..._jax.jaxpr.jaxprs import is_literal
from .sums import NOTHING, Move, Sum, added, moved, scaled

if TYPE_CHECKING:
    from jax.extend.core import JaxprEqn, Literal, Var

_PASSING = ("copy", "device_put", "reduce_precision", "convert", "optimization_barrier")
_MOVING = ("reshape", "transpose", "broadcast_in_dim", "squeeze", "slice", "rev", "reduce_sum")


_ARITHMETIC = ("add", "add_any", "sub", "neg", "mul", "div")


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
        if name in _MOVING and all(map(is_literal, eqn.invars[1:])):
            return [moved(operands[0], _move(eqn))]
        if name not in _ARITHMETIC:
            return None
        made = _arithmetic(name, [_as_result(*each, eqn) for each in zip(operands, eqn.invars, strict=True)])
        return None if made is None else [made]

    return made


def _arithmetic(name: str | None, operands: Sequence[Sum]) -> Sum | None:
    """Return what sums, differences, and products with numbers are."""
    if name in ("add", "add_any"):
        return added(*operands)
    if name == "sub":
        return added(operands[0], scaled(operands[1], -1))
    if name == "neg":
        return scaled(operands[0], -1)
    if name == "mul" and (by := operands[0].number) is not None:
        return scaled(operands[1], by)
    if name in ("mul", "div") and (by := operands[1].number) is not None and (by or name == "mul"):
        return scaled(operands[0], by if name == "mul" else 1 / by)
    return None


def _move(eqn: JaxprEqn) -> Move:
    """Return an equation of one operand, and numbers, as a move."""
    again = call_parameters.without_places(eqn)
    others = [jaxprs.literal_array(v) for v in eqn.invars[1:] if is_literal(v)]
    text = f"{eqn.primitive} {[v.aval for v in eqn.invars]} {sorted(eqn.params.items(), key=str)}"
    return Move(text, lambda x: jaxprs.apply(again, [x, *others])[0])


def _as_result(value: Sum, v: Var | Literal, eqn: JaxprEqn) -> Sum:
    """Return an operand as it is in a result of more entries: a scalar goes to each of them."""
    shape = types.type_of(eqn.outvars[0]).shape
    if not value.terms or types.type_of(v).shape == shape:
        return value
    return moved(value, Move(f"broadcast {shape}", lambda x: jnp.broadcast_to(x, shape)))


def constant(v: Literal) -> Sum:
    """Return what a literal is: a real number, or nothing."""
    if types.type_of(v).shape != () or types.type_of(v).dtype == np.bool_:
        return NOTHING
    return _number(v.val)


def constants(eqn: JaxprEqn, operands: Sequence[Sum]) -> list[Sum] | None:
    """Return the real number that an equation makes of numbers, as √d to scale by; None if it makes none."""
    (v, *others) = eqn.outvars or [None]
    numbers = [operand.number for operand in operands if operand.number is not None]
    if v is None or others or eqn.effects or not numbers or len(numbers) < len(operands) or jaxprs.jaxprs_of(eqn):
        return None
    if primitives.names()(eqn) == "broadcast_in_dim":
        return [operands[0]]
    if not types.is_float(v.aval) or any(types.type_of(x).shape for x in (v, *eqn.invars)):
        return None
    with jax.ensure_compile_time_eval():
        values = [np.asarray(n, types.type_of(x).dtype) for n, x in zip(numbers, eqn.invars, strict=True)]
        return [_number(jaxprs.apply(eqn, values)[0])]


def _number(value: Any) -> Sum:
    number = complex(value)
    return NOTHING if number.imag else Sum({}, number=number.real)
