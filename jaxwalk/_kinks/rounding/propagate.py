"""A bound on the rounding error of every value, carried beside it through one primitive after another.

Running error analysis: N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., SIAM 2002, §3.3; for sums
and products γ_n = n u / (1 - n u) of §3.1, u being half the distance from 1 to the next number. The bounds hold for any
order of summation, with and without fused multiply-add. They are worst cases: through a deep network they grow with the
product of the sums of absolute weights. Underflow is not counted.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ..._jax import jaxprs
from ..._jax.primitives import primitive
from .bounds import Error, Rounded, Step, bound, is_inexact, size, unit
from .functions import SMOOTH, TRANSCENDENTAL, add, div, first_order, integer_pow, largest, mul, same, smooth
from .moves import barrier, carried, converted, largest_along, of_largest, of_window, shortened
from .sums import convolved, multiplied, summed


def propagate(eqn: Any, xs: Sequence[Rounded], zs: Sequence[Any]) -> tuple[list[Error], bool]:
    """The errors of an equation's results `zs`, given its operands; and whether they are estimates, not bounds."""
    if not any(is_inexact(z) for z in zs):
        return [None] * len(zs), False
    rule = _rules().get(eqn.primitive)
    if rule is None:
        return _unknown(eqn, xs, zs)
    errors = rule(Step(eqn, xs, zs))
    return (errors if isinstance(errors, list) else [errors]), False


_MOVERS = (
    "broadcast_in_dim", "reshape", "transpose", "squeeze", "slice", "dynamic_slice", "dynamic_update_slice", "gather",
    "scatter", "concatenate", "pad", "rev", "copy", "select_n", "split", "real", "imag",
)  # fmt: skip
_EXACT = ("sign", "floor", "ceil", "round", "iota", "bitcast")
_FIRST_ORDER = (
    "pow", "tan", "cbrt", "erf_inv", "rem", "asin", "acos", "atan", "atan2", "sinh", "cosh", "asinh",
    "acosh", "atanh", "bessel_i0e", "bessel_i1e",
)  # fmt: skip


@functools.cache
def _rules() -> dict[Any, Callable[[Step], Any]]:
    """By primitive: from its operands with their errors, and its results, to the errors of these."""
    reduced = lambda s: jnp.size(s.xs[0].value) // max(jnp.size(s.zs[0]), 1)
    along = lambda s: jnp.shape(s.xs[0].value)[s.eqn.params["axis"]]
    window = lambda s: math.prod(s.eqn.params["window_dimensions"])
    updates = lambda s: 1 + math.prod(jnp.shape(s.xs[1].value)[:-1])
    named: dict[str, Callable[[Step], Any]] = {
        "add": add, "sub": add, "add_any": add, "mul": mul, "div": div, "integer_pow": integer_pow,
        "square": integer_pow, "max": largest, "min": largest, "clamp": largest, "neg": same, "abs": same,
        "conj": same, "stop_gradient": same, "complex": add, "optimization_barrier": barrier,
        "convert": converted, "reduce_precision": shortened,
        "reduce_sum": summed(reduced), "cumsum": summed(along), "reduce_window_sum": summed(window),
        "scatter_add": summed(updates), "dot_general": multiplied, "conv": convolved,
        "reduce_max": of_largest, "reduce_min": of_largest, "cummax": largest_along("axis"),
        "cummin": largest_along("axis"), "sort": largest_along("dimension"), "top_k": largest_along("axis"),
        "reduce_window_max": of_window, "reduce_window_min": of_window,
    }  # fmt: skip
    named |= {name: smooth(moved) for name, moved in SMOOTH.items()}
    near_zeros = lambda s: first_order(s) + 2 * TRANSCENDENTAL * s.u  # these lose digits where they cross zero
    named |= {"lgamma": near_zeros, "digamma": near_zeros}
    named |= dict.fromkeys(_MOVERS, carried) | dict.fromkeys(_EXACT, lambda s: [None] * len(s.zs))
    named |= dict.fromkeys(_FIRST_ORDER, first_order)
    return {primitive(name): rule for name, rule in named.items()}


def _unknown(eqn: Any, xs: Sequence[Rounded], zs: Sequence[Any]) -> tuple[list[Error], bool]:
    """For a primitive without a rule: to first order along the errors as they are, and a share of the largest entry."""
    floats = [i for i, x in enumerate(xs) if is_inexact(x.value)]
    if not floats:
        return [None] * len(zs), False

    def at(*values: Any) -> list[Any]:
        new = [x.value for x in xs]
        for i, value in zip(floats, values, strict=True):
            new[i] = value
        return [z for z in jaxprs.apply(eqn, new) if is_inexact(z)]

    values = tuple(xs[i].value for i in floats)
    moves = tuple(bound(xs[i]).astype(xs[i].value.dtype) for i in floats)
    try:
        moved = iter(jax.jvp(at, values, moves)[1])
    except (NotImplementedError, TypeError, ValueError):  # no derivative in forward mode
        moved = iter([jnp.zeros_like(z) for z in zs if is_inexact(z)])
    length = max((d for x in xs for d in jnp.shape(x.value)), default=1)
    errors = [
        size(next(moved)) + length * TRANSCENDENTAL * unit(z.dtype) * jnp.max(size(z), initial=0)
        if is_inexact(z)
        else None
        for z in zs
    ]
    return errors, True
