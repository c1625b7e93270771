"""Rounding errors of what moves values, converts them or chooses among them."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jax import lax

from .bounds import Error, Relative, Step, bound, is_inexact, wide


def carried(s: Step) -> Error:
    share = s.share()
    if share is not None:
        errors = [x.error for x in s.xs if is_inexact(x.value)]
        integers = all(e is None or e.but_integers for e in errors)
        return [Relative(share, integers) if share and is_inexact(z) else None for z in s.zs]
    return s.again([bound(x) if is_inexact(x.value) else x.value for x in s.xs])


def barrier(s: Step) -> Error:
    return [x.error for x in s.xs]


def converted(s: Step) -> Error:
    (x,), (z,) = s.xs, s.zs
    if not is_inexact(x.value):
        exact = x.value.dtype == jnp.bool_ or jnp.iinfo(x.value.dtype).bits <= jnp.finfo(z.dtype).nmant
        return None if exact else Relative(s.u, True)
    narrower = jnp.finfo(z.dtype).bits < jnp.finfo(x.value.dtype).bits or z.dtype.itemsize == x.value.dtype.itemsize
    if z.dtype == x.value.dtype or (not narrower and x.error is None):
        return x.error
    if x.error is None or isinstance(x.error, Relative):
        share = 0.0 if x.error is None else x.error.share
        return Relative((share + s.u) if narrower else share, x.error is None or x.error.but_integers)
    error = x.error.astype(wide(z.dtype))
    return error + s.u * s.z if narrower else error


def shortened(s: Step) -> Error:
    return bound(s.xs[0]) + 2.0 ** -(s.eqn.params["mantissa_bits"] + 1) * s.z


# Order statistics ------------------------------------------------------------------------------------------


def of_largest(s: Step) -> Error:
    """Of a maximum or minimum over some entries: the largest error among them."""
    if s.share() == 0:
        return None
    return jnp.max(bound(s.xs[0]), axis=tuple(s.eqn.params["axes"]))


def largest_along(axis: str) -> Callable[[Step], Error]:
    """Of values put in order along an axis: the largest error along it."""

    def rule(s: Step) -> Error:
        errors: list[Error] = []
        for x, z in zip(list(s.xs) * len(s.zs) if len(s.xs) == 1 else s.xs, s.zs, strict=True):
            if not is_inexact(z):
                errors.append(None)
                continue
            largest = jnp.max(bound(x), axis=s.eqn.params[axis], keepdims=True)
            errors.append(jnp.broadcast_to(largest, z.shape))
        return errors

    return rule


def of_window(s: Step) -> Error:
    options = ("window_dimensions", "window_strides", "padding", "base_dilation", "window_dilation")
    e = bound(s.xs[0])
    named = {name: s.eqn.params[name] for name in options}
    return lax.reduce_window(e, jnp.zeros((), e.dtype), lax.max, **named)
