"""`vanishing` and `exploding`: δ gets lost, or grows without end, over the layers or in the course of a training."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..depth import Line, lines
from ..finding import Finding
from ..rule import Limits, Rule, Threshold, needs
from ..signals import Signals
from ..trend import has_halved, logarithms, slope
from ..words import also, fold, in_forward_order


class Change(NamedTuple):
    """How δ changes over the layers of a line: by which power of ten in all, from the last layer to the first."""

    line: Line
    decades: np.ndarray  # (n,)

    @property
    def worst(self) -> float:
        late = self.decades[len(self.decades) // 2 :]
        return float(np.nanmedian(late))


def _changes(signals: Signals) -> list[Change]:
    found = []
    for line in lines(signals, "delta_l2"):
        sizes = logarithms(line.sizes(signals, "delta_l2"))
        found.append(Change(line, -slope(sizes) * (sizes.shape[1] - 1)))
    return found


def _over_depth(name: str, sign: int, signals: Signals, limits: Limits) -> Iterator[Finding]:
    limit = limits[f"{name}_fold"]
    with np.errstate(invalid="ignore"):
        found = [c for c in _changes(signals) if signals.lasts(sign * c.decades >= np.log10(limit))]
    if not found:
        return
    found.sort(key=lambda change: -sign * change.worst)
    worst = found[0]
    factor, layers = 10 ** (sign * worst.worst), worst.line
    each = factor ** (1 / (layers.places - 1))
    does, means, advice = _WORDS[name]
    ordered = in_forward_order(p for change in found for p in change.line.points)
    others = [n for n in ordered if n not in layers.names]
    with np.errstate(invalid="ignore"):
        steps = signals.span(np.any([sign * c.decades >= np.log10(limit) for c in found], axis=0))
    meaning = (
        f"‖δ‖ {does} by a factor of {fold(factor)} on its way back {layers.told()}, {fold(each)} at each: {means}"
        f"{also(others)}"
    )
    yield Finding(name, layers.first.name, factor, limit, meaning, advice, ordered, steps=steps,
                  file=layers.first.file, line=layers.first.line)  # fmt: skip


_WORDS = {
    "vanishing": (
        "falls",
        "the first layers hardly learn.",
        "Try the initialisation of He or Glorot, residual connections, normalisation, or relu in the place of sigmoid"
        " and tanh; over time, gates (LSTM, GRU) or an orthogonal matrix.",
    ),
    "exploding": (
        "grows",
        "the first layers are moved by far too much.",
        "Try the initialisation of He or Glorot, normalisation, or clipping (`optax.clip_by_global_norm`).",
    ),
}


def _typical(signals: Signals) -> np.ndarray:
    """Compute the decimal logarithm of ‖δ‖ at the middle one of the points, in each step: (n,)."""
    sizes = [logarithms(signals.per_step(p.name, "delta_l2")) for p in signals.having("delta_l2")]
    with np.errstate(all="ignore"):
        return _median(np.concatenate(sizes, axis=1))


def _median(values: np.ndarray) -> np.ndarray:
    found = np.full(len(values), np.nan)
    some = np.isfinite(values).any(axis=1)
    found[some] = np.nanmedian(values[some], axis=1)
    return found


def _over_steps(name: str, sign: int, signals: Signals, limits: Limits) -> Iterator[Finding]:
    """Yield that δ grows, or falls while the loss does not, over the steps of the training."""
    limit = limits[f"{name}_trend"]
    if signals.length < STEPS or signals.steps is None:
        return
    sizes = _typical(signals)
    known = np.flatnonzero(np.isfinite(sizes))
    span = (
        int(known[-1] - known[0]) if len(known) >= STEPS // 2 else 0
    )  # a slope says nothing of steps without a number
    decades = sign * float(slope(sizes[None])[0]) * span
    if not decades >= np.log10(limit) or (name == "vanishing" and has_halved(signals.loss)):
        return
    does, means, advice = _TREND[name]
    points = tuple(p.name for p in signals.having("delta_l2"))
    meaning = f"‖δ‖ at the points {does} by a factor of {fold(10**decades)} over {span + 1} steps{means}"
    steps = signals.span(np.isfinite(sizes))
    yield Finding(name, points[0] if points else None, 10**decades, limit, meaning, advice, points, steps=steps)


STEPS = 10  # at least, for a trend

_TREND = {
    "vanishing": (
        "falls",
        ", and the loss does not: there is less and less to learn by.",
        "Look for units that saturate or die (`saturated`, `dead`), and try a smaller rate.",
    ),
    "exploding": (
        "grows",
        ": the training runs away.",
        "Try a smaller rate, a warm-up, or clipping (`optax.clip_by_global_norm`).",
    ),
}


def _find(name: str, sign: int, signals: Signals, limits: Limits) -> Iterator[Finding]:
    yield from _over_depth(name, sign, signals, limits)
    yield from _over_steps(name, sign, signals, limits)


VANISHING = Rule(
    "vanishing",
    functools.partial(_find, "vanishing", -1),
    (
        Threshold(
            "vanishing_fold", 1000.0, "‖δ‖ at the last layer of a stack over that at the first, by the slope", 1.0
        ),
        Threshold("vanishing_trend", 1000.0, "‖δ‖ at the start over that at the end, the loss not having halved", 1.0),
    ),
    needs("delta_l2"),
)
EXPLODING = Rule(
    "exploding",
    functools.partial(_find, "exploding", 1),
    (
        Threshold(
            "exploding_fold", 1000.0, "‖δ‖ at the first layer of a stack over that at the last, by the slope", 1.0
        ),
        Threshold("exploding_trend", 1000.0, "‖δ‖ at the end over that at the start", 1.0),
    ),
    needs("delta_l2"),
)
