"""ℓ2 of an array, or of the difference of two, of numbers whose squares are no float32 too."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from .._jax.jaxpr.types import widened
from ._quick import quick_or
from ._subnormal import largest, rescaled, scale_of, scaled
from ._sums import is_safe, plain_squares, real


def _scaled_norm(x: jax.Array) -> jax.Array:
    size = jnp.abs(real(x))
    scale = scale_of(largest(size))
    return rescaled(jnp.sqrt(jnp.sum(scaled(size, scale) ** 2)), scale)


def _plain_norm(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    squares = plain_squares(real(x))
    return jnp.sqrt(squares), is_safe(squares)


def _difference(pair: tuple[jax.Array, jax.Array]) -> jax.Array:
    after, before = map(_rounded, pair)
    return after - before


def _rounded(x: jax.Array) -> jax.Array:
    """Return an array in a dtype to subtract in. XLA would leave out that it was rounded to 16 bits before."""
    info, wide = jnp.finfo(x.dtype), x.astype(widened(x.dtype))
    return wide if info.bits > 16 else lax.reduce_precision(wide, info.nexp, info.nmant)


norm = quick_or(_scaled_norm, _plain_norm)
"""The ℓ2 norm of all entries; NaN or Inf where one is."""

distance = quick_or(lambda pair: _scaled_norm(_difference(pair)), lambda pair: _plain_norm(_difference(pair)))
"""The ℓ2 norm of the difference of a pair of arrays, which is not kept in between."""
