"""Means over random samples, in constant memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ..._errors import ArgumentError, check_count, shown
from .batches import weighted_sum


def check_key(key: Any, samples: Any, batch_size: Any) -> None:
    if not (hasattr(key, "dtype") and hasattr(key, "shape")):
        raise ArgumentError(f"`key` is {shown(key)}; give one of `jax.random.key`.")
    try:
        jax.eval_shape(jax.random.split, key)
    except (TypeError, ValueError):
        raise ArgumentError(
            f"`key` is {shown(key)} of {key.dtype}, which is no single key; give one of `jax.random.key`, and for a"
            " batch of them `jax.vmap`."
        ) from None
    check_count("samples", samples)
    check_count("batch_size", batch_size)


def mean_over_keys(of: Callable[[Any], Any], key: Any, samples: int, batch_size: int) -> Any:
    """Return the mean of what a function makes of `samples` keys, in float32 at least."""
    sums = weighted_sum(of, jax.random.split(key, samples), jnp.ones(samples), batch_size)
    return jax.tree.map(lambda s: s / samples, sums)
