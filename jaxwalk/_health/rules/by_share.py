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
from ..words import also, brief, in_forward_order, percent

Shares = Iterator[tuple[Point, np.ndarray]]


class _Share(NamedTuple):
    """What is told apart of three rules that are one.

    Attributes:
        shares: signals -> points, and the share at each: (n, steps of its loops).
        meaning: (signals, point) -> the sentence of what is found there, to be filled in.
        left_out: signals -> points that are not judged.
    """

    name: str
    shares: Callable[[Signals], Shares]
    meaning: Callable[[Signals, Point], str]
    advice: str
    left_out: Callable[[Signals], set[str]] = lambda signals: set()


def _kept_as(key: str) -> Callable[[Signals], Shares]:
    return lambda signals: ((point, signals.per_step(point.name, key)) for point in signals.having(key))


def _late_median(values: np.ndarray) -> float:
    return float(np.median(values[len(values) // 2 :]))


def _find(rule: _Share, signals: Signals, limits: Limits) -> Iterator[Finding]:
    limit, left_out = limits[f"{rule.name}_share"], rule.left_out(signals)
    found: list[tuple[float, Point, np.ndarray]] = []
    for point, shares in rule.shares(signals):
        if not point.conditional and point.name not in left_out:
            most = np.where(np.isfinite(shares), shares, 0.0).max(axis=1, initial=0.0)
            known = signals.finite(point, "delta")
            if signals.lasts(most > limit, known):
                found.append((_late_median(most[known]), point, (most > limit) & known))
    if not found:
        return
    found.sort(key=lambda each: -each[0])
    share, point, _ = found[0]
    names = in_forward_order(p for _, p, _ in found)
    layer = " in one of its layers" if point.axes else ""
    told = {"share": percent(share), "number": brief(share), "where": f"`{point.name}`{layer}"}
    said = rule.meaning(signals, point).format(**told)
    meaning = f"{said}{also([name for name in names if name != point.name])}"
    steps = signals.span(np.any([each for *_, each in found], axis=0))
    yield Finding(rule.name, point.name, share, limit, meaning, rule.advice, names, steps=steps,
                  file=point.file, line=point.line)  # fmt: skip


def _flat(signals: Signals) -> Shares:
    """Yield the share of the entries that lie where an activation is flat."""
    yield from _kept_as("saturated_share")(signals)
    flow = signals.points.flow
    points = [*signals.having("output_mean", "output_rms", "output_max")]
    back = None if flow is None else FlowBack(flow, signals.points, [point.name for point in points])
    for point in points:
        if "saturated_share" not in signals.kept[point.name] and back is not None and back.sources(point):
            rows = _concentration(signals, point)
            if rows is not None:
                yield point, rows


def _concentration(signals: Signals, point: Point) -> np.ndarray | None:
    """Compute the mean of Σp² over the rows of a softmax, along the last axis: 1 where one entry has all, and there is
    no slope; None of what is none. JAX writes a softmax out, so that it is told by its numbers: the mean of k entries
    that add up to 1 is 1/k."""
    shape = point.shape[len(point.axes) :]
    if not shape or shape[-1] < 2:
        return None
    mean, rms, largest = (signals.per_step(point.name, f"output_{key}") for key in ("mean", "rms", "max"))
    with np.errstate(invalid="ignore"):
        adds_up = np.abs(mean * shape[-1] - 1) < ADDS_UP
        is_softmax = np.all(adds_up & (largest <= 1 + ADDS_UP) & (largest > 1 / shape[-1]) | ~np.isfinite(mean))
    return shape[-1] * rms**2 if is_softmax and np.isfinite(mean).any() else None


ADDS_UP = 1e-3  # how near to 1 the sum of a row is


def _outputs_of_the_model(signals: Signals) -> set[str]:
    """Return the points where being saturated is being sure: those that the loss reads, and what an activation makes
    these of; but no softmax that weighs others, as that of attention. They are judged where there is a training that
    has not halved the loss."""
    flow = signals.points.flow
    if flow is None or (signals.length >= LONG and not has_halved(signals.loss)):
        return set()
    shares = {point.name: share for point, share in _flat(signals)}
    back = FlowBack(flow, signals.points, list(shares))
    found: set[str] = set()
    waiting = back.ends()
    while waiting:
        point = waiting.pop()
        if _weighs(signals, point):
            continue
        found.add(point.name)
        others = [p for p in back.sources(point) if p.name not in found]
        waiting += [p for p in others if _is_the_same(shares[p.name], shares[point.name])]
    return found


def _weighs(signals: Signals, point: Point) -> bool:
    """Tell whether a value is a softmax, of which a later point makes more than a number for each row, or each entry:
    a mean of something else, which it weighs."""
    flow = signals.points.flow
    if flow is None or _concentration(signals, point) is None:
        return False
    own = point.shape[len(point.axes) :]
    later = [p for p in signals.having("output_rms") if p.number > point.number]
    back = FlowBack(flow, signals.points, [])
    is_of_rows = lambda p: (shape := p.shape[len(p.axes) :]) == own[: len(shape)]
    return any(not is_of_rows(p) and back.comes_from(p, point) for p in later)


LONG = 10  # steps, at least, in which the loss might have halved


def _is_the_same(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and bool(np.allclose(one, other))


def _flat_where(signals: Signals, point: Point) -> str:
    """Return what is flat: entries, or rows, that were counted; or if none were, what it is judged by."""
    if "saturated_share" in signals.kept[point.name]:
        return (
            "{share} of the entries (of a softmax: the rows) at {where} lie where the activation is flat: next to no δ"
            " comes through."
        )
    return (
        "At {where}, which has the numbers of a softmax, Σp² is {number} in the mean of the rows, by which alone it is"
        " judged (1 where one entry has all; rows are counted of a softmax that is seen in the program, as it leaves"
        " its division): next to no δ comes through."
    )


def _always(meaning: str) -> Callable[[Signals, Point], str]:
    return lambda signals, point: meaning


_SATURATED = _Share(
    "saturated",
    _flat,
    _flat_where,
    "Try smaller weights (the initialisation of Glorot), a smaller rate, normalisation before the activation (in"
    " attention, of queries and keys, or logits divided by the root of their width), or one that does not saturate.",
    _outputs_of_the_model,
)
_UNDERFLOW = _Share(
    "underflow",
    _kept_as("delta_underflow"),
    _always(
        "{share} of δ at {where} is below the smallest normal number of its dtype: digits are lost, and at last all."
    ),
    "Try to scale the loss up, and the gradients down again, or bfloat16, whose range is that of float32.",
)
_OVERFLOW = _Share(
    "overflow",
    _kept_as("delta_overflow"),
    _always("{share} of δ at {where} is at the upper end of the range of its dtype, or beyond."),
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
    _threshold(
        _SATURATED, 0.5, "share of the entries of tanh and sigmoid, or of the rows of a softmax; or its mean Σp²"
    ),
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
