"""What the lines of a recipe call besides NumPy itself: convolutions, pooling, softmax."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from ..sliding_windows import padded, windows

Pairs = Sequence[tuple[int, int]]


def conv(
    x: np.ndarray,
    y: np.ndarray,
    letters: str,
    stride: Sequence[int] = (),
    padding: Pairs = (),
    dilation: Sequence[int] = (),
    input_dilation: Sequence[int] = (),
    groups: tuple[int, str] | None = None,
) -> np.ndarray:
    """Slide y over x along the letters that x, y and the result share; `groups` cut an axis of x and one of y.

    In the products, capitals are the places in a window, and G the group.
    """
    (a, b), out = letters.split("->")[0].split(","), letters.split("->")[1]
    slid = sorted(c for c in a if c in b and c in out)  # d, h, w: what is given along them is in this order
    ones, axes = (1,) * len(slid), [a.index(c) for c in slid]
    found = padded(x, axes, padding, input_dilation)
    found = windows(found, axes, [np.shape(y)[b.index(c)] for c in slid], stride or ones, dilation or ones)
    a += "".join(slid).upper()
    b = "".join(c.upper() if c in slid else c for c in b)
    if groups is None:
        return np.einsum(f"{a},{b}->{out}", found, y, optimize=True)
    count, (first, second) = groups
    found, a = _cut(found, a, first, count)
    y, b = _cut(y, b, second, count)
    (i,) = (i for i, c in enumerate(out) if c not in a)
    result = np.einsum(f"{a},{b}->{out[:i]}G{out[i:]}", found, y, optimize=True)
    return result.reshape(*result.shape[:i], count * result.shape[i + 1], *result.shape[i + 2 :])


def _cut(x: np.ndarray, letters: str, letter: str, count: int) -> tuple[np.ndarray, str]:
    """Cut an axis into groups, G."""
    i, shape = letters.index(letter), np.shape(x)
    cut = np.reshape(x, (*shape[:i], count, shape[i] // count, *shape[i + 1 :]))
    return cut, letters.replace(letter, "G" + letter)


def pool(
    kind: str,
    *args: Any,
    stride: Sequence[int] = (),
    padding: Pairs = (),
    dilation: Sequence[int] = (),
    input_dilation: Sequence[int] = (),
    back: tuple[int, ...] | None = None,
) -> np.ndarray:
    """Return the max, min, sum or mean of each window; or, with the shape of what was pooled, what flows back to it.

    What flows back to an entry is added up at its place; places are counted from 1, and 0 is the padding.
    """
    *arrays, axes, sizes = args

    def rows(x: Any, value: float = 0) -> np.ndarray:
        found = padded(x, axes, padding, input_dilation, value)
        found = windows(found, axes, sizes, stride or sizes, dilation or (1,) * len(axes))
        return found.reshape(*found.shape[: -len(axes)], math.prod(sizes))

    neutral = {"max": -np.inf, "min": np.inf}.get(kind, 0)
    if back is None:
        return {"max": np.max, "min": np.min, "sum": np.sum, "avg": np.mean}[kind](rows(arrays[0], neutral), -1)
    delta = np.asarray(arrays[0]) / (math.prod(sizes) if kind == "avg" else 1)
    places = rows(np.arange(1, math.prod(back) + 1).reshape(back)).astype(int)
    if kind in ("max", "min"):
        places = _place_of_first(kind, rows(arrays[1], neutral), places)
    result = np.zeros(1 + math.prod(back), delta.dtype)
    np.add.at(result, places, delta[..., None])
    return result[1:].reshape(back)


def _place_of_first(kind: str, rows: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the place of the first entry of each window that none later in it beats."""
    holds = np.greater_equal if kind == "max" else np.less_equal
    best, place = rows[..., 0], places[..., 0]
    for i in range(1, rows.shape[-1]):
        keeps = holds(best, rows[..., i])
        best, place = np.where(keeps, best, rows[..., i]), np.where(keeps, place, places[..., i])
    return place[..., None]


def _softmax(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    e = np.exp(x - np.max(x, axes, keepdims=True))
    return e / np.sum(e, axes, keepdims=True)


def converted(x: ArrayLike, dtype: str) -> np.ndarray:
    """Return numbers as those that a dtype has; of floats of more digits, in the dtype they come in."""
    x = np.asarray(x)
    y, is_float = x.astype(jnp.dtype(dtype)), x.dtype.kind == "f"
    if jnp.issubdtype(y.dtype, jnp.floating) and y.dtype.itemsize < 4 and not is_float:
        return y.astype(np.float32)
    return y.astype(x.dtype) if is_float else y


NAMESPACE = {
    "np": np,
    "softmax": _softmax,
    "concat": np.concatenate,
    "conv": conv,
    "pool": pool,
    "padded": padded,
    "converted": converted,
    "logistic": lambda x: 1 / (1 + np.exp(-x)),
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "power": lambda x, n: x**n if n >= 0 else 1 / x**-n,
    "erf": lambda x: np.asarray(jax.scipy.special.erf(x)),
    "erfc": lambda x: np.asarray(jax.scipy.special.erfc(x)),
}
