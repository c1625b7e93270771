"""What each primitive is called here, whatever JAX calls it: found by tracing a one-liner of JAX's public API."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from . import jaxprs, kinds

if TYPE_CHECKING:
    from jax.extend.core import JaxprEqn, Primitive


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


UNARY = _words(
    "neg sign floor ceil is_finite exp exp2 log log1p expm1 tanh logistic sin cos tan asin acos atan sinh cosh asinh"
    " acosh atanh sqrt rsqrt cbrt square abs erf erfc erf_inv lgamma digamma bessel_i0e bessel_i1e stop_gradient"
    " optimization_barrier"
)
COMPLEX = _words("real imag conj")
BINARY = _words(
    "add sub mul div rem pow max min atan2 nextafter eq ne lt le gt ge igamma igammac polygamma zeta complex"
)
LOGICAL = _words("bitwise_not bitwise_and bitwise_or bitwise_xor shift_left shift_right_logical shift_right_arithmetic")
REDUCTIONS = _words("sum prod max min")
COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge", "lt_to", "le_to")  # the last two in a total order, with nan
CUMULATIVE = _words("cumsum cumprod cummax cummin cumlogsumexp")

_V, _INTS, _COMPLEX = (jax.ShapeDtypeStruct((4,), dtype) for dtype in (np.float32, np.int32, np.complex64))
_M, _I = jax.ShapeDtypeStruct((2, 4), np.float32), jax.ShapeDtypeStruct((), np.int32)
_AT = np.array([[1], [2]], np.int32)
_ROW = lax.GatherDimensionNumbers(offset_dims=(), collapsed_slice_dims=(0,), start_index_map=(0,))
_PUT = lax.ScatterDimensionNumbers(update_window_dims=(), inserted_window_dims=(0,), scatter_dims_to_operand_dims=(0,))


def _windows(fun: Callable, start: float, step: int = 1) -> Callable:
    return lambda x: lax.reduce_window(x, np.float32(start), fun, (2,), (step,), "VALID")


_polynomial: Any = getattr(lax, "polynomial", None)
_OF_A_VECTOR: dict[str, Callable | None] = {
    "reduce_and": lambda x: jnp.all(x > 0),
    "reduce_or": lambda x: jnp.any(x > 0),
    "argmax": lambda x: lax.argmax(x, 0, jnp.int32),
    "argmin": lambda x: lax.argmin(x, 0, jnp.int32),
    "sort": lambda x: lax.sort(x),
    "top_k": lambda x: lax.top_k(x, 2)[0],
    "approx_top_k": lambda x: lax.approx_max_k(x, 2)[0],
    "lt_to": lambda x: lax.lt_to_p.bind(x, x),
    "le_to": lambda x: lax.le_to_p.bind(x, x),
    "integer_pow": lambda x: lax.integer_pow(x, 3),
    "round": lambda x: lax.round(x),
    "clamp": lambda x: lax.clamp(x, x, x),
    "select_n": lambda x: lax.select_n(x > 0, x, x),
    "convert": lambda x: lax.convert_element_type(x, jnp.int32),
    "reduce_precision": lambda x: lax.reduce_precision(x, 5, 10),
    "bitcast": lambda x: lax.bitcast_convert_type(x, jnp.int32),
    "copy": jnp.copy,
    "device_put": jax.device_put,
    "add_any": lambda x: jax.vjp(lambda x: (x, x), x)[1]((x, x)),
    "iota": lambda x: (x, lax.broadcasted_iota(jnp.float32, (2, 2), 0))[1],
    "reshape": lambda x: lax.reshape(x, (2, 2)),
    "broadcast_in_dim": lambda x: lax.broadcast_in_dim(x, (4, 2), (0,)),
    "squeeze": lambda x: lax.squeeze(x[None], (0,)),
    "slice": lambda x: lax.slice(x, (1,), (3,)),
    "rev": lambda x: lax.rev(x, (0,)),
    "concatenate": lambda x: lax.concatenate([x, x], 0),
    "pad": lambda x: lax.pad(x, np.float32(0), [(1, 1, 0)]),
    "stack": lambda x: jnp.stack([x, x]),  # of its own since jax 0.10
    "unstack": lambda x: jax.vjp(lambda a, b: jnp.stack([a, b]), x, x)[1](lax.broadcast(x, (2,)))[0],
    "split": lambda x: lax.split(x, (1, 3))[0],
    "gather": lambda x: lax.gather(x, _AT, _ROW, (1,)),
    "scatter": lambda x: lax.scatter(x, _AT, x[:2], _PUT),
    "scatter_add": lambda x: lax.scatter_add(x, _AT, x[:2], _PUT),
    "dot_general": lambda x: lax.dot(x, x),
    "reduce_window_sum": _windows(lax.add, 0),
    "reduce_window_max": _windows(lax.max, -np.inf),
    "reduce_window_min": _windows(lax.min, np.inf),
    "select_and_scatter_add": lambda x: jax.vjp(_windows(lax.max, -np.inf, 2), x)[1](x[:2])[0],
    "log2": getattr(lax, "log2", None),  # this one and those below are newer than jax 0.8
    "one_minus_square": getattr(lax, "one_minus_square", None),
    "tile": (lambda x: lax.tile(x, (2,))) if hasattr(lax, "tile") else None,
    "polynomial": (lambda x: _polynomial(x, (1.0, 1.0))) if _polynomial else None,
}


def one_liners() -> dict[str, tuple[Callable, tuple[Any, ...]]]:
    """Return, by our name, a function whose last equation is the primitive, and its arguments."""
    groups = ((UNARY, (_V,)), (COMPLEX, (_COMPLEX,)), (BINARY, (_V, _V)), (CUMULATIVE, (_V,)))
    table = {name: (getattr(lax, name), args) for names, args in groups for name in names}
    table |= {name: (getattr(lax, name), (_INTS, _INTS)[: 1 if name == "bitwise_not" else 2]) for name in LOGICAL}
    table |= {f"reduce_{name}": (getattr(jnp, name), (_V,)) for name in REDUCTIONS}
    table |= {name: (fun, (_V,)) for name, fun in _OF_A_VECTOR.items() if fun is not None}
    return table | {
        "transpose": (lambda x: lax.transpose(x, (1, 0)), (_M,)),
        "conv": (lambda x: lax.conv(x[:, None], x[:, None], (1,), "SAME"), (_M,)),
        "dynamic_slice": (lambda x, i: lax.dynamic_slice(x, (i,), (2,)), (_V, _I)),
        "dynamic_update_slice": (lambda x, i: lax.dynamic_update_slice(x, x[:2], (i,)), (_V, _I)),
    }


@functools.cache
def _primitives(_x64: bool) -> dict[str, Primitive]:
    with jax.disable_jit(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return {name: kinds.last_eqns(fun, *args)[0].primitive for name, (fun, args) in one_liners().items()}


def primitives() -> dict[str, Primitive]:
    """Return JAX's primitive by our name. Until a name has a primitive of its own, it is what does its work."""
    return _primitives(bool(getattr(jax.config, "jax_enable_x64", False)))


