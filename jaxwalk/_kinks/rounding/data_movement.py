"""Rounding errors of what moves values, converts them or chooses among them."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jax import lax

from ..._jax.jaxpr.call_parameters import scatter_again
from ..._jax.jaxpr.jaxprs import apply
from ..._jax.jaxpr.types import is_float
from .bounds import Application, Error, Relative, bound, shares_of, wide


def carried(op: Application) -> Error:
    """Bound what is moved or chosen: its error moves, or is chosen, with it."""
    share = op.share()
    if share is not None:
        errors = [x.error for x in op.xs if is_float(x.value)]
        integers = all(e is None or e.but_integers for e in errors)
        return [Relative(share, integers) if share and is_float(z) else None for z in op.zs]
    return apply(op.eqn, [bound(x) if is_float(x.value) else x.value for x in op.xs])


def scattered(op: Application) -> Error:
    """Bound what is put in its place: as `carried`, in the dtype of the bounds."""
    if op.share() is not None:
        return carried(op)
    operand, indices, updates = op.xs
    return scatter_again(op.eqn, lax.scatter, bound(operand), indices.value, bound(updates))


def component(op: Application) -> Error:
    """Bound a part, real or imaginary, of a complex number by its whole error; likewise its conjugate."""
    return None if op.xs[0].error is None else bound(op.xs[0])


def converted(op: Application) -> Error:
    (x,), (z,) = op.xs, op.zs
    if not is_float(x.value):
        exact = x.value.dtype == jnp.bool_ or jnp.iinfo(x.value.dtype).bits <= jnp.finfo(z.dtype).nmant
        return None if exact else Relative(op.u, True)
    if jnp.iscomplexobj(x.value) and not jnp.iscomplexobj(z):
        return component(op)
    narrower = jnp.finfo(z.dtype).bits < jnp.finfo(x.value.dtype).bits or z.dtype.itemsize == x.value.dtype.itemsize
    if z.dtype == x.value.dtype or (not narrower and x.error is None):
        return x.error
    if (shares := shares_of(x)) is not None:  # an integer that is rounded to comes from anywhere near it
        return Relative(shares[0] + op.u * narrower, not narrower and x.error.but_integers)
    error = x.error.astype(wide(z.dtype))
    return error + op.u * op.z if narrower else error


def shortened(op: Application) -> Error:
    return bound(op.xs[0]) + 2.0 ** -(op.eqn.params["mantissa_bits"] + 1) * op.z


def of_largest(op: Application) -> Error:
    """Bound a maximum or minimum over some entries by the largest error among those that it may be."""
    if op.share() == 0:
        return None
    (x,), axes, e = op.xs, tuple(op.eqn.params["axes"]), bound(op.xs[0])
    behind = jnp.abs(x.value - jnp.expand_dims(op.zs[0], axes)).astype(e.dtype)
    error_of_first = jnp.max(jnp.where(behind == 0, e, 0), axis=axes, keepdims=True, initial=0)
    may_be = ~(behind > 2 * (e + error_of_first))  # twice, as this is rounded too
    return jnp.max(jnp.where(may_be, e, 0), axis=axes, initial=0)


def largest_along(axis: str) -> Callable[[Application], Error]:
    """Make the rule of what puts values in order along an axis: the largest error along it."""

    def rule(op: Application) -> Error:
        xs = list(op.xs) * len(op.zs) if len(op.xs) == 1 else op.xs
        largest = lambda x: jnp.max(bound(x), axis=op.eqn.params[axis], keepdims=True)
        return [jnp.broadcast_to(largest(x), z.shape) if is_float(z) else None for x, z in zip(xs, op.zs, strict=True)]

    return rule


def of_window(op: Application) -> Error:
    options = ("window_dimensions", "window_strides", "padding", "base_dilation", "window_dilation")
    e = bound(op.xs[0])
    return lax.reduce_window(e, jnp.zeros((), e.dtype), lax.max, **{name: op.eqn.params[name] for name in options})
