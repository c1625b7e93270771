"""Means over random samples, in constant memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ..._errors import ArgumentError, shown
from ..._jax.jaxpr.types import widened


def check_key(key: Any, samples: Any) -> None:
    if not (hasattr(key, "dtype") and hasattr(key, "shape")):
        raise ArgumentError(f"`key` is {shown(key)}; give one of `jax.random.key`.")
    if not isinstance(samples, int) or isinstance(samples, bool) or samples < 1:
        raise ArgumentError(f"`samples` is {shown(samples)}; it must be an integer of at least 1.")


def mean_over_keys(of: Callable[[Any], Any], key: Any, samples: int) -> Any:
    """Return the mean of what a function makes of `samples` keys, one after the other, in float32 at least."""
    shapes = jax.eval_shape(of, key)

    def add(sums: Any, key: Any) -> tuple[Any, None]:
        return jax.tree.map(lambda s, x: s + x.astype(s.dtype), sums, of(key)), None

    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, widened(s.dtype)), shapes)
    sums, _ = jax.lax.scan(add, zeros, jax.random.split(key, samples))
    return jax.tree.map(lambda s: s / samples, sums)
