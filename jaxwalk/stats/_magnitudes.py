"""The histogram of sizes, in bins of powers of two."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ._measure import Measure
from ._numerics.subnormal import bits_of
from ._numerics.sums import all_sums, real, sums
from ._statistic import State

MAGNITUDES = (0.0, *(2.0**exponent for exponent in range(-149, 128)), np.inf)
"""Where each of the 279 bins of `magnitudes` begins."""


def _bin(x: jax.Array) -> jax.Array:
    """Compute the bin of each entry from its bits: without a logarithm, and subnormal numbers are not flushed."""
    info = jnp.finfo(x.dtype)
    bits = (bits_of(x) << 1) >> 1
    exponent = (bits >> info.nmant).astype(jnp.int32)
    highest = info.bits - 1 - lax.clz(bits).astype(jnp.int32)
    power = jnp.where(exponent > 0, exponent + (info.minexp - 1), highest + (info.minexp - info.nmant))
    number = jnp.clip(power + 150, 1, len(MAGNITUDES) - 2)
    return jnp.where(bits == 0, 0, jnp.where(jnp.isfinite(x), number, len(MAGNITUDES) - 1))


def _magnitudes_of(x: Any) -> State:
    number = _bin(real(x)).reshape(-1)
    return {"magnitudes": jnp.zeros(len(MAGNITUDES), jnp.int32).at[number].add(1)}


HISTOGRAM = Measure(_magnitudes_of, sums, dict, all_sums)
