"""`Rule`: a record of what one thing that can be wrong is called, when it is so, and what tells of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from .finding import Finding
from .signals import Signals

Limits = Mapping[str, float]


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
        missing: signals -> why they do not have what it looks at, a sentence; "" if they have.
    """

    name: str
    find: Callable[[Signals, Limits], Iterator[Finding]]
    thresholds: tuple[Threshold, ...]
    missing: Callable[[Signals], str]


def needs(rule: str, *keys: str, points: str = "") -> Callable[[Signals], str]:
    """Return the `missing` of a rule that needs some results of a point, all at the same one."""

    def missing(signals: Signals) -> str:
        if any(True for _ in signals.having(*keys)):
            return ""
        kept = " and ".join(f"`{key}`" for key in keys)
        where = f" at {points}" if points else ""
        return f"`{rule}` was not looked for: no point has {kept}; `keep=jw.stats.health` keeps it{where}."

    return missing


def needs_weights(rule: str, key: str) -> Callable[[Signals], str]:
    """Return the `missing` of a rule that needs the sizes of the params."""

    def missing(signals: Signals) -> str:
        if any(key in sizes for sizes in signals.weights.values()):
            return ""
        fix = "`jw.watch` and `jw.learn` know them"
        return f"`{rule}` was not looked for: `{key}` of the params is not known here; {fix}."

    return missing


def nothing_missing(signals: Signals) -> str:
    """Return the `missing` of a rule that can always look."""
    return ""
