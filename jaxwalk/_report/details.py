"""What is known of one point: where it is, what it is, its numbers, its histograms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from .._health.places import points_of
from .._points.point import Point
from .._show.table import labelled, number, size
from .._walk.result import Walk
from ..plot._sizes import Side as Measured
from ..plot._sizes import Size
from .histogram import Histogram, histogram, of_magnitudes
from .record import Record

STEPS = 6  # first and last steps of a loop whose sizes are told
KEPT = 60  # results of statistics that are told
TOLD = {f"{side}_{name}" for side in ("output", "delta") for name in ("rms", "max", "zeros", "magnitudes")}
"""Results that stand above, as numbers or as a histogram."""


class Side(NamedTuple):
    """The output of a point, or its δ: what it is called, its numbers in a few words, its histogram or None."""

    symbol: str
    told: str
    histogram: Histogram | None


class Detail(NamedTuple):
    """What opens with a point.

    Attributes:
        facts: by heading, in a few words.
        code: the line of source, or "".
        sides: the output and δ, those of which anything is known.
        kept: what statistics say, by name.
        steps: at a point in a loop, for some of its steps: which, |output|, |δ|.
        picture: SVG, or "".
    """

    facts: dict[str, str]
    code: str
    sides: list[Side]
    kept: dict[str, str]
    steps: list[tuple[str, str, str]]
    picture: str


def detail_of(record: Record, point: Point, picture: str) -> Detail:
    """Return what is known of a point."""
    found = record.sizes.get(point.name)
    return Detail(
        {name: told for name, told in _facts(record, point) if told},
        point.text,
        [] if found is None else list(_sides(record, found)),
        _kept(record, point),
        [] if found is None else list(_steps(found)),
        picture,
    )


def _facts(record: Record, point: Point) -> Iterator[tuple[str, str]]:
    yield "point", point.name
    with_delta = " with its δ" if point.has_delta else ""
    value = f"{point.dtype}{list(point.shape)}, {size(point.nbytes)}{with_delta}"
    yield "value", f"X and δ number {point.number}: {value}" if point.has_delta else f"X number {point.number}: {value}"
    yield "named by", " at ".join(filter(None, (f"a {point.kind}", point.source)))
    yield "note", point.note(getattr(getattr(record.result, "value", None), "ndim", 0))
    yield "one value", record.points.also(point.name)
    found = [each for each in record.health if point.name in points_of(each)]
    yield "health", "; ".join(f"{each.name}: {each.meaning}" for each in found)
    yield "kinks", record.kinks_at.get(point.name, "")
    yield "opaque", f"{point.opaque}." if point.opaque is not None else ""
    yield "no δ", "" if point.has_delta or point.opaque is not None else point.why_no_delta()


def _sides(record: Record, found: Size) -> Iterator[Side]:
    result = record.result
    arrays = {"output": result.outputs, "delta": result.deltas} if isinstance(result, Walk) else {}
    for name, side in found.sides.items():
        drawn = histogram(arrays.get(name, {}).get(found.point.name))
        kept = _kept_histogram(record.kept.get(found.point.name), name)
        yield Side({"output": "output", "delta": "δ"}[name], _told(side), kept if drawn is None else drawn)


def _kept_histogram(kept: Any, side: str) -> Histogram | None:
    return of_magnitudes(kept.get(f"{side}_magnitudes")) if isinstance(kept, Mapping) else None


def _told(side: Measured) -> str:
    rms, zeros, bad = side.overall, side.zeros[np.isfinite(side.zeros)], int(np.sum(side.nonfinite))
    largest = side.max[np.isfinite(side.max)]
    told = [f"rms {number(rms)}"] if rms is not None else []
    told += [f"max {number(largest.max())}"] if largest.size else []
    told += [f"{100 * zeros.mean():.3g} % zero"] if zeros.size and zeros.any() else []
    told += [f"{bad} NaN or Inf"] if bad else []
    return ", ".join(told) or "no entries"


def _kept(record: Record, point: Point) -> dict[str, str]:
    kept = record.kept.get(point.name)
    if kept is None:
        return {}
    if not isinstance(kept, Mapping):
        return {"kept": labelled(kept)}
    kept = {str(name): value for name, value in kept.items() if name not in TOLD}
    told = {name: labelled(value) for name, value in [*kept.items()][:KEPT]}
    return told | ({"…": f"{len(kept) - KEPT} more"} if len(kept) > KEPT else {})


def _steps(found: Size) -> Iterator[tuple[str, str, str]]:
    sides = [found.output, found.delta]
    shape = next((side.rms.shape for side in found.sides.values()), ())
    steps = list(np.ndindex(shape)) if shape else []
    left_out = len(steps) - 2 * STEPS
    for place, step in enumerate(steps):
        if left_out > 0 and place == STEPS:
            yield f"… {left_out} more", "", ""
        if left_out <= 0 or not STEPS <= place < len(steps) - STEPS:
            output, delta = ("" if side is None else number(side.rms[step], 3) for side in sides)
            yield str(list(step)), output, delta
