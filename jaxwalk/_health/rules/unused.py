"""`unused`: weights whose gradient is exactly 0 in every step, and points that the loss does not depend on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..._errors import counted
from ..finding import Finding
from ..rule import Limits, Rule, nothing_missing
from ..signals import Signals
from ..words import also


def _find(signals: Signals, limits: Limits) -> Iterator[Finding]:
    yield from _weights(signals)
    yield from _points(signals)


def _weights(signals: Signals) -> Iterator[Finding]:
    known = np.isfinite(signals.loss)  # of what is not finite, nothing comes through
    gradients = {path: sizes["gradient_l2"][known] for path, sizes in signals.weights.items() if "gradient_l2" in sizes}
    paths = tuple(path for path, sizes in gradients.items() if not np.any(sizes))
    if not paths or not np.any(known):
        return
    when = "" if signals.steps is None else f" in all of {counted(signals.length, 'step')}"
    meaning = (
        f"The gradient of `{paths[0]}` is exactly 0{when}: the loss does not depend on it, or nothing of δ comes"
        f" through to it.{also(paths[1:], 'So it is with')}"
    )
    stopped = [name for name, point in signals.points.items() if point.stopped]
    advice = (
        "Look at whether the model uses it, and for a `stop_gradient`, or what `blocked` tells of, on the way to it; if"
        f" it is frozen on purpose, all is well.{also(stopped, 'δ is stopped before')}"
    )
    yield Finding("unused", None, 0.0, 0.0, meaning, advice, weights=paths,
                  steps=signals.span(np.ones(signals.length, bool)))  # fmt: skip


def _points(signals: Signals) -> Iterator[Finding]:
    points = [point for point in signals.points.values() if point.unused and point.opaque is None]
    if not points:
        return
    first, names = points[0], tuple(point.name for point in points)
    meaning = f"The loss does not depend on `{first.name}`: 0 of δ arrives.{also(names[1:], 'Nor does it on')}"
    advice = "If it is only shown or counted, all is well; else look for where its value gets lost."
    yield Finding("unused", first.name, 0.0, 0.0, meaning, advice, names, file=first.file, line=first.line)


UNUSED = Rule("unused", _find, (), nothing_missing)
