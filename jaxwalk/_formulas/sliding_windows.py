"""Windows that slide over an array, in NumPy: what convolutions and pooling have in common."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


def padded(
    x: ArrayLike,
    axes: Sequence[int],
    padding: Sequence[tuple[int, int]] = (),
    input_dilation: Sequence[int] = (),
    value: float = 0,
) -> np.ndarray:
    """Put `value` between the entries along axes, and around them; negative padding takes entries away."""
    x = np.asarray(x, float if np.asarray(x).dtype.kind in "biu" else None)
    for i, axis in enumerate(axes):
        (before, behind), apart = padding[i] if padding else (0, 0), input_dilation[i] if input_dilation else 1
        x = np.moveaxis(x, axis, 0)
        length = apart * (len(x) - 1) + 1 if len(x) else 0
        wide = np.full((max(before, 0) + length + max(behind, 0), *x.shape[1:]), value, x.dtype)
        wide[max(before, 0) :][:length:apart] = x
        stop = len(wide) - max(-behind, 0)
        x = np.moveaxis(wide[max(-before, 0) : max(stop, 0)], 0, axis)
    return x


def windows(
    x: np.ndarray, axes: Sequence[int], sizes: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> np.ndarray:
    """Return the windows of an array along axes; the places in a window are axes behind."""
    reach = tuple(d * (n - 1) + 1 for d, n in zip(dilation, sizes, strict=True))
    counts = [max(x.shape[axis] - r + 1, 0) for axis, r in zip(axes, reach, strict=True)]
    if 0 in counts:  # NumPy has no windows of none
        x = np.zeros([max(n, reach[axes.index(i)]) if i in axes else n for i, n in enumerate(x.shape)], x.dtype)
    found = np.lib.stride_tricks.sliding_window_view(x, reach, tuple(axes))
    index = [slice(None)] * found.ndim
    for i, axis in enumerate(axes):
        index[axis], index[x.ndim + i] = slice(None, counts[i], stride[i]), slice(None, None, dilation[i])
    return found[tuple(index)]
