"""`zero`: all that comes out at a point is exactly 0."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..._points.point import Point
from ..depth import runs_backward
from ..finding import Finding
from ..rule import Limits, Rule, needs
from ..signals import Signals
from ..words import also


def _find(signals: Signals, limits: Limits) -> Iterator[Finding]:
    found = []
    for point in signals.having("output_zeros"):
        if point.shape and not point.conditional:
            verdict = _is_zero(signals, point)
            if signals.lasts(verdict):
                found.append((point, verdict))
    if not found:
        return
    first, names = found[0][0], tuple(point.name for point, _ in found)
    layer = " in one of its layers" if first.axes else ""
    meaning = f"100 % of what comes out at `{first.name}`{layer} is exactly 0.{also(names[1:])}"
    steps = signals.span(np.any([verdict for _, verdict in found], axis=0))
    yield Finding("zero", first.name, 1.0, 1.0, meaning, _ADVICE, names, steps=steps, file=first.file, line=first.line)


def _is_zero(signals: Signals, point: Point) -> np.ndarray:
    """Tell in which steps a point is zero, or in one layer: (n,). The first step of a scan may begin from zeros."""
    zeros = np.asarray(signals.kept[point.name]["output_zeros"], np.float64) == 1
    for place, axis in enumerate(point.axes):
        if axis.kind == "scan" and axis.length > 1:
            zeros = np.delete(zeros, -1 if runs_backward(point, place) else 0, axis=place + 1)
    return np.any(zeros.reshape(signals.length, -1), axis=1)


_ADVICE = (
    "Look at what makes it: a relu that never fires, a mask, weights that are all zero; if they begin there on purpose,"
    " it passes after the first step."
)

ZERO = Rule("zero", _find, (), needs("output_zeros"))
