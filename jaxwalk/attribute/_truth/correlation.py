"""Correlations that are NaN where there is none to speak of."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from ..._jax.jaxpr.types import widened


def pearson(a: jax.Array, b: jax.Array) -> jax.Array:
    """Return the linear correlation of two vectors; NaN if one has a NaN or an Inf, or does not vary."""
    dtype = widened(jnp.result_type(a))
    varies = jnp.asarray(len(a) > 1)
    centred = []
    for x in (a.astype(dtype), b.astype(dtype)):
        # What is all the same is told from the numbers: their mean is rounded, and differs from them by that.
        varies = varies & (jnp.max(x, initial=-jnp.inf) > jnp.min(x, initial=jnp.inf)) & jnp.isfinite(x).all()
        x = x / jnp.max(jnp.abs(x), initial=0)  # so that no square is too large, or too small
        centred.append(x - jnp.mean(x))
    x, y = centred
    return jnp.where(varies, jnp.clip(x @ y / jnp.sqrt((x @ x) * (y @ y)), -1, 1), jnp.nan)


def spearman(a: jax.Array, b: jax.Array) -> jax.Array:
    """Return the correlation of the ranks of two vectors, equal numbers with the mean of their ranks."""
    found = pearson(_ranks(a), _ranks(b))
    return jnp.where(jnp.isnan(a).any() | jnp.isnan(b).any(), jnp.nan, found)


def _ranks(x: jax.Array) -> jax.Array:
    inside = jnp.sort(x)
    below, upto = (jnp.searchsorted(inside, x, side=side) for side in ("left", "right"))
    return (below + upto).astype(widened(x.dtype))
