"""A logarithmic axis for sizes that may be zero, or no number: each of these has a line of its own beside it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .._sizes import Size
from .._style import Palette
from .._words import room

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SMALLEST, LARGEST = 1e-270, 1e306  # of what is drawn: beyond, the ends of the axis would be no numbers, or zero
TICK = 46  # typographic points that a tick takes, at least
LEAST = 1.0  # decades that are shown
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class LogAxis(NamedTuple):
    """The range that sizes span, with what stands beside it.

    Attributes:
        low, high: the decimal logarithms of its ends.
        zero: where zeros are drawn; None if there are none.
        nonfinite: where a NaN or an Inf is drawn; None if there are none.
    """

    low: float
    high: float
    zero: float | None
    nonfinite: float | None

    def place(self, sizes: np.ndarray) -> np.ndarray:
        """Return where sizes are drawn: zeros on their line, and nothing for what is no number."""
        placed = np.where(sizes == 0, np.nan if self.zero is None else self.zero, sizes)
        return np.where(np.isfinite(placed), np.clip(placed, SMALLEST, LARGEST), np.nan)

    def ticks(self, most: int) -> dict[float, str]:
        """Return some powers of ten, and where there are few, multiples of them, each with how it is written."""
        powers = range(math.ceil(self.low), math.floor(self.high) + 1)
        if len(powers) > 2:
            return {10.0**n: power(n) for n in powers[:: math.ceil(len(powers) / most)]}
        near = range(math.floor(self.low), math.ceil(self.high))
        values = [(digit, n) for n in near for digit in (1, 2, 5)] + [(1, math.ceil(self.high))]
        shown = [(digit, n) for digit, n in values if self.low <= math.log10(digit) + n <= self.high]
        return {digit * 10.0**n: power(n, digit) for digit, n in shown}


def log_axis(sizes: np.ndarray, has_nonfinite: bool) -> LogAxis:
    """Return the axis that these sizes need; it has a line for a NaN or an Inf if there is one."""
    found = np.log10(np.clip(sizes[np.isfinite(sizes) & (sizes > 0)], SMALLEST, LARGEST))
    low, high = (float(found.min()), float(found.max())) if found.size else (0.0, 0.0)
    margin = max(0.03 * (high - low), (LEAST - (high - low)) / 2)
    low, high = max(low - margin, -272), min(high + margin, 307.5)
    gap = 0.09 * (high - low)
    zero = 10.0 ** max(low - gap, -285) if np.any(sizes == 0) else None
    return LogAxis(low, high, zero, 10.0 ** min(high + gap, 308) if has_nonfinite else None)


def axis_of(sizes: Iterable[Size]) -> LogAxis:
    """Return the axis that the sizes of points need, at all of their steps."""
    found = [(size.nonfinite_steps(side), np.ravel(side.rms)) for size in sizes for side in size.sides.values()]
    values = np.concatenate([np.zeros(0), *(rms for _, rms in found)])
    return log_axis(values, any(np.any(bad) for bad, _ in found))


def show(ax: Axes, axis: LogAxis, palette: Palette) -> None:
    """Set the x axis: logarithmic, powers of ten written out, and a line for zeros and one for what is no number."""
    ticks = axis.ticks(max(2, int(room(ax)[0] / TICK)))
    margin = 0.03 * (axis.high - axis.low)
    lines = {place: name for place, name in ((axis.zero, "0"), (axis.nonfinite, "NaN\nInf")) if place is not None}
    ax.set_xscale("log")
    ax.set_xlim(
        axis.zero / 10**margin if axis.zero else 10.0**axis.low,
        min(axis.nonfinite * 10**margin, 1e308) if axis.nonfinite else 10.0**axis.high,
    )
    ax.set_xticks([*ticks, *lines], [*ticks.values(), *lines.values()])
    ax.minorticks_off()
    for place in ticks:
        ax.axvline(place, color=palette.faint, alpha=0.25, linewidth=0.6, zorder=0)
    for place in lines:
        ax.axvline(place, color=palette.faint, linestyle=(0, (2, 2)), linewidth=0.8, zorder=0)


def few(ticks: dict[float, str], most: int) -> dict[float, str]:
    """Return at most so many of the ticks, evenly chosen."""
    return dict([*ticks.items()][:: -(-len(ticks) // max(most, 1)) or 1])


def power(exponent: int, digit: int = 1) -> str:
    """Write a multiple of a power of ten: 0.01, 1, 1000, 10⁻⁶, 2·10⁻⁶."""
    if -3 <= exponent <= 3:
        return f"{digit * 10.0**exponent:g}"
    power = f"10{str(exponent).translate(SUPERSCRIPTS)}"
    return power if digit == 1 else f"{digit}·{power}"
