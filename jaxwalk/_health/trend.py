"""Robust slopes: that of a line through points of which some lie far off."""

from __future__ import annotations

import numpy as np

LONGEST = 48  # places, at most, that a slope is taken from; of more, so many that lie evenly among them


def slope(values: np.ndarray) -> np.ndarray:
    """Compute the slope of each row, per column: the median over all pairs of columns of rise over run.

    It is the estimator of Theil (1950) and Sen (1968): up to 29 % of the values may be anything. Those that are not
    finite are left out; a row with fewer than three that are has the slope NaN.

    Arguments:
        values: (n, places).

    Returns:
        (n,).

    >>> slope(np.array([[0.0, 1.0, 2.0, 99.0, 4.0], [3.0, np.nan, np.inf, 1.0, np.nan]]))
    array([ 1., nan])
    """
    places = np.arange(values.shape[1])
    if len(places) > LONGEST:
        places = np.unique(np.linspace(0, len(places) - 1, LONGEST).round().astype(int))
    values = np.where(np.isfinite(values[:, places]), values[:, places], np.nan)
    first, second = np.triu_indices(len(places), 1)
    with np.errstate(invalid="ignore"):
        rises = (values[:, second] - values[:, first]) / (places[second] - places[first])
    enough = np.isfinite(values).sum(axis=1) >= 3
    found = np.full(len(values), np.nan)
    if len(first) and enough.any():
        found[enough] = np.nanmedian(rises[enough], axis=1)
    return found


def logarithms(sizes: np.ndarray) -> np.ndarray:
    """Compute the decimal logarithms of sizes; NaN of what is zero or not finite."""
    fine = np.isfinite(sizes) & (sizes > 0)
    return np.log10(np.where(fine, sizes, np.nan))


def has_halved(loss: np.ndarray) -> bool:
    """Tell whether the loss at the end is less than half of what it was at the start, each a fifth of the steps."""
    end = max(len(loss) // 5, 1)
    return bool(np.median(loss[-end:]) < 0.5 * np.median(loss[:end]))
