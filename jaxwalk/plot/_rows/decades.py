"""How many entries of an array have which size and sign, counted in fixed parts of decades; and the scale for these."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._style import Palette
from .._words import room
from .log_axis import power

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEAST, MOST = -324, 309  # exponents that float64 has
PARTS = 16  # of a decade
SAMPLE = 200_000  # entries, beyond which a part of them is counted
WIDEST = 14  # decades that are drawn
BINS = 40  # of one sign, at most
TICK = 46  # typographic points that a tick takes, at least


class Counts(NamedTuple):
    """Entries by sign and size, those that are neither zero nor a NaN or an Inf.

    Attributes:
        bins: (2, parts of decades): the negative ones, and the positive ones; complex ones are positive.
        zeros: the share of all entries that is zero; NaN if there is no entry.
        nonfinite: how many entries are a NaN or an Inf.
        every: 1 if all entries are in `bins`, n if it is every n-th.
    """

    bins: np.ndarray
    zeros: float
    nonfinite: int
    every: int


def counts_of(values: Any) -> Counts:
    """Count the entries of an array."""
    values = np.asarray(values).ravel()
    values = values.astype(np.complex128 if np.iscomplexobj(values) else np.float64)
    every = -(-values.size // SAMPLE) or 1
    taken = values[::every]
    taken = taken[np.isfinite(taken) & (taken != 0)]
    is_positive = np.ones(taken.shape, bool) if np.iscomplexobj(taken) else taken > 0
    place = np.floor((np.log10(np.abs(taken)) - LEAST) * PARTS).astype(int)
    width = (MOST - LEAST) * PARTS
    bins = np.bincount(place + width * is_positive, minlength=2 * width).reshape(2, width)
    zeros = (values.size - int(np.count_nonzero(values))) / values.size if values.size else math.nan
    return Counts(bins, zeros, int(np.count_nonzero(~np.isfinite(values))), every)


class Scale(NamedTuple):
    """The bins that are drawn: `start` to `stop` of the parts of decades, `merged` at a time.

    Attributes:
        has_negative: whether any entry is negative.
        below: whether there are entries smaller than the first bin; they are counted in it.
    """

    start: int
    stop: int
    merged: int
    has_negative: bool
    below: bool

    def edges(self) -> np.ndarray:
        """Return the sizes between which the bins are."""
        return 10.0 ** np.clip(np.arange(self.start, self.stop + 1, self.merged) / PARTS + LEAST, -323, 308)

    def shares(self, counts: Counts) -> np.ndarray:
        """Return (2, bins) how full each bin is, the fullest of both signs 1; zeros if there is no entry."""
        bins = counts.bins[:, self.start : self.stop].copy()
        bins[:, 0] += counts.bins[:, : self.start].sum(1)
        merged = bins.reshape(2, -1, self.merged).sum(-1)
        return merged / max(merged.max(), 1)

    def show(self, ax: Axes, palette: Palette) -> None:
        """Set the x axis: logarithmic on both sides of zero, or on the positive one alone."""
        edges = self.edges()
        low, high = math.ceil(np.log10(edges[0]) - 1e-9), math.floor(np.log10(edges[-1]) + 1e-9)
        every = max(1, math.ceil((high - low) / max(1, room(ax)[0] / TICK / (1 + self.has_negative))))
        exponents = [n for n in range(high, low, -every) if n - low > every / 2]  # none whose name meets that of zero
        ticks = {0.0: "0"} | {10.0**n: power(n) for n in exponents}
        if self.has_negative:
            ticks |= {-(10.0**n): f"−{power(n)}" for n in exponents}
        ax.set_xscale("symlog", linthresh=edges[0], linscale=0.3)
        ax.set_xlim(-edges[-1] if self.has_negative else 0, edges[-1])
        ax.set_xticks(list(ticks), list(ticks.values()))
        ax.minorticks_off()
        for place in ticks:
            ax.axvline(place, color=palette.faint, alpha=0.25, linewidth=0.6, zorder=0)


def scale_of(counts: list[Counts]) -> Scale:
    """Return the scale for all these counts together."""
    total = sum((each.bins for each in counts), start=np.zeros((2, (MOST - LEAST) * PARTS), int))
    full = np.flatnonzero(total.any(0))
    first, last = (int(full[0]), int(full[-1])) if full.size else (-LEAST * PARTS, -LEAST * PARTS)
    start = max(first, last + 1 - WIDEST * PARTS)
    start -= start % PARTS  # a scale begins and ends at a power of ten
    stop = -(-(last + 1) // PARTS) * PARTS
    return Scale(start, stop, _merged(stop - start), bool(total[0].any()), first < start)


def _merged(parts: int) -> int:
    """Return how many parts of a decade one bin is, a power of two."""
    return min(PARTS, 2 ** max(0, math.ceil(math.log2(parts / BINS))))
