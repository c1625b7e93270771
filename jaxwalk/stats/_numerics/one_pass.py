"""What is known of an array after one pass over it: for devices that pay for each pass, as GPUs do.

Sums of squares need a scale, which is known only when the largest entry is; so each is computed at three scales at
once, and the largest tells which of them neither over- nor underflowed. All of it is one reduction of several operands,
of which XLA makes one kernel; reductions of their own it would run one after the other, each reading the array again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .looks import first_look, vector_of
from .subnormal import scale_of

_ROW = 256  # entries, at least, that a row has: the sums of rows are then added up in a second, small reduction


def one_look(x: jax.Array, about_mean: bool, masks: Mapping[str, jax.Array]) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Return the vector of what is finite of an array, as `first_look` where that is all; and how many entries of some
    masks are true.

    Squares are of offsets from an entry, and brought to those about the mean: so that a mean which is large beside the
    std costs no digits. Where no entry that was looked for is finite, or it is a hundred times the std away from the
    mean, that costs three or four. Of numbers below 1e-30 the mean and the std are inexact.
    """
    if not x.size:
        return first_look(x, about_mean)[0], dict.fromkeys(masks, jnp.zeros((), jnp.int32))
    scales, centre = _scales(x.dtype), _an_entry(x) if about_mean else jnp.zeros((), x.dtype)
    kept = jnp.where(jnp.abs(x) <= float(jnp.finfo(x.dtype).max), x, centre)
    of = lambda scale: kept * scale - centre * scale if about_mean else kept * scale
    counted = {"nonzero": kept != 0, "nan": x != x, "inf": jnp.abs(x) == np.inf, **masks}
    share = 2.0 ** -(math.ceil(math.log2(x.size)) + 2)  # a sum of so small a share of numbers cannot overflow
    found = _in_one_pass(
        jnp.abs(kept), [of(share), *_squares(of, scales)] if about_mean else _squares(of, scales), counted
    )
    scale = scale_of(found.largest)
    square = _at_scale(scale, found.largest, found.sums[-3:], scales)
    bad = found.counts["nan"] + found.counts["inf"]
    nonzero = found.counts.pop("nonzero") - jnp.where(centre != 0, bad, 0)
    mean = jnp.zeros((), x.dtype)
    if about_mean:
        count = jnp.maximum(x.size - bad, 1).astype(x.dtype)
        offset = found.sums[0] * (1 / scale) * ((1 / share) / count)
        square = jnp.maximum(square - count * offset**2, 0)
        mean = jnp.where(bad < x.size, centre * (1 / scale) + offset, 0)
    known = {"max": found.largest, "scale": scale, "mean": mean, "square": square, "nonzero": nonzero, "size": x.size}
    vector = vector_of(known | {name: found.counts.pop(name) for name in ("nan", "inf")}, x)
    return vector, found.counts


def one_norm(x: jax.Array) -> jax.Array:
    """Return the ℓ2 norm of all entries; NaN or Inf where one is."""
    if not x.size:
        return jnp.zeros((), x.dtype)
    scales = _scales(x.dtype)
    found = _in_one_pass(jnp.abs(x), _squares(lambda scale: x * scale, scales), {})
    scale = scale_of(found.largest)
    norm = jnp.sqrt(_at_scale(scale, found.largest, found.sums, scales)) * scale
    unscaled = found.sums[1]
    return jnp.where(jnp.isfinite(found.largest), norm, jnp.where(jnp.isnan(unscaled), jnp.nan, found.largest))


def _an_entry(x: jax.Array) -> jax.Array:
    """Return an entry that is finite, of one in the middle and two others; 0 if none of them is."""
    found = jnp.zeros((), x.dtype)
    for part in (1 / 4, 3 / 4, 1 / 2):
        entry = x[tuple(int(part * n) for n in x.shape)]
        found = jnp.where(jnp.isfinite(entry), entry, found)
    return found


# Squares at three scales -----------------------------------------------------------------------------------


class _Scales(NamedTuple):
    """Powers of two by which entries are multiplied before they are squared; and the bounds, of the largest entry,
    within which no scale is needed. Of float32 each is right over 90 powers of two, of which there are 254."""

    low: float
    high: float
    least: float
    most: float


def _scales(dtype: Any) -> _Scales:
    unit = jnp.finfo(dtype).maxexp
    return _Scales(2.0 ** (unit * 2 // 3), 2.0 ** -(unit * 2 // 3), 2.0 ** -(unit // 3), 2.0 ** (unit * 3 // 8))


def _squares(of: Any, scales: _Scales) -> list[jax.Array]:
    return [of(scale) ** 2 for scale in (scales.low, 1.0, scales.high)]


def _at_scale(scale: jax.Array, largest: jax.Array, sums: Sequence[jax.Array], scales: _Scales) -> jax.Array:
    """Return the sum of squares in units of `scale`: that of the three which is right for the largest entry."""
    unit = (1 / scale) / jnp.array([scales.low, 1.0, scales.high], scale.dtype)
    low, plain, high = [total * factor * factor for total, factor in zip(sums, unit, strict=True)]
    return jnp.where(largest > scales.most, high, jnp.where(largest < scales.least, low, plain))


# One reduction ---------------------------------------------------------------------------------------------


class _Found(NamedTuple):
    largest: jax.Array
    sums: list[jax.Array]
    counts: dict[str, jax.Array]


def _in_one_pass(sizes: jax.Array, added: Sequence[jax.Array], masks: Mapping[str, jax.Array]) -> _Found:
    """Return the largest of what is not negative, the sums of some arrays, and how many entries of masks are true.

    First by rows, and then of these. The barrier keeps XLA from making one reduction of both, which it would divide
    in shapes that keep it apart from what makes the array.
    """
    one, zero = np.ones((), sizes.dtype), np.zeros((), sizes.dtype)
    ones = [jnp.where(mask, one, zero) for mask in masks.values()]
    rows = lax.optimization_barrier(tuple(_reduced((sizes, *added, *ones), _axes_of_rows(sizes.shape))))
    if sizes.size > 1 << jnp.finfo(sizes.dtype).nmant + 1:  # more than floats count
        rows = *rows[: 1 + len(added)], *(count.astype(jnp.int32) for count in rows[1 + len(added) :])
    largest, *rest = _reduced(rows, tuple(range(rows[0].ndim)))
    counts = (count.astype(jnp.int32) for count in rest[len(added) :])
    return _Found(largest, rest[: len(added)], dict(zip(masks, counts, strict=True)))


def _reduced(operands: tuple[jax.Array, ...], axes: tuple[int, ...]) -> Sequence[jax.Array]:
    """Reduce the first by its largest, and the others by their sums."""
    merge = lambda a, b: (lax.max(a[0], b[0]), *(i + j for i, j in zip(a[1:], b[1:], strict=True)))
    return lax.reduce(operands, tuple(np.zeros((), x.dtype) for x in operands), merge, axes)


def _axes_of_rows(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the last axes, as many as make a row."""
    first = len(shape)
    while first > 0 and math.prod(shape[first:]) < _ROW:
        first -= 1
    return tuple(range(first, len(shape)))
