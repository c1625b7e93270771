"""`judge`: what all rules find in some signals, the gravest first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .._errors import ArgumentError, counted, listed, near, shown
from .finding import Health
from .rule import Rule, Threshold
from .rules.blocked import BLOCKED
from .rules.by_share import OVERFLOW, SATURATED, UNDERFLOW
from .rules.dead import DEAD
from .rules.initialisation import INITIALISATION
from .rules.loss import NEGATIVE_LOSS, STALLED
from .rules.nonfinite import NONFINITE
from .rules.over_depth import EXPLODING, VANISHING
from .rules.unused import UNUSED
from .rules.update import UPDATE
from .rules.zero import ZERO
from .signals import Signals
from .words import NAMED

RULES: tuple[Rule, ...] = (
    NONFINITE, OVERFLOW, EXPLODING, BLOCKED, VANISHING, ZERO, DEAD, SATURATED, UPDATE, INITIALISATION, UNDERFLOW,
    STALLED, UNUSED, NEGATIVE_LOSS,
)  # fmt: skip
"""All rules, the gravest first."""

_THRESHOLDS = {threshold.name: threshold for rule in RULES for threshold in rule.thresholds}
_NAMES = [rule.name for rule in RULES]


def judge(signals: Signals, thresholds: Mapping[str, Any] | None = None) -> Health:
    """Return what is wrong, the gravest first, and notes on what was not looked for.

    Arguments:
        signals: what is known.
        thresholds: by name, those that are not the default; False under the name of a rule leaves that rule out.

    Raises:
        ArgumentError: there is no such threshold, or it is not a number that it can be.
    """
    thresholds = dict(thresholds or {})
    left_out = [name for name, value in thresholds.items() if name in _NAMES and value is False]
    limits = {name: threshold.default for name, threshold in _THRESHOLDS.items()}
    limits |= {name: _checked(name, value) for name, value in thresholds.items() if name not in left_out}
    rules = [rule for rule in RULES if rule.name not in left_out]
    missing = {rule.name: rule.missing(signals) for rule in rules} if signals.length else {}
    able = [rule for rule in rules if signals.length and not missing[rule.name]]
    findings = [finding for rule in able for finding in rule.find(signals, limits)]
    notes = [*signals.notes, *_not_looked_for(missing), *_without_numbers(signals)]
    notes += [f"Left out: {listed(left_out)}."] if left_out else []
    notes += [] if signals.length else ["There is no step to look at."]
    return Health(findings, notes, _about(signals, len(able)))


def _not_looked_for(missing: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each reason why rules cannot look."""
    for reason in dict.fromkeys(filter(None, missing.values())):
        names = [name for name, why in missing.items() if why == reason]
        yield f"{listed(names)} {'was' if len(names) == 1 else 'were'} not looked for: {reason}."


def _without_numbers(signals: Signals) -> Iterator[str]:
    """Yield a sentence on the points of which no numbers are known."""
    same = signals.points.same()
    names = [name for name in signals.points if same.get(name, name) not in signals.kept]
    if names:
        fix = "`Point.note` tells why, where it is not for what was kept"
        yield f"Of {counted(len(names), 'point')} there are no numbers, {listed(names, NAMED)}: {fix}."


def _about(signals: Signals, rules: int) -> str:
    """Return in words what was looked at."""
    points = sum(1 for _ in signals.having())
    weights = [counted(len(signals.weights), "array of the params", "arrays of the params")] * bool(signals.weights)
    steps = [counted(signals.length, "step")] * (signals.steps is not None)
    return ", ".join([counted(rules, "rule"), counted(points, "point"), *weights, *steps])


def _checked(name: str, value: Any) -> float:
    threshold = _THRESHOLDS.get(name)
    if threshold is None:
        raise ArgumentError(_unknown(name, value))
    is_number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not is_number or math.isnan(value) or not threshold.least <= value <= threshold.most:
        raise ArgumentError(f"`{name}` is {shown(value)}; it must be a number{_range(threshold)}.")
    return float(value)


def _unknown(name: str, value: Any) -> str:
    if name in _NAMES:
        return f"`{name}` is {shown(value)}, but it is a rule; False leaves it out, and {_of(name)}."
    there = listed(_THRESHOLDS, len(_THRESHOLDS))
    return f"There is no threshold `{name}`. {near(name, _THRESHOLDS)} All: {there}."


def _of(rule: str) -> str:
    names = [t.name for each in RULES if each.name == rule for t in each.thresholds]
    return f"its thresholds are {listed(names)}" if names else "it has no threshold"


def _range(threshold: Threshold) -> str:
    if math.isinf(threshold.most):
        return "" if math.isinf(threshold.least) else f" of at least {threshold.least:g}"
    return f" from {threshold.least:g} to {threshold.most:g}"
