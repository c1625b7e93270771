"""A bound on the rounding error of every value, carried beside it through one primitive after another.

Running error analysis: N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., SIAM 2002, §3.3; for sums
and products γ_n = n u / (1 - n u) of §3.1, u being half the distance from 1 to the next number. The bounds hold for any
order of summation, with and without fused multiply-add. They are worst cases: through a deep network they grow with the
product of the sums of absolute weights. Underflow is not counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ..._jax.jaxpr.jaxprs import function_of
from ..._jax.jaxpr.types import is_float
from .bounds import Application, Error, Relative, bound, size, unit
from .data_movement import carried, component, converted, largest_along, of_largest, of_window, scattered, shortened
from .elementwise import (
    SMOOTH,
    TRANSCENDENTAL,
    absolute,
    add,
    clamped,
    div,
    first_order,
    integer_pow,
    largest,
    mul,
    polynomial,
    same,
    sign,
    smooth,
)
from .sums_of_products import convolved, multiplied, scatter_added, summed


def has_bound(name: str | None) -> bool:
    """Tell whether the errors of a primitive, by its name in `_jax/jaxpr/primitives`, are bounded."""
    return name in _RULES


def propagate(name: str | None, op: Application) -> list[Error]:
    """Bound the errors of an operation's results; if its primitive has no bound, estimate them."""
    if not any(map(is_float, op.zs)):
        return [None] * len(op.zs)
    if (rule := _RULES.get(name or "")) is None:
        floats = [i for i, x in enumerate(op.xs) if is_float(x.value)]
        return _estimate(op, floats) if floats else [None] * len(op.zs)
    errors = rule(op)
    return [_or_unbounded(e) for e in (errors if isinstance(errors, list) else [errors])]


def _or_unbounded(error: Error) -> Error:
    """Return a bound; infinity where it is 0·∞ or ∞ - ∞, and so none."""
    return error if error is None or isinstance(error, Relative) else jnp.where(jnp.isnan(error), jnp.inf, error)


def _estimate(op: Application, floats: Sequence[int]) -> list[Error]:
    """Estimate errors to first order along those of the operands as they are, and by a share of the largest entry."""
    values = tuple(op.xs[i].value for i in floats)
    moves = tuple(bound(op.xs[i]).astype(op.xs[i].value.dtype) for i in floats)
    try:
        moved = iter(jax.jvp(function_of(op.eqn, [x.value for x in op.xs], floats), values, moves)[1])
    except Exception:  # whatever a primitive raises that has no derivative in forward mode
        moved = iter([jnp.zeros_like(z) for z in op.zs if is_float(z)])
    length = max((d for x in op.xs for d in jnp.shape(x.value)), default=1)
    own = lambda z: length * TRANSCENDENTAL * unit(z.dtype) * jnp.max(size(z), initial=0)
    return [size(next(moved)) + own(z) if is_float(z) else None for z in op.zs]


_MOVERS = (
    "broadcast_in_dim", "reshape", "transpose", "squeeze", "slice", "dynamic_slice", "dynamic_update_slice", "gather",
    "concatenate", "pad", "rev", "copy", "select_n", "split", "stack", "unstack", "tile", "device_put",
)  # fmt: skip
_EXACT = ("floor", "ceil", "round", "iota", "bitcast")
_FIRST_ORDER = (
    "pow", "tan", "cbrt", "erf_inv", "rem", "asin", "acos", "atan", "atan2", "sinh", "cosh", "asinh",
    "acosh", "atanh", "bessel_i0e", "bessel_i1e",
)  # fmt: skip


def _rules() -> dict[str, Callable[[Application], Any]]:
    """Return, by the name of a primitive, what bounds the errors of its results."""
    reduced = lambda op: jnp.size(op.xs[0].value) // max(jnp.size(op.zs[0]), 1)
    along = lambda op: jnp.shape(op.xs[0].value)[op.eqn.params["axis"]]
    window = lambda op: math.prod(op.eqn.params["window_dimensions"])
    near_zeros = lambda op: first_order(op) + 2 * TRANSCENDENTAL * op.u  # these lose digits where they cross zero
    return {
        "add": add, "sub": add, "add_any": add, "mul": mul, "div": div, "integer_pow": integer_pow,
        "square": integer_pow, "polynomial": polynomial,
        "max": largest, "min": largest, "clamp": clamped, "neg": same, "abs": absolute,
        "sign": sign, "real": component, "imag": component, "conj": component, "stop_gradient": same, "complex": add,
        "optimization_barrier": same,
        "convert": converted, "reduce_precision": shortened,
        "reduce_sum": summed(reduced), "cumsum": summed(along), "reduce_window_sum": summed(window),
        "scatter": scattered, "scatter_add": scatter_added, "dot_general": multiplied, "conv": convolved,
        "reduce_max": of_largest, "reduce_min": of_largest, "cummax": largest_along("axis"),
        "cummin": largest_along("axis"), "sort": largest_along("dimension"), "top_k": largest_along("axis"),
        "reduce_window_max": of_window, "reduce_window_min": of_window,
        "lgamma": near_zeros, "digamma": near_zeros,
        **{name: smooth(moved) for name, moved in SMOOTH.items()},
        **dict.fromkeys(_MOVERS, carried),
        **dict.fromkeys(_EXACT, lambda op: [None] * len(op.zs)),
        **dict.fromkeys(_FIRST_ORDER, first_order),
    }  # fmt: skip


_RULES = _rules()
