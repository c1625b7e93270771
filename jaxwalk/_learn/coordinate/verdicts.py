"""What a width check finds: the points whose sizes do not go with the width as muP wants, by rules with thresholds."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from ..._errors import counted
from ..._health.finding import Finding
from ..._points.point import Point, Points
from .slopes import Slope

THRESHOLD = 0.25
"""Half way from 0 to 1/2: the exponents of the standard, the NTK and the maximal update parametrization are multiples
of 1/2 (Yang & Hu, arXiv 2011.14522, table 1)."""
ERRORS = 2  # standard errors that a slope must be away from 0


class Rule(NamedTuple):
    """What it means that a slope is beyond the threshold, what to try, and how it is said in a table."""

    means: str
    advice: str
    short: str


RATES = (
    "Rates go with the width (arXiv 2203.03466, table 3) by Adam as 1 of input weights and biases, and as 1/fan_in of"
    " the others; by SGD as fan_out of input weights and biases, as 1 of hidden, and as 1/fan_in of output weights."
    " Output weights start with a variance of 1/fan_in²."
)
RULES = {
    "grows at init": Rule(
        "the wider the model, the larger it is before anything is learned",
        "Initialise the weights before it with a variance of 1/fan_in.",
        "grows with width at init",
    ),
    "vanishes at init": Rule(
        "a wide model has nothing there to begin with",
        "Initialise the weights before it with a variance of 1/fan_in, and look at the factors before it.",
        "vanishes with width at init",
    ),
    "blows up": Rule(
        "the wider the model, the further is it moved by what is learned",
        f"Before it, a rate or a factor is too large for a wide model. {RATES} Attention divides by d, not by √d.",
        "blows up with width",
    ),
    "does not learn": Rule(
        "the wider the model, the less is it moved by what is learned",
        f"Before it, a rate is too small for a wide model, or behind it, output weights too large. {RATES}",
        "does not learn at large width",
    ),
    "not finite": Rule(
        "there is a NaN or an Inf",
        "Lower the rate; `jw.walk(...).first_nonfinite()` at this width tells where it begins.",
        "not finite",
    ),
}


def _after(step: int) -> str:
    return "at initialisation" if step == 0 else f"after {counted(step, 'update')}"


@dataclasses.dataclass(frozen=True)
class Judged:
    """What may be said of the points of a model.

    Attributes:
        grows: the points with more entries the wider the model is: those of its hidden layers.
        internal: the others before the last of these: such as attention's logits, or a mean over features.
        not_judged: by point, why not.
    """

    grows: frozenset[str]
    internal: frozenset[str]
    not_judged: Mapping[str, str]


def judged(by_width: Sequence[Points]) -> Judged:
    """Look at the same points at several widths."""
    last = by_width[-1]
    entries = {name: [math.prod(points[name].shape) for points in by_width] for name in last}
    grows = [name for name in last if len({*entries[name]}) > 1]
    end = last[grows[-1]].number if grows else 0
    internal = frozenset(name for name, point in last.items() if name not in grows and point.number < end)
    of_data = _computed_from(last, "batch")
    same = last.same()
    reasons = {n: last.also(n) if n in same else _not_judged(p, n in of_data) for n, p in last.items()}
    return Judged(frozenset(grows), internal, {name: reason for name, reason in reasons.items() if reason})


def _not_judged(point: Point, is_of_data: bool) -> str:
    if point.opaque is not None:
        return f"opaque: {point.opaque.partition(',')[0]}"
    if 0 in point.shape:
        return "no entries"
    if not jnp.issubdtype(point.dtype, jnp.inexact):
        return str(jnp.dtype(point.dtype))
    return "" if is_of_data else "of weights alone"


def _computed_from(points: Points, argument: str) -> set[str]:
    """Return the points that are computed, however indirectly, from an argument; all, where that is not known."""
    if points.flow is None:
        return {*points}
    values = points.flow.values
    if not any(value.arguments for value in values):  # JAX did not tell their names
        return {*points}
    found = {number for number, value in enumerate(values, 1) if argument in value.arguments}
    before = -1
    while len(found) > before:
        before = len(found)
        found |= {number for number, value in enumerate(values, 1) if found.intersection(value.points)}
    return {name for name, point in points.items() if point.number in found}


def verdicts(
    judging: Judged, slopes: Mapping[str, Mapping[str, Slope]], sizes: Mapping[str, Mapping[str, np.ndarray]],
    widths: Sequence[int],
) -> Iterator[Finding]:  # fmt: skip
    """Yield the findings, point by point; `sizes` as of all seeds, (seeds, widths, steps, ...)."""
    for name, output in slopes["output"].items():
        if name in judging.not_judged:
            continue
        if bad := _nonfinite(name, sizes, widths):
            yield bad
        yield from _at_init(name, output, name in judging.grows)
        if name in slopes["change"]:
            yield from _learning(name, slopes["change"][name], name not in judging.internal)


def _nonfinite(name: str, sizes: Mapping[str, Mapping[str, np.ndarray]], widths: Sequence[int]) -> Finding | None:
    """Return the first step at which an output or δ of a point is not finite, with the widths at which it is so."""
    bad = np.zeros(next(iter(sizes["output"].values())).shape[1:3], bool)
    for kind in ("output", "delta"):
        if name in sizes[kind]:
            of = sizes[kind][name]
            bad |= np.any(~np.isfinite(of), axis=(0, *range(3, of.ndim)))
    if not bad.any():
        return None
    step = int(np.flatnonzero(bad.any(0))[0])
    at = tuple(width for width, is_bad in zip(widths, bad[:, step], strict=True) if is_bad)
    meaning = f"`{name}` is not finite {_after(step)} at width {', '.join(map(str, at))}: {RULES['not finite'].means}."
    return _finding("not finite", name, step, len(at), 0, meaning)


def _finding(rule: str, name: str, step: int, number: float, threshold: float, meaning: str) -> Finding:
    return Finding(rule, name, number, threshold, meaning, RULES[rule].advice, (name,), steps=(step, step))


def _at_init(name: str, slope: Slope, grows: bool) -> Iterator[Finding]:
    """Of the output as it is initialised: Θ(1) in hidden layers; elsewhere it may be zero, or fall as 1/√width."""
    yield from _beyond("grows at init", name, 0, slope, +1)
    if grows:
        yield from _beyond("vanishes at init", name, 0, slope, -1)


def _learning(name: str, slope: Slope, must_learn: bool) -> Iterator[Finding]:
    """Of its change since: after no update it grows, and not after each of them it shrinks.

    The last update after which it grows is told. A model that blows up may be done with its data after an update or
    two, and stand still: so what shrinks after the last one alone is no sign that it does not learn.
    """
    grown = np.flatnonzero(is_beyond(slope.value, slope.error).any(_layers(slope)))
    if grown.size:
        yield from _beyond("blows up", name, int(grown[-1]), slope, +1)
    known = np.flatnonzero(np.isfinite(slope.value).all(_layers(slope)))
    if must_learn and known.size:
        yield from _beyond("does not learn", name, int(known[-1]), slope, -1, (slope.value[known] < -THRESHOLD).all(0))


def _layers(slope: Slope) -> tuple[int, ...]:
    return tuple(range(1, slope.value.ndim))


def _beyond(rule: str, name: str, step: int, slope: Slope, sign: int, where: Any = True) -> Iterator[Finding]:
    """Yield a finding if a slope is beyond the threshold, at a point in a scan that of any layer of those that are
    meant."""
    value, error = np.ravel(slope.value[step]), np.ravel(slope.error[step])
    found = is_beyond(sign * value, error) & np.ravel(where)
    if not found.any():
        return
    worst = int(np.argmax(np.where(found, sign * value, -np.inf)))
    of = "output" if step == 0 else "change since initialisation"
    give = "" if np.isnan(error[worst]) else f" (± {error[worst]:.2f})"
    layers = f" in {found.sum()} of {found.size} layers, at most" if slope.value.ndim > 1 else ""
    goes = f"`{name}`: its {of} goes{layers} as width^{value[worst]:.2f}{give} {_after(step)}"
    yield _finding(rule, name, step, float(value[worst]), sign * THRESHOLD, f"{goes}: {RULES[rule].means}.")


def is_beyond(value: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Tell which slopes are above the threshold, and that not by chance."""
    return (value > THRESHOLD) & ~(value <= ERRORS * error)


