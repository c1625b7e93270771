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
    if not np.all(np.isfinite(loss)) or np.abs(loss).max() < AS_GOOD_AS_ZERO:
        return
    first, last, noise = _ends(loss)
    fall = first - last
    if fall > max(limits["stalled_fall"] * abs(first), noise) or _falls_in_rank(loss):
        return
    share = fall / abs(first) if first else 0.0
    rose = -fall > max(limits["stalled_fall"] * abs(first), noise)
    does = "has risen" if rose else "has not moved"
    meaning = f"The loss {does} over {len(loss)} steps: it was {brief(first)}, and is {brief(last)}."
    always = np.ones(len(loss), bool)
    yield Finding("stalled", None, share, limits["stalled_fall"], meaning, _ADVICE, steps=signals.span(always))


def _ends(loss: np.ndarray) -> tuple[float, float, float]:
    """Return the loss of the first tenth, that of the last third, and twice the error of the first by noise."""
    head, tail = loss[: max(len(loss) // 10, 3)], loss[-(len(loss) // 3) :]
    spread = 1.48 * float(np.median(np.abs(tail - np.median(tail))))  # of a normal distribution, its std
    return float(np.median(head)), float(np.median(tail)), 2 * spread / math.sqrt(len(head))


def _falls_in_rank(loss: np.ndarray) -> bool:
    """Tell whether losses of the later half are mostly below those of the earlier, by more than chance (Mann, Whitney
    1947): the share of pairs is above one half by its standard error."""
    early, late = loss[: len(loss) // 2, None], loss[None, len(loss) // 2 :]
    share = np.mean(late < early) + 0.5 * np.mean(late == early)
    error = math.sqrt((len(loss) + 1) / (12 * early.size * late.size))
    return bool(share > 0.5 + error)


def _missing(signals: Signals) -> str:
    if signals.steps is None:
        return OF_A_TRAINING
    return f"it takes {FEWEST} steps, and there are {signals.length}" if signals.length < FEWEST else ""


FEWEST = 20

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
            "the part of the loss of the first steps by which it must have fallen in the last third of the training",
        ),
    ),
    _missing,
)
