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
ENOUGH = 1 << 12  # entries of which XLA calls a library on CPUs; for fewer it compiles loops


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
    inverse = 1 / scale
    found = {"max": size, "scale": scale, "nonzero": _count(jnp.abs(jnp.sign(x)), x.size), "size": x.size}
    if about_mean:
        # By twice the inverse, as of one product that is read twice XLA would make an array; and by the half of a share
        # that is no scalar, which it would compile anew for each size.
        share = np.array([0.5 / x.size, 0], x.dtype)
        found["mean"] = jnp.sum(jnp.sum(x * (2 * inverse)) * share)
        squares = jnp.square(x * inverse - found["mean"])
    else:
        squares = square_of_part(x, inverse)
    vector = vector_of(found | {"square": jnp.sum(squares)}, x)
    return vector, jnp.isfinite(_of(vector, "square"))


def second_look(x: jax.Array, first: jax.Array, about_mean: bool) -> jax.Array:
    """Return the vector of what is finite of an array; the first where that is all."""
    return jnp.where(jnp.isfinite(_of(first, "square")), first, careful_look(x, about_mean)) if x.size else first


def careful_look(x: jax.Array, about_mean: bool) -> jax.Array:
    """Return the vector of what is finite of an array.

    What is compiled for its shape is what makes arrays of it; the rest, of these, is as in `first_look`.
    """
    if not x.size:
        return first_look(x, about_mean)[0]
    finite, zero = jnp.abs(x) <= float(jnp.finfo(x.dtype).max), np.zeros((), x.dtype)
    kept = _enough(jnp.where(finite, x, zero))
    found: dict[str, Any] = {"max": jnp.max(jnp.abs(kept)), "nonzero": _count(jnp.abs(jnp.sign(kept)), x.size)}
    found["scale"] = scale = scale_of(found["max"])
    inverse = 1 / scale
    count, found["nan"], found["inf"] = _kinds(x, finite)
    if about_mean:
        total = jnp.sum(kept * (2 * inverse))
        found["mean"] = 0.5 * total / jnp.maximum(count, 1).astype(x.dtype)
        squares = jnp.square(_enough(jnp.where(finite, x * inverse - found["mean"], zero)))
    else:
        squares = square_of_part(kept, inverse)
    return vector_of(found | {"square": jnp.sum(squares), "size": x.size}, x)


def _kinds(x: jax.Array, finite: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Count what is finite, NaN and infinite: from an array of 1, -1 and 2, as what has the size of `x` in it would be
    compiled for each size anew."""
    value = lambda number: np.full((), number, x.dtype)
    kinds = _enough(jnp.where(finite, value(1), jnp.where(jnp.isnan(x), value(-1), value(2))))
    total, size, each = (_count(of, 2 * x.size) for of in (kinds, jnp.abs(kinds), jnp.abs(jnp.sign(kinds))))
    infinite, twice = size - each, size - total
    nan = twice >> 1 if jnp.issubdtype(twice.dtype, jnp.integer) else 0.5 * twice
    return each - infinite - nan, nan, infinite


def _enough(x: jax.Array) -> jax.Array:
    """Return an array with zeros behind, where XLA would not call the library for so few entries."""
    x = x.reshape(1) if x.ndim == 0 else x
    missing = -(-ENOUGH * x.shape[-1] // x.size) - x.shape[-1]
    if missing <= 0 or not jax.typeof(x).sharding.mesh.empty:
        return x
    return lax.pad(x, np.zeros((), x.dtype), [*[(0, 0, 0)] * (x.ndim - 1), (0, missing, 0)])


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
