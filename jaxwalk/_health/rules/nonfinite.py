"""`nonfinite`: a NaN or an Inf: in which step, at which point, forward or backward, of which data."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ..._errors import counted
from ..._points.point import Point
from ..finding import Finding
from ..rule import Limits, Rule, nothing_missing
from ..signals import Signals
from ..words import also, in_forward_order


class _Place(NamedTuple):
    """An array at a point, at one step of the loops around it; or the loss, or a gradient.

    Attributes:
        what: "the output of `h`".
        nan, inf: how many entries are so.
    """

    what: str
    nan: int
    inf: int
    point: Point | None = None
    weights: str = ""

    @property
    def is_bad(self) -> bool:
        return self.nan + self.inf > 0


def _find(signals: Signals, limits: Limits) -> Iterator[Finding]:
    """Yield the first bad place of the first step that has one: forward, the loss, backward, the gradients."""
    for step in np.flatnonzero(_suspicious(signals)):
        met = _met(signals, int(step))
        if met:
            yield _finding(signals, int(step), met)
            return


def _suspicious(signals: Signals) -> np.ndarray:
    """Tell in which steps there is anything that is not finite: (n,)."""
    counts = [np.zeros(signals.length), ~np.isfinite(signals.loss), *_bad_data(signals)]
    counts += [~np.isfinite(sizes["gradient_l2"]) for sizes in signals.weights.values() if "gradient_l2" in sizes]
    for key in ("output_nan", "output_inf", "delta_nan", "delta_inf"):
        counts += [signals.per_step(point.name, key).sum(axis=1) for point in signals.having(key)]
    return np.any(counts, axis=0)


def _bad_data(signals: Signals) -> list[np.ndarray]:
    return [np.ones(signals.length)] if signals.data else []


def _met(signals: Signals, step: int) -> list[_Place]:
    """Return the bad places of a step, in the order in which they are met."""
    is_bad = not np.isfinite(signals.loss[step]) or bool(signals.data)
    loss = _Place("the loss", int(is_bad), 0)
    forward = [*_at_points(signals, step, "output"), loss]
    # An Inf that what comes next does not have was masked, as scores are that a mask has put to -inf: so it is with as
    # many in another layer.
    masked = {(one.point, one.inf) for one, after in itertools.pairwise(forward) if not one.nan and not after.is_bad}
    harmful = [one for one in forward[:-1] if one.nan or (one.inf and (one.point, one.inf) not in masked)]
    backward = [place for place in _at_points(signals, step, "delta")[::-1] if place.is_bad]
    return [*harmful, *[loss] * is_bad, *backward, *_gradients(signals, step)]


def _at_points(signals: Signals, step: int, side: str) -> list[_Place]:
    """Return all places of a side, in the order of the run."""
    found = []
    for point in signals.having(f"{side}_nan", f"{side}_inf"):
        nan, inf = (np.asarray(signals.kept[point.name][f"{side}_{kind}"][step]) for kind in ("nan", "inf"))
        what = "the output of" if side == "output" else "δ of"
        for loops in np.ndindex(nan.shape):
            at = f" at {list(loops)}" if loops else ""
            place = _Place(f"{what} `{point.name}`{at}", int(nan[loops]), int(inf[loops]), point)
            if not (point.conditional and side == "output"):
                found.append((point.time(loops), place))
    found.sort(key=lambda each: each[0])
    return [place for _, place in found]


def _gradients(signals: Signals, step: int) -> Iterator[_Place]:
    for path, sizes in signals.weights.items():
        if "gradient_l2" in sizes and not np.isfinite(sizes["gradient_l2"][step]):
            yield _Place(f"the gradient of `{path}`", 1, 0, weights=path)


def _finding(signals: Signals, step: int, met: Sequence[_Place]) -> Finding:
    first, point = met[0], met[0].point
    points = in_forward_order(place.point for place in met if place.point is not None)
    when = "" if signals.steps is None else f" in step {signals.steps[step]}"
    entries = f", {counted(first.nan + first.inf, 'entry', 'entries')}" if point is not None else ""
    data = signals.data
    of = f" Of {'datum' if len(data) == 1 else 'data'} {', '.join(map(str, data[:6]))}." if data else ""
    others = [name for name in points if point is None or name != point.name]
    kind = "NaN" if first.nan else "Inf"
    meaning = f"The first {kind} is met in {first.what}{when}{entries}.{of}{also(others, 'In this step it is also at')}"
    is_backward = met[0].what.startswith(("δ", "the gradient"))
    return Finding(
        "nonfinite", None if point is None else point.name, float(first.nan + first.inf), 0.0, meaning,
        _BACKWARD if is_backward else _FORWARD, points, tuple(place.weights for place in met if place.weights),
        signals.span(_suspicious(signals) & (np.arange(signals.length) >= step)), data,
        "" if point is None else point.file, 0 if point is None else point.line,
    )  # fmt: skip


_FORWARD = "`jw.bisect_nonfinite` finds the operation that makes it; try a smaller rate, or clipping."
_BACKWARD = (
    "The values are finite and a derivative is not. If δ grew until then (`exploding`, `overflow`), try a smaller rate"
    " or scale of the loss; else it may be that of √ at 0, or of what a `where` has not chosen: give the function a"
    " safe argument first. `jw.bisect_nonfinite` finds the operation."
)

NONFINITE = Rule("nonfinite", _find, (), nothing_missing)
