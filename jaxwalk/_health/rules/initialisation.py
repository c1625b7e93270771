"""`initialisation`: before the first step, outputs grow or fade from layer to layer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..depth import Line, lines
from ..finding import Finding
from ..rule import Limits, Rule, Threshold, needs
from ..signals import Signals
from ..trend import logarithms, slope
from ..words import also, fold, in_forward_order

_KEYS = ("output_std", "output_rms")


def _key(signals: Signals) -> str:
    return next((key for key in _KEYS if any(True for _ in signals.having(key))), "")


def _find(signals: Signals, limits: Limits) -> Iterator[Finding]:
    limit, key = limits["initialisation_fold"], _key(signals)
    found: list[tuple[float, Line]] = []
    for line in lines(signals, key):
        sizes = logarithms(line.sizes(signals, key)[:1])
        decades = float(slope(sizes)[0]) * (line.places - 1)
        if abs(decades) >= np.log10(limit):
            found.append((decades, line))
    if not found:
        return
    decades, worst = max(found, key=lambda each: abs(each[0]))
    names = in_forward_order(p for _, line in found for p in line.points)
    factor = 10 ** abs(decades)
    when = "" if signals.steps is None else " in the first step"
    does = "grow" if decades > 0 else "fade"
    meaning = (
        f"The outputs{when} {does} by a factor of {fold(factor)} {worst.forward()},"
        f" {fold(factor ** (1 / (worst.places - 1)))} at each:"
        f" if these are weights to begin with, they are too {'large' if decades > 0 else 'small'}."
        f"{also([name for name in names if name not in worst.names])}"
    )
    steps = signals.span(np.arange(signals.length) == 0)
    yield Finding("initialisation", worst.first.name, factor, limit, meaning, _ADVICE, names, steps=steps,
                  file=worst.first.file, line=worst.first.line)  # fmt: skip


def _missing(signals: Signals) -> str:
    if not _key(signals):
        return needs(_KEYS[0])(signals)
    if signals.steps is not None and len(signals.steps) and signals.steps[0] > 0:
        return f"the first step that is known is {signals.steps[0]}"
    return ""


_ADVICE = (
    "Try the initialisation of He (relu) or Glorot (tanh), `jax.nn.initializers.he_normal` and `glorot_normal`, or"
    " normalisation; a residual branch may be divided by the root of the number of layers."
)

INITIALISATION = Rule(
    "initialisation",
    _find,
    (
        Threshold(
            "initialisation_fold",
            100.0,
            "std of the outputs at one end of a stack over that at the other, by the slope, before the first step",
            1.0,
        ),
    ),
    _missing,
)
