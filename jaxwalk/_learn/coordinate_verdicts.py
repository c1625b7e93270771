"""What a width check finds: the points whose sizes do not go with the width as muP wants, by rules with thresholds."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from .._points.point import Point, Points
from .coordinate_slopes import Slope

THRESHOLD = 0.25
"""Exponents of the parametrizations of Yang & Hu (arXiv 2011.14522, §3) are multiples of 1/2: this is half way to 0."""
ERRORS = 2  # standard errors that a slope must be away from 0

MEANING = {
    "grows at init": "it is larger the wider the model is, before anything is learned: initialise with a variance of"
    " 1/fan_in",
    "vanishes at init": "a wide model has nothing there to begin with: its initialisation, or a factor in front of it,"
    " falls too fast with the width",
    "blows up": "what is learned moves it the more the wider the model is: lower the rate of the weights before it with"
    " the width (by Adam 1/fan_in, of hidden weights and of the output's), or the factor in front of it",
    "does not learn": "what is learned moves it the less the wider the model is: the rate of the weights before it, or"
    " their initialisation, falls too fast with the width",
    "not finite": "there is a NaN or an Inf: see `jw.walk(...).first_nonfinite()` at this width, or lower the rate",
}


class WidthFinding(NamedTuple):
    """A point whose size does not go with the width as muP wants.

    Attributes:
        name: "grows at init", "vanishes at init", "blows up", "does not learn" or "not finite".
        point: its name.
        step: after how many updates.
        slope: k of size ∝ widthᵏ, at a point in a scan that of the layer where it is furthest from 0; NaN if there is
            none.
        error: its standard error; NaN for two widths and one seed.
        threshold: what the slope is beyond.
        layers: in how many of the layers of a scan it is so, as "3 of 12"; "" outside one.
        widths: at which widths it is not finite.
    """

    name: str
    point: str
    step: int
    slope: float
    error: float
    threshold: float
    layers: str = ""
    widths: tuple[int, ...] = ()

    def __str__(self) -> str:
        where = f"`{self.point}`" + (f" (in {self.layers} layers)" if self.layers else "")
        if self.widths:
            found = f"is not finite at width {', '.join(map(str, self.widths))}"
        else:
            of = "output" if self.name.endswith("init") else "change since initialisation"
            found = f"{self.name}: its {of} goes as width^{self.slope:.2f}"
            found += f" (± {self.error:.2f})" * (not math.isnan(self.error))
        return f"{where} {found}, {_after(self.step)}; {MEANING[self.name]}."


def _after(step: int) -> str:
    return "at initialisation" if step == 0 else f"after {step} update{'s' * (step > 1)}"


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
) -> Iterator[WidthFinding]:  # fmt: skip
    """Yield the findings, point by point; `sizes` as of all seeds, (seeds, widths, steps, ...)."""
    for name, output in slopes["output"].items():
        if name in judging.not_judged:
            continue
        if bad := _nonfinite(name, sizes, widths):
            yield bad
        yield from _at_init(name, output, name in judging.grows)
        if name in slopes["change"]:
            yield from _learning(name, slopes["change"][name], name not in judging.internal)


def _nonfinite(name: str, sizes: Mapping[str, Mapping[str, np.ndarray]], widths: Sequence[int]) -> WidthFinding | None:
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
    return WidthFinding("not finite", name, step, math.nan, math.nan, math.nan, "", at)


def _at_init(name: str, slope: Slope, grows: bool) -> Iterator[WidthFinding]:
    """Of the output as it is initialised: Θ(1) in hidden layers; elsewhere it may be zero, or fall as 1/√width."""
    yield from _beyond("grows at init", name, 0, slope, +1)
    if grows:
        yield from _beyond("vanishes at init", name, 0, slope, -1)


def _learning(name: str, slope: Slope, must_learn: bool) -> Iterator[WidthFinding]:
    """Of its change since: it grows after no update, and does not shrink after the last one whose slopes are known.

    A model that blows up may be done with its data after a step or two, and stand still; the first steps tell then.
    """
    layers = tuple(range(1, slope.value.ndim))
    known = np.flatnonzero(np.isfinite(slope.value).all(layers))
    if known.size == 0:
        return
    grown = np.where(is_beyond(slope.value, slope.error), slope.value, -np.inf)[known].max(layers)
    yield from _beyond("blows up", name, int(known[np.argmax(grown)]), slope, +1)
    if must_learn:
        yield from _beyond("does not learn", name, int(known[-1]), slope, -1)


def _beyond(finding: str, name: str, step: int, slope: Slope, sign: int) -> Iterator[WidthFinding]:
    value, error = np.ravel(slope.value[step]), np.ravel(slope.error[step])
    found = is_beyond(sign * value, error)
    if found.any():
        worst = int(np.argmax(np.where(found, sign * value, -np.inf)))
        layers = f"{found.sum()} of {found.size}" if slope.value.ndim > 1 else ""
        yield WidthFinding(finding, name, step, float(value[worst]), float(error[worst]), sign * THRESHOLD, layers)


def is_beyond(value: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Tell which slopes are above the threshold, and that not by chance."""
    return (value > THRESHOLD) & ~(value <= ERRORS * error)


def unsure(slope: Slope) -> np.ndarray:
    """Tell which slopes are beyond the threshold, on either side, but by no more than their error."""
    away = np.abs(slope.value)
    return (away > THRESHOLD) & (away <= ERRORS * slope.error)


def said(findings: Sequence[WidthFinding]) -> str:
    """Return the findings of one point in a few words."""
    return "; ".join(_said(finding) for finding in findings)


def _said(finding: WidthFinding) -> str:
    words = {"blows up": "blows up with width", "does not learn": "does not learn at large width"}
    told = words.get(finding.name, finding.name.replace("init", "init, with width"))
    if finding.widths:
        told = f"not finite at width {', '.join(map(str, finding.widths))}, {_after(finding.step)}"
    return told + f" in {finding.layers} layers" * bool(finding.layers)
