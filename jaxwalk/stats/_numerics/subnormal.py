"""Numbers below the smallest normal one, which a processor may take for zeros: compared and scaled by their bits."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._statistic import numpy_of


def bits_of(x: jax.Array) -> jax.Array:
    return lax.bitcast_convert_type(x, jnp.uint32 if x.dtype == jnp.float32 else jnp.uint64)


def is_zero(x: jax.Array) -> jax.Array:
    return (bits_of(x) << 1) == 0


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def largest(sizes: jax.Array, axis: Any = None, keepdims: bool = False) -> jax.Array:
    """Return the largest of numbers that are not negative, whose order is that of their bits; of none, 0."""
    bits = jnp.max(bits_of(sizes), axis=axis, keepdims=keepdims, initial=0)
    return lax.bitcast_convert_type(bits, sizes.dtype)


@largest.defjvp
def _largest_jvp(axis: Any, keepdims: bool, primals: Any, tangents: Any) -> Any:
    plain = lambda sizes: jnp.max(sizes, axis=axis, keepdims=keepdims, initial=0)
    return largest(*primals, axis, keepdims), jax.jvp(plain, primals, tangents)[1]


def larger(a: Any, b: Any) -> Any:
    """Return the larger of two numbers that are not negative."""
    return np.maximum(a, b) if numpy_of((a, b)) is np else largest(jnp.stack([a, b]), 0)


def scale_of(size: jax.Array) -> jax.Array:
    """Return the power of two next below `size`, among those whose inverse is a normal number: scaling is exact."""
    info = jnp.finfo(size.dtype)
    exponent = bits_of(size) & np.array(-1 << info.nmant, np.int64).astype(bits_of(size).dtype)
    tiny = float(info.tiny)
    return jnp.clip(lax.bitcast_convert_type(exponent, size.dtype), tiny, 1 / tiny)


def square_of_part(x: jax.Array, inverse: jax.Array) -> jax.Array:
    """Return (x · inverse)², for the inverse of a scale as of `scale_of`.

    Less a zero, which XLA does not know to be one. Of a constant x it would else make (x · x) · (inverse · inverse), in
    which both may overflow.
    """
    part = x * inverse - 0 * inverse
    return part * part


def exponent_of(scale: jax.Array) -> jax.Array:
    """Return the exponent of a power of two that is a normal number."""
    info = jnp.finfo(scale.dtype)
    return (bits_of(scale) >> info.nmant).astype(jnp.int32) - (1 - info.minexp)


def power_of_two(exponent: jax.Array, dtype: Any) -> jax.Array:
    """Return 2 to an integer, or the nearest power whose inverse is a normal number too."""
    info = jnp.finfo(dtype)
    bits = (jnp.clip(exponent, info.minexp, -info.minexp) + (1 - info.minexp)).astype(f"uint{info.bits}")
    return lax.bitcast_convert_type(bits << info.nmant, dtype)


@jax.custom_jvp
def scaled(x: jax.Array, scale: jax.Array) -> jax.Array:
    """Return x / scale, for a scale as of `scale_of`."""
    info, bits = jnp.finfo(x.dtype), bits_of(x)
    mantissa = (bits << 1) >> 1
    parts = mantissa.astype(x.dtype) * (2.0**-info.nmant) * (float(info.tiny) / scale)
    parts = jnp.where(bits == mantissa, parts, -parts)
    return jnp.where(mantissa >> info.nmant == 0, parts, x * (1 / scale))


@scaled.defjvp
def _scaled_jvp(primals: Any, tangents: Any) -> Any:
    return scaled(*primals), tangents[0] * (1 / primals[1])


def rescaled(x: Any, scale: Any) -> Any:
    """Return x · scale, the inverse of `scaled`."""
    return x * scale if numpy_of((x, scale)) is np else _rescaled(x, scale)


@jax.custom_jvp
def _rescaled(x: jax.Array, scale: jax.Array) -> jax.Array:
    info = jnp.finfo(x.dtype)
    size = jnp.abs(x) * (scale / float(info.tiny))
    bits = jnp.round(size * 2.0**info.nmant).astype(bits_of(x).dtype)
    small = lax.bitcast_convert_type(bits, x.dtype)
    return jnp.where(size < 1, jnp.where(x < 0, -small, small), x * scale)


@_rescaled.defjvp
def _rescaled_jvp(primals: Any, tangents: Any) -> Any:
    return _rescaled(*primals), tangents[0] * primals[1]


def modulus(x: jax.Array) -> jax.Array:
    """Return |x| of complex numbers."""
    parts = jnp.abs(jnp.stack([x.real, x.imag]))
    scale = scale_of(largest(parts, 0))
    small = rescaled(jnp.sqrt(jnp.sum(scaled(parts, scale[None]) ** 2, 0)), scale)
    return jnp.where(scale < 1e-25, small, jnp.abs(x))
