"""Integers that leave the backward pass as cotangents, which can only be floating: carried exactly, and back."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp


def as_floats(value: jax.Array) -> jax.Array:
    """Return a floating array that holds `value` exactly: itself, or an integer's halves along a new last axis."""
    if jnp.issubdtype(value.dtype, jnp.inexact):
        return value
    if value.dtype == jnp.bool_ or jnp.iinfo(value.dtype).bits <= 16:
        return value.astype(jnp.float32)
    half = jnp.iinfo(value.dtype).bits // 2
    float_dtype = jnp.float32 if half == 16 else jnp.float64
    low = value & ((1 << half) - 1)
    return jnp.stack([(value >> half).astype(float_dtype), low.astype(float_dtype)], -1)


def as_integers(carried: jax.Array, dtype: Any) -> jax.Array:
    """Return the value of this dtype that `as_floats` was given."""
    if jnp.issubdtype(dtype, jnp.inexact) or dtype == jnp.bool_ or jnp.iinfo(dtype).bits <= 16:
        return carried.astype(dtype)
    half = jnp.iinfo(dtype).bits // 2
    return (carried[..., 0].astype(dtype) << half) | carried[..., 1].astype(dtype)
