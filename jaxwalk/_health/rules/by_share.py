"""`saturated`, `underflow`, `overflow`: a share of the entries at a point that is too large."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from ..._points.point import Point
from ..finding import Finding
from ..flow_back import FlowBack
from ..rule import Limits, Rule, Threshold, about_activations, needs
from ..signals import Signals
from ..trend import has_halved
from ..words import also, percent


class _Share(NamedTuple):
    name: str
    key: str
    meaning: str
    advice: str
    left_out: Callable[[Signals], set[str]] = lambda signals: set()


def _find(rule: _Share, signals: Signals, limits: Limits) -> Iterator[Finding]:
    limit, left_out = limits[f"{rule.name}_share"], rule.left_out(signals)
    found: list[tuple[float, Point, np.ndarray]] = []
    for point in signals.having(rule.key):
        if point.conditional or point.name in left_out:
            continue
        shares = signals.per_step(point.name, rule.key)
        most = np.where(np.isfinite(shares), shares, 0.0).max(axis=1, initial=0.0)
        if signals.lasts(most > limit):
            found.append((float(np.median(most[signals.length // 2 :])), point, most > limit))
    if not found:
        return
    found.sort(key=lambda each: -each[0])
    share, point, _ = found[0]
    names = [p.name for _, p, _ in sorted(found, key=lambda each: each[1].number)]
    layer = " in one of its layers" if point.axes else ""
    said = rule.meaning.format(share=percent(share), where=f"`{point.name}`{layer}")
    meaning = f"{said}{also([name for name in names if name != point.name])}"
    steps = signals.span(np.any([each for *_, each in found], axis=0))
    yield Finding(rule.name, point.name, share, limit, meaning, rule.advice, tuple(names), steps=steps,
                  file=point.file, line=point.line)  # fmt: skip


def _outputs_of_the_model(signals: Signals) -> set[str]:
    """Return the points where being saturated is being sure: those that the loss reads, and what an activation makes
    these of. They are judged where there is a training that has not halved the loss."""
    flow = signals.points.flow
    if flow is None or (signals.length >= LONG and not has_halved(signals.loss)):
        return set()
    back = FlowBack(flow, signals.points, [p.name for p in signals.having("saturated_share")])
    found: dict[str, Point] = {}
    waiting = back.ends()
    while waiting:
        point = waiting.pop()
        found[point.name] = point
        waiting += [p for p in back.sources(point) if p.name not in found and _is_the_same(signals, p, point)]
    return set(found)


LONG = 10  # steps, at least, in which the loss might have halved


def _is_the_same(signals: Signals, source: Point, point: Point) -> bool:
    one, other = (signals.per_step(p.name, "saturated_share") for p in (source, point))
    return one.shape == other.shape and bool(np.allclose(one, other))


_SATURATED = _Share(
    "saturated",
    "saturated_share",
    "{share} of the entries at {where} lie where the activation is flat: next to no δ comes through.",
    "Try smaller weights (the initialisation of Glorot), a smaller rate, normalisation before the activation, or one"
    " that does not saturate.",
    _outputs_of_the_model,
)
_UNDERFLOW = _Share(
    "underflow",
    "delta_underflow",
    "{share} of δ at {where} is below the smallest normal number of its dtype: digits are lost, and at last all.",
    "Try to scale the loss up, and the gradients down again, or bfloat16, whose range is that of float32.",
)
_OVERFLOW = _Share(
    "overflow",
    "delta_overflow",
    "{share} of δ at {where} is at the upper end of the range of its dtype, or beyond.",
    "Try to scale the loss down, a smaller rate, or bfloat16, whose range is that of float32.",
)


def _threshold(rule: _Share, default: float, meaning: str) -> tuple[Threshold, ...]:
    return (Threshold(f"{rule.name}_share", default, meaning, 0.0, 1.0),)


def _of_half_precision(key: str) -> Callable[[Signals], str]:
    """Return the `missing` of a rule on float16 and bfloat16: where there are none, nothing is missing."""
    missing = needs(key)
    return lambda signals: missing(signals) if any(_is_half(p) for p in signals.having()) else ""


def _is_half(point: Point) -> bool:
    return np.dtype(point.dtype).itemsize == 2


SATURATED = Rule(
    "saturated",
    functools.partial(_find, _SATURATED),
    _threshold(_SATURATED, 0.5, "share of the entries of tanh and sigmoid, or of the rows of a softmax"),
    about_activations,
)
UNDERFLOW = Rule(
    "underflow",
    functools.partial(_find, _UNDERFLOW),
    _threshold(_UNDERFLOW, 0.1, "share of the entries of δ in float16 or bfloat16"),
    _of_half_precision("delta_underflow"),
)
OVERFLOW = Rule(
    "overflow",
    functools.partial(_find, _OVERFLOW),
    _threshold(_OVERFLOW, 0.0, "share of the entries of δ in float16 or bfloat16 that is passed"),
    _of_half_precision("delta_overflow"),
)
