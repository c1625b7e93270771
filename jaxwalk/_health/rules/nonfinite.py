"""`nonfinite`: a NaN or an Inf: in which step, at which point, forward or backward, of which data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ..._errors import counted
from ..._points.point import Point
from ..finding import Finding
from ..rule import Limits, Rule, nothing_missing
from ..signals import Signals
from ..words import also


class _Bad(NamedTuple):
    place: str  # "the output of `h`"
    point: Point | None
    weights: str
    counts: np.ndarray  # (n,): how many numbers are not finite


def _find(signals: Signals, limits: Limits) -> Iterator[Finding]:
    forward, backward = _outputs(signals), [*_deltas(signals), *_gradients(signals)]
    loss = _Bad("the loss", None, "", (~np.isfinite(signals.loss)).astype(float))
    harmless = _is_masked(forward, [loss, *backward], signals)
    met = [*(bad for bad in forward if not harmless), loss, *backward]
    bad = [each for each in met if np.any(each.counts > 0)]
    if not bad:
        return
    step = min(int(np.argmax(each.counts > 0)) for each in bad)
    now = [each for each in bad if each.counts[step] > 0]
    first = now[0]
    points = tuple(dict.fromkeys(each.point.name for each in bad if each.point is not None))
    weights = tuple(each.weights for each in bad if each.weights)
    count = int(first.counts[step])
    when = "" if signals.steps is None else f" in step {signals.steps[step]}"
    also_at = [name for name in points if first.point is None or name != first.point.name]
    of = f" Data {', '.join(map(str, signals.data[:6]))} have one." if signals.data else ""
    meaning = (
        f"A NaN or an Inf is met first in {first.place}{when}{_how_many(first, count)}."
        f"{of}{also(also_at, 'It is met too at')}"
    )
    point = first.point
    span = signals.span(np.any([each.counts > 0 for each in bad], axis=0))
    yield Finding("nonfinite", None if point is None else point.name, float(count), 0.0, meaning,
                  _advice(first, backward), points, weights, span, signals.data,
                  "" if point is None else point.file, 0 if point is None else point.line)  # fmt: skip


def _how_many(bad: _Bad, count: int) -> str:
    return f", {counted(count, 'entry', 'entries')}" if bad.point is not None else ""


def _outputs(signals: Signals) -> list[_Bad]:
    points = [*signals.having("output_nan", "output_inf")]
    return [
        _Bad(f"the output of `{p.name}`", p, "", _counts(signals, p, "output")) for p in points if not p.conditional
    ]


def _deltas(signals: Signals) -> list[_Bad]:
    points = [*signals.having("delta_nan", "delta_inf")][::-1]
    return [_Bad(f"δ of `{p.name}`", p, "", _counts(signals, p, "delta")) for p in points]


def _gradients(signals: Signals) -> list[_Bad]:
    return [
        _Bad(f"the gradient of `{name}`", None, name, (~np.isfinite(sizes["gradient_l2"])).astype(float))
        for name, sizes in signals.weights.items()
        if "gradient_l2" in sizes
    ]


def _counts(signals: Signals, point: Point, side: str) -> np.ndarray:
    return sum(signals.per_step(point.name, f"{side}_{kind}").sum(axis=1) for kind in ("nan", "inf"))  # type: ignore


def _is_masked(forward: Sequence[_Bad], after: Sequence[_Bad], signals: Signals) -> bool:
    """Tell whether there are Infs alone, forward alone, and the loss, δ and gradients are finite all the same.

    So it is with scores that a mask has put to -inf.
    """
    if any(np.any(each.counts) for each in after):
        return False
    return not any(np.any(signals.per_step(each.point.name, "output_nan")) for each in forward if each.point)


def _advice(first: _Bad, backward: Sequence[_Bad]) -> str:
    if first in backward:
        return (
            "The values are finite and a derivative is not, as that of √ at 0, or of what a `where` has not chosen:"
            " give the function a safe argument first. `jw.bisect_nonfinite` finds the operation."
        )
    return "`jw.bisect_nonfinite` finds the operation that makes it; try a smaller rate, or clipping."


NONFINITE = Rule("nonfinite", _find, (), nothing_missing)
