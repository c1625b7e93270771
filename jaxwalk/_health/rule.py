"""`Rule`: a record of what one thing that can be wrong is called, when it is so, and what tells of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from .finding import Finding
from .signals import Signals

Limits = Mapping[str, float]


OF_A_TRAINING = "that takes a training, as `jw.watch` and `jw.learn` see it"


class Threshold(NamedTuple):
    """A number that a rule compares with.

    Attributes:
        name: of the keyword argument of `jw.health`.
        default: its value, if none is given.
        meaning: what it is, and where the default is from.
        least, most: between which it lies.
    """

    name: str
    default: float
    meaning: str
    least: float = 0.0
    most: float = math.inf


class Rule(NamedTuple):
    """One thing that can be wrong.

    Attributes:
        name: of the findings.
        find: (signals, thresholds by name) -> the findings, the worst first.
        thresholds: what it compares with.
        missing: signals -> why it cannot look, in words that go on a sentence; "" if it can.
    """

    name: str
    find: Callable[[Signals, Limits], Iterator[Finding]]
    thresholds: tuple[Threshold, ...]
    missing: Callable[[Signals], str]


def needs(*keys: str) -> Callable[[Signals], str]:
    """Return the `missing` of a rule that needs some results of a point, all at the same one."""

    def missing(signals: Signals) -> str:
        if any(True for _ in signals.having(*keys)):
            return ""
        return f"no point has {' and '.join(f'`{key}`' for key in keys)}; `keep=jw.stats.health` keeps it"

    return missing


def about_activations(signals: Signals) -> str:
    """Return the `missing` of a rule on activations, which misses nothing in a model that has none."""
    said = "nothing is known of activations and their units; `keep=jw.stats.health` looks at them"
    return "" if signals.knows_activations else said


def needs_weights(key: str) -> Callable[[Signals], str]:
    """Return the `missing` of a rule that needs the sizes of the params."""

    def missing(signals: Signals) -> str:
        if any(key in sizes for sizes in signals.weights.values()):
            return ""
        return OF_A_TRAINING if signals.steps is None else f"`{key}` of the params is not known"

    return missing


def nothing_missing(signals: Signals) -> str:
    """Return the `missing` of a rule that can always look."""
    return ""