def unsure(slope: Slope) -> np.ndarray:
    """Tell which slopes are beyond the threshold, on either side, but by no more than their error."""
    away = np.abs(slope.value)
    return (away > THRESHOLD) & (away <= ERRORS * slope.error)


def grouped(findings: Sequence[Finding]) -> list[Finding]:
    """Return one finding for each rule: at the first of its points, with the number and the meaning of the worst."""
    rules = dict.fromkeys(finding.name for finding in findings)
    return [_together([finding for finding in findings if finding.name == rule]) for rule in rules]


def _together(findings: Sequence[Finding]) -> Finding:
    worst = max(findings, key=lambda finding: (abs(finding.number), -min(finding.steps or (0,))))
    points = tuple(point for finding in findings for point in finding.points)
    steps = [step for finding in findings for step in finding.steps or ()]
    meaning = worst.meaning
    if len(findings) > 1:
        name = f"`{worst.point}`"
        meaning = f"{name}, the worst of {len(findings)} points{meaning.removeprefix(name)}"
    return dataclasses.replace(worst, point=points[0], points=points, steps=(min(steps), max(steps)), meaning=meaning)


def said(findings: Sequence[Finding], steps: int) -> str:
    """Return the findings of one point in a few words: with the step, if it is neither the first nor the last."""
    return "; ".join(_said(finding, steps) for finding in findings)


def _said(finding: Finding, steps: int) -> str:
    step = finding.steps[0] if finding.steps else 0
    return RULES[finding.name].short + (f", {_after(step)}" if 0 < step < steps else "")
