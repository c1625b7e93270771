"""ℓ2 of an array, of numbers whose squares are no float32 too."""

from __future__ import annotations

import jax
import jax.numpy as jnp

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


norm = quick_or(_scaled_norm, _plain_norm)
"""The ℓ2 norm of all entries; NaN or Inf where one is."""
