"""ℓ2 of an array, or of the difference of two, of numbers whose squares are no float32 too."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from .._jax.jaxpr.types import widened
from ._subnormal import scale_of
from ._sums import real


def norm(x: jax.Array) -> jax.Array:
    """Return the ℓ2 norm of all entries; NaN or Inf where one is. Numbers below the smallest normal one may count as 0.

    Always in two passes, by the largest: whoever would look twice only where it is needed has both ways to compile.
    """
    x = real(x)
    if not x.size:
        return jnp.zeros((), x.dtype)
    scale = scale_of(jnp.max(jnp.abs(x)))
    part = x * (1 / scale)
    return jnp.sqrt(jnp.sum(part * part)) * scale


def distance(pair: tuple[jax.Array, jax.Array]) -> jax.Array:
    """Return the ℓ2 norm of the difference of a pair of arrays, which is not kept in between."""
    after, before = map(_rounded, pair)
    return norm(after - before)


def _rounded(x: jax.Array) -> jax.Array:
    """Return an array in a dtype to subtract in. XLA would leave out that it was rounded to 16 bits before."""
    info, wide = jnp.finfo(x.dtype), x.astype(widened(x.dtype))
    return wide if info.bits > 16 else lax.reduce_precision(wide, info.nexp, info.nmant)
