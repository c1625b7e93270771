"""`negative_loss` and `stalled`: a loss below zero, and one that does not fall."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ..finding import Finding
from ..rule import OF_A_TRAINING, Limits, Rule, Threshold, nothing_missing
from ..signals import Signals
from ..words import brief

ROUNDING = 1e-6  # of the largest loss, or of 1: so much below zero a loss may come by rounding
AS_GOOD_AS_ZERO = 1e-6  # a loss this small need not fall


def _negative(signals: Signals, limits: Limits) -> Iterator[Finding]:
    least, loss = limits["negative_loss_least"], signals.loss[np.isfinite(signals.loss)]
    if not len(loss):
        return
    below = signals.loss < least - ROUNDING * max(1.0, float(np.abs(loss).max()))
    if np.any(below):
        lowest = float(np.min(loss))
        meaning = f"The loss goes down to {brief(lowest)}, below {brief(least)}."
        yield Finding("negative_loss", None, lowest, least, meaning, _MAY_BE, steps=signals.span(below))


_MAY_BE = (
    "A logarithm of densities, or an ELBO, may be below zero; a cross-entropy or a square may not: look for labels that"
    " are not what the loss takes, or probabilities in the place of logits. `negative_loss=False` leaves this out."
)


def _stalled(signals: Signals, limits: Limits) -> Iterator[Finding]:
    loss = signals.loss
    weights = [size for sizes in signals.weights.values() for size in sizes.values()]
    if not all(np.all(np.isfinite(numbers)) for numbers in (loss, *weights)) or np.abs(loss).max() < AS_GOOD_AS_ZERO:
        return
    first, last = _highest(loss[: len(loss) // 2]), float(np.median(loss[-(len(loss) // 3) :]))
    if first - last > limits["stalled_fall"] * abs(first):
        return
    share = (first - last) / abs(first) if first else 0.0
    does = "has risen" if -share > limits["stalled_fall"] else "has not moved"
    meaning = f"The loss {does} over {len(loss)} steps: it was {brief(first)}, and is {brief(last)}."
    always = np.ones(len(loss), bool)
    yield Finding("stalled", None, share, limits["stalled_fall"], meaning, _ADVICE, steps=signals.span(always))


def _highest(loss: np.ndarray) -> float:
    """Return the highest loss that was there for more than a step: of noise, it has the upper end, so that a noisy loss
    is not said to stand still."""
    return float(np.max(np.median(np.lib.stride_tricks.sliding_window_view(loss, 3), axis=1)))


def _missing(signals: Signals) -> str:
    if signals.steps is None:
        return OF_A_TRAINING
    return f"it takes {FEWEST} steps, and there are {signals.length}" if signals.length < FEWEST else ""


FEWEST = 50  # a rate may warm up

_ADVICE = (
    "If it has not learned all there is: try a larger rate (or, where it jumps, a smaller one), and look at the labels,"
    " at `blocked`, `dead` and `vanishing`."
)

NEGATIVE_LOSS = Rule(
    "negative_loss",
    _negative,
    (Threshold("negative_loss_least", 0.0, "the loss that is allowed at least", -math.inf),),
    nothing_missing,
)
STALLED = Rule(
    "stalled",
    _stalled,
    (
        Threshold(
            "stalled_fall",
            0.01,
            "the part of the highest loss of the earlier half by which it must have fallen in the last third",
        ),
    ),
    _missing,
)