def primitive(name: str) -> Primitive:
    """Return JAX's primitive, by what it is called here."""
    return primitives()[name]


def names() -> Callable[[JaxprEqn], str | None]:
    """Return a function from an equation to what its primitive is called here, or None if it is not known here."""
    table = {primitive: name for name, primitive in reversed(primitives().items())}  # of two names, the first
    return lambda eqn: table.get(eqn.primitive)


@functools.cache
def _bell(dtype: Any) -> frozenset[str]:
    """Return how the custom rules are written that the derivative of erf calls: exp(−x²). None before jax 0.12."""
    x = jax.ShapeDtypeStruct((), dtype)
    with jax.disable_jit(False):
        closed, _ = jaxprs.trace(lambda x: jax.vjp(lax.erf, x)[1](x), x)
    kind_of = kinds.kinds()
    return frozenset(_without_shapes(eqn) for eqn in closed.jaxpr.eqns if kind_of(eqn) == "custom_jvp")


def is_bell(eqn: JaxprEqn) -> bool:
    """Tell whether a call of a custom rule is JAX's own exp(−x²)."""
    dtype = getattr(eqn.invars[0].aval, "dtype", None) if len(eqn.invars) == 1 else None
    return dtype is not None and jnp.issubdtype(dtype, jnp.floating) and _without_shapes(eqn) in _bell(dtype)


def _without_shapes(eqn: JaxprEqn) -> str:
    return re.sub(r"\[[\d,]*\]", "[]", "".join(str(body.jaxpr) for body in jaxprs.jaxprs_of(eqn)))
