"""What each primitive is called here, whatever JAX calls it: told by tracing a one-liner of JAX's public API."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from . import jaxprs, kinds


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
COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")
CUMULATIVE = _words("cumsum cumprod cummax cummin cumlogsumexp")

_V = jax.ShapeDtypeStruct((4,), np.float32)
_M = jax.ShapeDtypeStruct((2, 4), np.float32)
_INTS = jax.ShapeDtypeStruct((4,), np.int32)
_COMPLEX = jax.ShapeDtypeStruct((4,), np.complex64)
_AT = np.array([[1], [2]], np.int32)
_ROW = lax.GatherDimensionNumbers(offset_dims=(), collapsed_slice_dims=(0,), start_index_map=(0,))
_PUT = lax.ScatterDimensionNumbers(update_window_dims=(), inserted_window_dims=(0,), scatter_dims_to_operand_dims=(0,))


def one_liners() -> dict[str, tuple[Callable, tuple[Any, ...]]]:
    """Our name -> a function whose last equation is the primitive, and its arguments."""
    table: dict[str, tuple[Callable, tuple[Any, ...]]] = {}
    for name in UNARY:
        table[name] = (getattr(lax, name), (_V,))
    for name in COMPLEX:
        table[name] = (getattr(lax, name), (_COMPLEX,))
    for name in BINARY:
        table[name] = (getattr(lax, name), (_V, _V))
    for name in LOGICAL:
        table[name] = (getattr(lax, name), (_INTS,) if name == "bitwise_not" else (_INTS, _INTS))
    for name in CUMULATIVE:
        table[name] = (getattr(lax, name), (_V,))
    for name in REDUCTIONS:
        table[f"reduce_{name}"] = (getattr(jnp, name), (_V,))
    table |= {
        "reduce_and": (lambda x: jnp.all(x > 0), (_V,)),
        "reduce_or": (lambda x: jnp.any(x > 0), (_V,)),
        "argmax": (lambda x: lax.argmax(x, 0, jnp.int32), (_V,)),
        "argmin": (lambda x: lax.argmin(x, 0, jnp.int32), (_V,)),
        "sort": (lambda x: lax.sort(x), (_V,)),
        "top_k": (lambda x: lax.top_k(x, 2)[0], (_V,)),
        "integer_pow": (lambda x: lax.integer_pow(x, 3), (_V,)),
        "round": (lambda x: lax.round(x), (_V,)),
        "clamp": (lambda x: lax.clamp(x, x, x), (_V,)),
        "select_n": (lambda x: lax.select_n(x > 0, x, x), (_V,)),
        "convert": (lambda x: lax.convert_element_type(x, jnp.int32), (_V,)),
        "reduce_precision": (lambda x: lax.reduce_precision(x, 5, 10), (_V,)),
        "bitcast": (lambda x: lax.bitcast_convert_type(x, jnp.int32), (_V,)),
        "copy": (jnp.copy, (_V,)),
        "device_put": (jax.device_put, (_V,)),
        "add_any": (lambda x: jax.vjp(lambda x: (x, x), x)[1]((x, x)), (_V,)),
        "iota": (lambda x: (x, lax.broadcasted_iota(jnp.float32, (2, 2), 0))[1], (_V,)),
        "reshape": (lambda x: lax.reshape(x, (2, 2)), (_V,)),
        "transpose": (lambda x: lax.transpose(x, (1, 0)), (_M,)),
        "broadcast_in_dim": (lambda x: lax.broadcast_in_dim(x, (4, 2), (0,)), (_V,)),
        "squeeze": (lambda x: lax.squeeze(x[None], (0,)), (_V,)),
        "slice": (lambda x: lax.slice(x, (1,), (3,)), (_V,)),
        "rev": (lambda x: lax.rev(x, (0,)), (_V,)),
        "concatenate": (lambda x: lax.concatenate([x, x], 0), (_V,)),
        "pad": (lambda x: lax.pad(x, np.float32(0), [(1, 1, 0)]), (_V,)),
        "stack": (lambda x: jnp.stack([x, x]), (_V,)),  # of its own since jax 0.10
        "unstack": (_unstacked, (_V,)),
        "split": (lambda x: lax.split(x, (1, 3))[0], (_V,)),
        "dynamic_slice": (lambda x, i: lax.dynamic_slice(x, (i,), (2,)), (_V, jax.ShapeDtypeStruct((), np.int32))),
        "dynamic_update_slice": (
            lambda x, i: lax.dynamic_update_slice(x, x[:2], (i,)),
            (_V, jax.ShapeDtypeStruct((), np.int32)),
        ),
        "gather": (lambda x: lax.gather(x, _AT, _ROW, (1,)), (_V,)),
        "scatter": (lambda x: lax.scatter(x, _AT, x[:2], _PUT), (_V,)),
        "scatter_add": (lambda x: lax.scatter_add(x, _AT, x[:2], _PUT), (_V,)),
        "dot_general": (lambda x: lax.dot(x, x), (_V,)),
        "conv": (lambda x: lax.conv(x[:, None], x[:, None], (1,), "SAME"), (_M,)),
        "reduce_window_sum": (lambda x: lax.reduce_window(x, np.float32(0), lax.add, (2,), (1,), "VALID"), (_V,)),
        "reduce_window_max": (lambda x: lax.reduce_window(x, -np.inf, lax.max, (2,), (1,), "VALID"), (_V,)),
        "reduce_window_min": (lambda x: lax.reduce_window(x, np.inf, lax.min, (2,), (1,), "VALID"), (_V,)),
        "select_and_scatter_add": (_pooled_back, (_V,)),
    }
    newer = {name: getattr(lax, name, None) for name in ("log2", "one_minus_square")}  # than jax 0.8
    newer["tile"] = (lambda x: lax.tile(x, (2,))) if hasattr(lax, "tile") else None
    return table | {name: (fun, (_V,)) for name, fun in newer.items() if fun is not None}


def _unstacked(x):
    return jax.vjp(lambda a, b: jnp.stack([a, b]), x, x)[1](lax.broadcast(x, (2,)))[0]


def _pooled_back(x):
    pool = lambda x: lax.reduce_window(x, -np.inf, lax.max, (2,), (2,), "VALID")
    return jax.vjp(pool, x)[1](x[:2])[0]


@functools.cache
def _primitives(_x64: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with jax.disable_jit(), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for name, (fun, args) in one_liners().items():
            closed, _ = jaxprs.trace(fun, *args)
            found[name] = closed.jaxpr.eqns[-1].primitive
    return found


def primitives() -> dict[str, Any]:
    """What it is called here -> JAX's primitive. Until a name has a primitive of its own, it is what does its work."""
    return _primitives(bool(getattr(jax.config, "jax_enable_x64", False)))


