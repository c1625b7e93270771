"""How sizes go with the width: the exponent k of size ∝ widthᵏ, and its standard error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Slope(NamedTuple):
    """The slope of the line of least squares through log size against log width; arrays.

    Attributes:
        value: NaN where a size is zero, or no number.
        error: its standard error; NaN for two sizes, through which there is always a line.
    """

    value: np.ndarray
    error: np.ndarray


def slope_of(widths: Sequence[int], sizes: np.ndarray) -> Slope:
    """Fit the slopes of sizes of shape (seeds, widths, ...), for all of the other axes at once.

    >>> import numpy as np
    >>> round(float(slope_of([10, 100, 1000], np.array([[1.0, 10.0, 100.0]])).value), 6)
    1.0
    """
    good = np.all(np.isfinite(sizes) & (sizes > 0), axis=(0, 1))
    log = np.log(np.where(good, sizes, 1.0).astype(np.float64))
    away = np.log(np.asarray(widths, np.float64))
    away = (away - away.mean()).reshape(1, -1, *[1] * (sizes.ndim - 2))
    spread = sizes.shape[0] * np.sum(away**2)
    value = np.sum(away * log, axis=(0, 1)) / spread
    rest = log - log.mean(axis=(0, 1)) - value * away
    freedom = sizes.shape[0] * sizes.shape[1] - 2
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.sqrt(np.sum(rest**2, axis=(0, 1)) / np.float64(freedom) / spread) if freedom else value * np.nan
    return Slope(np.where(good, value, np.nan), np.where(good, error, np.nan))
