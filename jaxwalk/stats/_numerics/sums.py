"""Entries of any dtype as real numbers; count of them, and sums that neither under- nor overflow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..._jax.jaxpr.types import widened
from .._statistic import State, numpy_of
from .subnormal import bits_of, modulus, scale_of


def real(x: Any) -> jax.Array:
    """Return `x` as real numbers of at least float32; integers as the default float."""
    x = jnp.asarray(x)
    x = modulus(x) if jnp.issubdtype(x.dtype, jnp.complexfloating) else x
    return x.astype(widened(x.dtype) if jnp.issubdtype(x.dtype, jnp.inexact) else jnp.result_type(float))


def _size_bits(x: Any) -> jax.Array:
    """Return integers in the order of |x|; of a complex number, of its larger part.

    What is asked of a float as such, as whether it is finite, may let a compiler take a subnormal one for zero.
    """
    x = jnp.asarray(x)
    if jnp.issubdtype(x.dtype, jnp.complexfloating):
        return jnp.maximum(bits_of(x.real) << 1, bits_of(x.imag) << 1)
    return bits_of(real(x)) << 1


def are_zero(x: Any) -> jax.Array:
    return _size_bits(x) == 0


def are_finite(x: Any) -> jax.Array:
    bits = _size_bits(x)
    infinite = np.array(np.inf, f"f{bits.dtype.itemsize}").view(bits.dtype) << 1
    return bits < infinite.astype(bits.dtype)


def entry_axes(x: jax.Array) -> tuple[int, ...]:
    return tuple(range(x.ndim - 1))


def by_unit(x: Any) -> jax.Array:
    return one_unit(real(x))


def one_unit(x: jax.Array) -> jax.Array:
    """Return a scalar as a vector of one unit."""
    return x.reshape(1) if x.ndim == 0 else x


def counted(mask: jax.Array, axes: Sequence[int] | None = None, keepdims: bool = False) -> jax.Array:
    """Count the entries of `mask` that are true: as floats, which a processor adds faster, where they are exact."""
    dtype = jnp.float32 if mask.size <= 2**24 else jnp.int32
    ones = jnp.where(mask, jnp.ones((), dtype), jnp.zeros((), dtype))
    return jnp.sum(ones, axis=axes, dtype=dtype, keepdims=keepdims).astype(jnp.int32)


def share(part: Any, whole: Any) -> Any:
    """Divide one count by another; NaN where that is 0."""
    dtype = np.float64 if numpy_of((part, whole)) is np else jnp.result_type(float)
    return over(part.astype(dtype), whole)


def over(total: Any, count: Any) -> Any:
    """Divide by a count; NaN where that is 0."""
    xp = numpy_of((total, count))
    return xp.where(count > 0, total / xp.maximum(count, 1).astype(total.dtype), xp.nan)


def sums(a: State, b: State) -> State:
    return {key: a[key] + b[key] for key in a}


def all_sums(states: State, which: Any) -> State:
    """Add up states along a leading axis; those that are not of `which` are zeros already."""
    return {key: jnp.sum(value, 0, dtype=value.dtype) for key, value in states.items()}


def merge_means(a: State, b: State) -> State:
    """Merge means of `count` data, which the other keys are (T. F. Chan, G. H. Golub, R. J. LeVeque, 1983).

    The step between two means is taken by halves: from -max to max, their dtype cannot hold it.
    """
    count, xp = a["count"] + b["count"], numpy_of((a, b))

    def mean(of_a: Any, of_b: Any) -> Any:
        dtype = of_a.dtype
        share = b["count"].astype(dtype) / (2 * xp.maximum(count, 1).astype(dtype))
        half = of_b * share - of_a * share
        return of_a + half + half

    return {"count": count, **{key: mean(a[key], b[key]) for key in a if key != "count"}}


def all_means(states: State, which: Any) -> State:
    """Merge means along a leading axis; those of no data are zeros.

    Counts are divided by a power of two above their sum: as exact as Σ count·mean / Σ count, which can overflow.
    """
    count = jnp.sum(states["count"], 0, dtype=jnp.int32)

    def mean(means: jax.Array) -> jax.Array:
        number = jnp.maximum(count, 1).astype(means.real.dtype)
        unit = 2 * scale_of(number)
        # `frexp` works on bits; XLA would turn x / (number / unit) into x * unit / number.
        part, _ = jnp.frexp(number)
        shares = states["count"].astype(unit.dtype) / unit[None]
        return jnp.sum(means * shares.astype(means.dtype), 0) / part.astype(means.dtype)

    return {"count": count, **{key: mean(means) for key, means in states.items() if key != "count"}}


# Scaled sums: Σ x² of numbers of 1e-30 is not zero, and that of 1e30 not infinite -------------------------


def plain_squares(x: jax.Array) -> jax.Array:
    """Compute Σ x² without a scale; `is_safe` says whether it is right."""
    return jnp.sum(x * x)


def is_safe(squares: jax.Array) -> jax.Array:
    """Say whether a sum of squares is right: none was too large for float32, so that all entries are finite, and those
    too small do not matter beside the sum. A million such sums can be added. A sum of 0 is not safe: the entries may
    be numbers whose squares are too small."""
    return (squares > 1e-20) & (squares < 1e20)


def common_scale(a: State, b: State) -> tuple[Any, Any, Any]:
    """Return the larger of two scales, and the factors that bring the sums of each to it."""
    scale = numpy_of((a, b)).maximum(a["scale"], b["scale"])
    return scale, a["scale"] / scale, b["scale"] / scale


def common_scale_of_all(states: State) -> tuple[jax.Array, jax.Array]:
    """Return the largest of many scales, and the factors that bring the sums of each to it; for zeros, 0."""
    scale = jnp.max(states["scale"], 0)
    return scale, states["scale"] / jnp.where(scale > 0, scale, 1)[None]