def primitive(name: str) -> Any:
    """JAX's primitive, by what it is called here."""
    return primitives()[name]


def names() -> Callable[[Any], str | None]:
    """A function from an equation to what its primitive is called here, or None if it is not known here."""
    table = {primitive: name for name, primitive in reversed(primitives().items())}  # of two names, the first
    return lambda eqn: table.get(eqn.primitive)


@functools.cache
def _bell(dtype: Any) -> frozenset[str]:
    """How the custom rules that the derivative of erf calls are written: exp(−x²), by bits. None before jax 0.12."""
    x = jax.ShapeDtypeStruct((), dtype)
    with jax.disable_jit(False):
        closed, _ = jaxprs.trace(lambda x: jax.vjp(lax.erf, x)[1](x), x)
    kind_of = kinds.kinds()
    calls = [eqn for eqn in closed.jaxpr.eqns if kind_of(eqn) == "custom_jvp"]
    return frozenset(_without_shapes(eqn) for eqn in calls)


def is_bell(eqn: Any) -> bool:
    """Whether a call of a custom rule is JAX's own exp(−x²)."""
    dtype = eqn.invars[0].aval.dtype if len(eqn.invars) == 1 else None
    return dtype is not None and jnp.issubdtype(dtype, jnp.floating) and _without_shapes(eqn) in _bell(dtype)


def _without_shapes(eqn: Any) -> str:
    return re.sub(r"\[[\d,]*\]", "[]", "".join(str(body.jaxpr) for body in jaxprs.jaxprs_of(eqn)))
