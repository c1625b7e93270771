"""What is known of one point: where it is, what it is, its numbers, its histograms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .._evaluate.result.evaluation import Evaluation
from .._points.point import Point
from .._show.table import labelled, number, size
from ..plot._sizes import Side, Size
from .findings import overall
from .histogram import Histogram, histogram
from .record import Record

STEPS = 6  # first and last steps of a loop whose sizes are told
KEPT = 60  # results of statistics that are told


class Detail(NamedTuple):
    """What opens with a point.

    Attributes:
        facts: by heading, in a few words.
        sides: for output and δ, what it is called, its numbers by heading, and a histogram or None.
        kept: what statistics say, by name.
        steps: at a point in one loop, for some of its steps: which, |output|, |δ|.
        picture: SVG, or "".
    """

    facts: dict[str, str]
    sides: list[tuple[str, dict[str, str], Histogram | None]]
    kept: dict[str, str]
    steps: list[tuple[str, str, str]]
    picture: str


def detail_of(record: Record, point: Point, picture: str) -> Detail:
    """Return what is known of a point."""
    found = record.sizes.get(point.name)
    return Detail(
        {name: told for name, told in _facts(record, point) if told},
        list(_sides(record, point, found)),
        _kept(record.result, point),
        [] if found is None else list(_steps(found)),
        picture,
    )


def _facts(record: Record, point: Point) -> Iterator[tuple[str, str]]:
    yield "name", point.name
    yield "X, δ number", str(point.number)
    yield "value", f"{point.dtype}{list(point.shape)}, {size(point.nbytes)}" + " with its δ" * point.has_delta
    yield "named by", {"tag": "a tag", "scope": "a scope it leaves", "line": "a line it leaves"}.get(point.kind, "")
    yield "source", point.source
    yield "", point.text
    yield "note", point.note(getattr(getattr(record.result, "value", None), "ndim", 0))
    yield "one value", record.points.also(point.name)
    yield "kinks", record.kinks_at.get(point.name, "")
    yield "no walk", f"{point.opaque}." if point.opaque is not None else ""
    yield "no δ", "" if point.has_delta or point.opaque is not None else point.why_no_delta()


def _sides(record: Record, point: Point, found: Size | None) -> Iterator[tuple[str, dict[str, str], Histogram | None]]:
    arrays = {} if isinstance(record.result, Evaluation) else {
        "output": record.result.outputs.get(point.name), "delta": record.result.deltas.get(point.name)
    }  # fmt: skip
    for side, symbol in (("output", "output"), ("delta", "δ")):
        numbers = _numbers(getattr(found, side, None), symbol)
        if numbers:
            yield symbol, numbers, histogram(arrays.get(side))


def _numbers(side: Side | None, symbol: str) -> dict[str, str]:
    if side is None:
        return {}
    rms, zeros = overall(side), side.zeros[np.isfinite(side.zeros)]
    bad = int(np.sum(side.nonfinite))
    largest = side.max[np.isfinite(side.max)]
    told = {
        f"|{symbol}| rms": "" if rms is None else number(rms),
        f"|{symbol}| max": number(largest.max()) if largest.size else "",
        "zero": f"{100 * zeros.mean():.3g} %" if zeros.size else "",
        "NaN or Inf": str(bad) if bad else "",
    }
    return {name: text for name, text in told.items() if text}


def _kept(result: Any, point: Point) -> dict[str, str]:
    kept = result.kept.get(point.name)
    if kept is None:
        return {}
    if not isinstance(kept, dict):
        return {"kept": labelled(kept)}
    told = {str(name): labelled(value) for name, value in [*kept.items()][:KEPT]}
    return told | ({"…": f"{len(kept) - KEPT} more"} if len(kept) > KEPT else {})


def _steps(found: Size) -> Iterator[tuple[str, str, str]]:
    sides = [found.output, found.delta]
    shape = next((side.rms.shape for side in sides if side is not None), ())
    steps = list(np.ndindex(shape)) if shape else []
    left_out = len(steps) - 2 * STEPS
    for place, step in enumerate(steps):
        if left_out > 0 and place == STEPS:
            yield f"… {left_out} more", "", ""
        if left_out <= 0 or not STEPS <= place < len(steps) - STEPS:
            output, delta = ("" if side is None else number(side.rms[step], 3) for side in sides)
            yield str(list(step)), output, delta
