"""The size of a point as one number, and as a bar: on one logarithmic scale for the whole page, for outputs and δ."""

from __future__ import annotations

import math
from typing import NamedTuple

from .._show.table import number
from ..plot._sizes import Side, Size
from .record import Record

LEAST = 3.0  # per cent: the bar of the smallest that is not zero


def overall(size: Size | None, side: str) -> float | None:
    """Return the root mean square of one side of a point over all steps; None if nothing is known of it."""
    found: Side | None = getattr(size, side, None)
    return None if found is None else found.overall


class Bar(NamedTuple):
    """A size beside a point: the number, and the length of its bar in per cent; None if nothing is known."""

    text: str
    length: float


class Scale:
    """The bars of one side, "output" or "delta", of all points of a record."""

    def __init__(self, record: Record, side: str):
        self._side = side
        sizes = [overall(size, side) for size in record.sizes.values()]
        logs = [math.log10(size) for size in sizes if size and math.isfinite(size)]
        self._low, self._high = (min(logs), max(logs)) if logs else (0.0, 0.0)

    def bar(self, size: object) -> Bar | None:
        """Return the bar of a `Size`, or of None, which has none."""
        side: Side | None = getattr(size, self._side, None)
        if side is None:
            return None
        rms = side.overall
        if rms is None:
            return Bar("nan" if side.nonfinite.any() else "", 0.0)
        return Bar(number(rms, 3), self.length(rms))

    def length(self, rms: float) -> float:
        """Return the length of the bar of a size, in per cent."""
        if not rms or not math.isfinite(rms):
            return 0.0
        if self._high == self._low:
            return 100.0
        return round(LEAST + (100 - LEAST) * (math.log10(rms) - self._low) / (self._high - self._low), 1)
