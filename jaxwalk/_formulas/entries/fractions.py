"""The simplest fraction that a float stands for."""

from __future__ import annotations

import functools
import math
from fractions import Fraction

import numpy as np

LONG = 1e15  # an integer of more digits is written as a decimal


@functools.lru_cache(maxsize=100_000)
def simplest(value: float, dtype: np.dtype) -> Fraction:
    """Return the fraction of smallest denominator of all that round to `value` in `dtype`; an integer is itself.

    The float32 nearest to 3000/11600000 gives 3/11600. By descending the Stern-Brocot tree to the interval of what
    rounds to the value, its ends excluded (Graham, Knuth and Patashnik, Concrete Mathematics, section 4.5).
    """
    if not math.isfinite(value):
        raise ValueError(f"{value} is no fraction")
    if value < 0:
        return -simplest(-value, dtype)
    exact = Fraction(value)
    if exact.denominator == 1:
        return exact
    below, above = _neighbours(value, dtype)
    return _between((below + exact) / 2, (exact + above) / 2)


def is_short(fraction: Fraction, value: float, dtype: np.dtype) -> bool:
    """Tell whether a denominator is far smaller than chance would make it, so that a person wrote the number down."""
    if fraction.denominator == 1:
        return abs(value) < LONG
    below, above = _neighbours(abs(value), dtype)
    return 100 * fraction.denominator**2 * (above - below) / 2 < 1


def shortest_decimal(value: float, dtype: np.dtype) -> str:
    """Return the shortest decimal that rounds to `value` in `dtype`."""
    if dtype.kind == "f":
        return np.format_float_positional(dtype.type(value), unique=True, trim="-")
    texts = (f"{value:.{n}g}" for n in range(1, 17))  # NumPy has no shortest decimals of bfloat16 and such
    return next((text for text in texts if float(dtype.type(float(text))) == value), repr(value))


def _neighbours(value: float, dtype: np.dtype) -> tuple[Fraction, Fraction]:
    here = dtype.type(value)
    with np.errstate(all="ignore"):  # past the largest float, and below the smallest normal one
        above = float(np.nextafter(here, dtype.type(np.inf)))
        below = Fraction(float(np.nextafter(here, dtype.type(-np.inf))))
    return below, Fraction(above) if math.isfinite(above) else 2 * Fraction(value) - below


def _between(low: Fraction, high: Fraction) -> Fraction:
    """Return the fraction of smallest denominator strictly between two, 0 <= low < high."""
    whole = math.floor(low)
    if whole + 1 < high:
        return Fraction(whole + 1)
    if low == whole:
        return whole + Fraction(1, math.floor(1 / (high - whole)) + 1)
    return whole + 1 / _between(1 / (high - whole), 1 / (low - whole))
