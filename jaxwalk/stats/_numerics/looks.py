"""What `health` knows of one array, in one vector: in few passes, and little to compile.

As a model may have hundreds of points, what it costs to compile is what counts here. For a sum or a maximum of
products, sizes and signs of entries XLA calls a library on CPUs, and compiles nothing; a comparison or a choice it
compiles for each shape anew; and each number that leaves a program by itself. Hence four passes of the first kind,
right for all that is finite; a second look where something is not; and `opened` makes of many vectors at once what
they come to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._statistic import numpy_of
from .subnormal import scale_of, square_of_part

FIELDS = ("square", "max", "nonzero", "scale", "mean", "nan", "inf", "size", "data", "l2")
"""Of x/scale, where x is finite, the mean and the sum of squares about it; of x the largest size, and how many are not
zero, NaN, infinite, any. `l2` and `data` are of many arrays; of one, `data` is -1, and `opened` computes them."""
_COUNTS = ("nonzero", "nan", "inf", "size", "data")
_BITS = 24  # so many float32 holds exactly: what is above them, of a count, is a number of its own, behind the others


# A vector and a state --------------------------------------------------------------------------------------


def opened(vector: Any) -> dict[str, Any]:
    """Return the state that a vector is: counts, a mean and a sum of squares about it, in units of `scale`."""
    xp = numpy_of(vector)
    integer = jnp.int32 if xp is jnp else np.int64
    v = {field: vector[..., place] for place, field in enumerate(FIELDS)}
    for place, field in enumerate(_COUNTS, len(FIELDS)):
        v[field] = v[field].astype(integer) + (vector[..., place].astype(integer) << _BITS)
    count = v["size"] - v["nan"] - v["inf"]
    is_one, is_whole = v["data"] < 0, count == v["size"]
    return {
        "count": count,
        "zeros": count - v["nonzero"],
        **{field: v[field] for field in ("nan", "inf", "scale", "max", "mean")},
        "squares": v["square"],
        "l2": xp.where(is_one, xp.where(is_whole, xp.sqrt(v["square"]), 0), v["l2"]),
        "data": xp.where(is_one, is_whole.astype(integer), v["data"]),
    }


def closed(state: Mapping[str, Any]) -> Any:
    """Return the vector that `opened` gives a state of."""
    xp, zero = numpy_of(state), state["scale"] * 0
    v = {"mean": zero, "l2": zero, "data": 0 * state["count"], "square": state["squares"], **state}
    v["nonzero"], v["size"] = v["count"] - v["zeros"], v["count"] + v["nan"] + v["inf"]
    low = [v[field] & ((1 << _BITS) - 1) if field in _COUNTS else v[field] for field in FIELDS]
    high = [v[field] >> _BITS for field in _COUNTS]
    return xp.stack([part.astype(zero.dtype) for part in low + high], axis=-1)


# Looks -----------------------------------------------------------------------------------------------------


def first_look(x: jax.Array, about_mean: bool) -> tuple[jax.Array, jax.Array]:
    """Return the vector of an array of floats, with squares about the mean, or about zero; and whether it is right, for
    which all must be finite."""
    if not x.size:
        return vector_of({"scale": float(jnp.finfo(x.dtype).tiny)}, x), jnp.bool_(True)
    size = jnp.max(jnp.abs(x))
    scale = scale_of(size)
    part = x * (1 / scale)
    found = {"max": size, "scale": scale, "nonzero": _count(jnp.abs(jnp.sign(x)), x.size), "size": x.size}
    if about_mean:
        found["mean"] = jnp.sum(part * (1 / x.size))
        part = part - found["mean"]
    squares = part * part if about_mean else square_of_part(part)
    vector = vector_of(found | {"square": jnp.sum(squares)}, x)
    return vector, jnp.isfinite(_of(vector, "square"))


def second_look(x: jax.Array, first: jax.Array, about_mean: bool) -> jax.Array:
    """Return the vector of what is finite of an array; the first where that is all."""
    if not x.size:
        return first
    counts, total, square = _finite_sums(x)
    finite = counts.pop("finite")
    mean = total / jnp.maximum(finite, 1).astype(x.dtype) if about_mean else jnp.zeros_like(total)
    square = jnp.maximum(square - mean * total, 0) if about_mean else square
    counts["inf"] = x.size - counts["nan"] - finite
    vector = vector_of(counts | {"mean": mean, "square": square, "size": x.size}, x)
    return jnp.where(jnp.isfinite(_of(first, "square")), first, vector)


def _finite_sums(x: jax.Array) -> tuple[dict[str, Any], jax.Array, jax.Array]:
    """Return counts, the largest and its scale; Σ and Σ of squares in units of it."""
    x = x.reshape(1) if x.ndim == 0 else x
    zero, axis = np.zeros((), x.dtype), (x.ndim - 1,)
    of = lambda mask: jnp.where(mask, np.ones((), x.dtype), zero)
    size = jnp.abs(x)
    finite = size <= float(jnp.finfo(x.dtype).max)
    each = jnp.where(finite, size, zero), of(jnp.isnan(x)), of(finite), of(finite & (size > 0))
    merge = lambda a, b: (lax.max(a[0], b[0]), *(i + j for i, j in zip(a[1:], b[1:], strict=True)))
    largest, *rows = lax.reduce(each, (zero,) * len(each), merge, axis)
    counts: dict[str, Any] = {"max": jnp.max(largest)}
    counts |= {name: _count(row, x.size) for name, row in zip(("nan", "finite", "nonzero"), rows, strict=True)}
    counts["scale"] = scale_of(counts["max"])
    part = jnp.where(finite, x * (1 / counts["scale"]), zero)
    add = lambda a, b: (a[0] + b[0], a[1] + b[1])
    total, square = map(jnp.sum, lax.reduce((part, square_of_part(part)), (zero, zero), add, axis))
    return counts, total, square


def _of(vector: jax.Array, field: str) -> jax.Array:
    return vector[..., FIELDS.index(field)]


def _count(ones: jax.Array, entries: int) -> jax.Array:
    """Add up how many of so many entries there are: as floats where these are exact, or else as integers."""
    return jnp.sum(ones) if entries <= 1 << _BITS else jnp.sum(ones.astype(jnp.int32), dtype=jnp.int32)


def vector_of(found: Mapping[str, Any], x: jax.Array) -> jax.Array:
    """Return the vector of some fields of one array; the others are zeros."""
    known: dict[str, Any] = {**dict.fromkeys(FIELDS, 0.0), "data": -1.0, **found}
    low, high = [known[field] for field in FIELDS], [0.0 for _ in _COUNTS]
    if x.size > 1 << _BITS:
        for i, field in enumerate(_COUNTS[:-1]):
            above = jnp.int32(known[field]) >> _BITS
            low[FIELDS.index(field)], high[i] = jnp.int32(known[field]) - (above << _BITS), above
    return _concatenated(low + high, x.dtype)


def _concatenated(numbers: Sequence[Any], dtype: Any) -> jax.Array:
    """Return a vector of scalars; those that are known in one piece."""
    parts: list[Any] = []
    for number in numbers:
        if isinstance(number, jax.Array):
            parts.append(jnp.reshape(number, 1).astype(dtype))
        elif parts and isinstance(parts[-1], np.ndarray):
            parts[-1] = np.append(parts[-1], np.array(number, dtype))
        else:
            parts.append(np.array([number], dtype))
    return jnp.concatenate(parts)
