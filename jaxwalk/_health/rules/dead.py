"""`dead`: units that pass nothing on, whatever the data."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..._points.point import Point
from ..finding import Finding
from ..rule import Limits, Rule, Threshold, about_activations
from ..signals import Signals
from ..words import also, in_forward_order, percent

ENTRIES = 100  # that a unit must have been seen at, for a share of 1 % to mean something


def _is_active_kind(point: Point) -> bool:
    """Tell whether an activation makes or reads the value: elsewhere a zero is a number like any other."""
    notes = [units.note for units in point.units if units.axes is not None]
    return not notes or any(note and note != "no activation" for note in notes)


def entries(signals: Signals, point: Point, units: int) -> int:
    """Return at how many entries of all steps a unit of a point was seen."""
    size = int(np.prod(point.shape[len(point.axes) :], dtype=np.int64))
    return signals.length * signals.runs * max(size // max(units, 1), 1)


def _shares(signals: Signals, point: Point, active: float) -> np.ndarray:
    """Compute the share of dead units at a point, of each layer, in the later half of the steps."""
    shares = np.asarray(signals.kept[point.name]["active_share"], np.float64)
    shares = shares[signals.finite(point, "output")]
    shares = shares[len(shares) // 2 :]
    known = np.isfinite(shares)
    late = np.where(known, shares, 0.0).sum(axis=0) / np.where(known.any(axis=0), known.sum(axis=0), np.nan)
    return np.asarray(np.mean(late < active, axis=-1))


def _find(signals: Signals, limits: Limits) -> Iterator[Finding]:
    found: list[tuple[float, Point, int]] = []
    for point in signals.having("active_share"):
        units = signals.kept[point.name]["active_share"].shape[-1]
        if point.conditional or not units or not _is_active_kind(point):
            continue
        share = float(_shares(signals, point, limits["dead_active"]).max())
        if share >= limits["dead_share"] and entries(signals, point, units) >= ENTRIES:
            found.append((share, point, units))
    if not found:
        return
    found.sort(key=lambda each: -each[0])
    share, point, units = found[0]
    names = in_forward_order(p for _, p, _ in found)
    others = [name for name in names if name != point.name]
    layer = " of one of its layers" if point.axes else ""
    meaning = (
        f"{percent(share)} of the {units} units at `{point.name}`{layer} are active on less than"
        f" {percent(limits['dead_active'])} of the data: they pass nothing on, and learn nothing.{also(others)}"
    )
    active = np.asarray(signals.kept[point.name]["active_share"], np.float64)
    each = np.mean(active < limits["dead_active"], axis=-1).reshape(signals.length, -1).max(axis=1)
    steps = signals.span(each >= min(limits["dead_share"], each.max()))
    yield Finding("dead", point.name, share, limits["dead_share"], meaning, _ADVICE, names,
                  steps=steps, file=point.file, line=point.line)  # fmt: skip


_ADVICE = (
    "Try a smaller rate, biases that begin at 0, the initialisation of He, or an activation that is never flat"
    " (leaky relu, gelu)."
)

DEAD = Rule(
    "dead",
    _find,
    (
        Threshold("dead_active", 0.01, "share of the data on which a unit must be active not to be dead", 0.0, 1.0),
        Threshold("dead_share", 0.5, "share of dead units in a layer", 0.0, 1.0),
    ),
    about_activations,
)
