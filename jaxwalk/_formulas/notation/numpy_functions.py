"""Convolutions, pooling and padding in plain NumPy: what a recipe of formulas calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Pairs = Sequence[tuple[int, int]]


def padded(
    x: Any, axes: Sequence[int], padding: Pairs = (), input_dilation: Sequence[int] = (), value: float = 0
) -> Any:
    """`value` between the entries along axes, and around them; negative padding takes entries away."""
    x = np.asarray(x, float) if np.asarray(x).dtype.kind in "biu" else np.asarray(x)
    for i, axis in enumerate(axes):
        (before, behind), apart = padding[i] if padding else (0, 0), input_dilation[i] if input_dilation else 1
        x = np.moveaxis(x, axis, 0)
        spread = np.full((max(apart * (len(x) - 1) + 1, 0) if len(x) else 0, *x.shape[1:]), value, x.dtype)
        spread[::apart] = x
        length = max(len(spread) + before + behind, 0)
        result = np.full((length, *x.shape[1:]), value, x.dtype)
        start, stop = max(before, 0), min(before + len(spread), length)
        if stop > start:
            result[start:stop] = spread[start - before : stop - before]
        x = np.moveaxis(result, 0, axis)
    return x


def windows(x: Any, axes: Sequence[int], sizes: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Any:
    """The windows of an array along axes; the places in a window are axes behind."""
    reach = tuple(d * (n - 1) + 1 for d, n in zip(dilation, sizes, strict=True))
    counts = [max(x.shape[axis] - r + 1, 0) for axis, r in zip(axes, reach, strict=True)]
    if 0 in counts:  # NumPy has no windows of none
        x = np.zeros([max(n, reach[axes.index(i)]) if i in axes else n for i, n in enumerate(x.shape)], x.dtype)
    found = np.lib.stride_tricks.sliding_window_view(x, reach, tuple(axes))
    for i, axis in enumerate(axes):
        found = _every(_every(found, axis, stride[i], counts[i]), x.ndim + i, dilation[i])
    return found


def _every(x: Any, axis: int, step: int, stop: int | None = None) -> Any:
    return x[(*[slice(None)] * axis, slice(None, stop, step))]


def conv(
    x: Any,
    y: Any,
    letters: str,
    stride: Sequence[int] = (),
    padding: Pairs = (),
    dilation: Sequence[int] = (),
    input_dilation: Sequence[int] = (),
    groups: tuple[int, str] | None = None,
) -> Any:
    """y slid over x along the letters that x, y and the result share; `groups` cut an axis of x and one of y.

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


def _cut(x: Any, letters: str, letter: str, count: int) -> tuple[Any, str]:
    """An axis cut into groups, G."""
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
) -> Any:
    """The max, min, sum or mean of each window; or, with the shape of what was pooled, what flows back to that."""
    *arrays, axes, sizes = args
    ones = (1,) * len(axes)
    stride, padding, dilation = stride or sizes, padding or ((0, 0),) * len(axes), dilation or ones
    if back is not None and kind in ("sum", "avg"):
        delta = arrays[0] / np.prod(sizes) if kind == "avg" else arrays[0]
        return _handed_out(delta, back, axes, sizes, stride, padding, dilation)
    neutral = {"max": -np.inf, "min": np.inf}.get(kind, 0)
    x = padded(arrays[-1], axes, padding, input_dilation, neutral)
    if back is not None:
        return _to_the_first(kind, arrays[0], x, back, axes, sizes, stride, padding)
    found = windows(x, axes, sizes, stride, dilation)
    reduce = {"max": np.max, "min": np.min, "sum": np.sum, "avg": np.mean}[kind]
    return reduce(found, tuple(range(x.ndim, found.ndim)))


def _handed_out(
    delta: Any, shape: Sequence[int], axes: Any, sizes: Any, stride: Any, padding: Any, dilation: Any
) -> Any:
    """Each entry added to all places of its window."""
    whole = list(shape)
    for i, axis in enumerate(axes):
        whole[axis] += sum(padding[i])
    result = np.zeros(whole, np.asarray(delta).dtype)
    for place in np.ndindex(*sizes):
        index = [slice(None)] * len(whole)
        for i, axis in enumerate(axes):
            start = place[i] * dilation[i]
            index[axis] = slice(start, start + stride[i] * (np.shape(delta)[axis] - 1) + 1, stride[i])
        result[tuple(index)] += delta
    return padded(result, axes, [(-a, -b) for a, b in padding])


def _to_the_first(
    kind: str, delta: Any, x: Any, shape: Sequence[int], axes: Any, sizes: Any, stride: Any, padding: Any
) -> Any:
    """Each entry added to the first place of its window that none later in it beats."""
    holds = np.greater_equal if kind == "max" else np.less_equal
    found = windows(x, axes, sizes, stride, (1,) * len(axes))
    found = found.reshape(*found.shape[: x.ndim], np.prod(sizes, dtype=int))
    numbers = np.arange(x.size).reshape(x.shape)
    places = windows(numbers, axes, sizes, stride, (1,) * len(axes)).reshape(found.shape)
    best, place = found[..., 0], places[..., 0]
    for i in range(1, found.shape[-1]):
        keeps = holds(best, found[..., i])
        best, place = np.where(keeps, best, found[..., i]), np.where(keeps, place, places[..., i])
    result = np.zeros(x.size, np.asarray(delta).dtype)
    np.add.at(result, place.ravel(), np.ravel(delta))
    return padded(result.reshape(x.shape), axes, [(-a, -b) for a, b in padding])
