"""What is known of each point as a whole: the total of its scores, and the mean of their sizes, step by step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from ..._errors import PointError, argument, counted, listed
from ..._points.point import Point, Points
from ..._rewrite.tap import loops
from ...attribute import Attribution
from .._rows.rows import Rows, rows_with_steps
from .._words import in_words
from .given import INPUTS, Data


class Total(NamedTuple):
    """The scores of a point in two numbers, or for each step of its loops in two: their total, and |score| mean."""

    total: np.ndarray
    size: np.ndarray


class Totals(NamedTuple):
    """What is drawn of an attribution.

    Attributes:
        rows: the points, the inputs before them.
        each: one for each row.
        promised: what the scores of the inputs should add up to; None where the method promises nothing.
        title: what is drawn.
        notes: what must be said.
    """

    rows: Rows
    each: Sequence[Total]
    promised: float | None
    title: str
    notes: list[str]


def totals_of(attribution: Attribution, chosen: Points, data: Data, with_inputs: bool) -> Totals:
    """Return the totals of points, and those of the inputs before them if these are drawn and have scores."""
    names = [name for name in chosen if name in attribution.scores]
    if not names:
        why = attribution.scores.why_empty()
        raise PointError(f"`{argument('at')}` chooses points without scores: {listed(chosen, 4)}. {why}".strip())
    points = [chosen[name] for name in names]
    each = [_of_point(chosen[name], attribution, data) for name in names]
    leaves = jax.tree.leaves(attribution.inputs)
    inputs = _of_inputs([data.of(leaf, INPUTS) for leaf in leaves])
    if leaves and with_inputs:
        points, each = [Point(INPUTS, 0, "input", (), np.dtype(float)), *points], [inputs, *each]
    gap = attribution.gap
    promised = float(inputs.total[0] - data.of(gap, "gap")) if leaves and gap is not None else None
    title = _title(attribution, len(names), len(attribution.points), data)
    return Totals(rows_with_steps(points), each, promised, title, _notes(chosen, names, points, leaves))


def _of_point(point: Point, attribution: Attribution, data: Data) -> Total:
    """Return the numbers of a point; of one in a loop, for each step, if the scores are of each."""
    lengths, scores, lead = loops(point), attribution.scores[point.name], len(data.lengths)
    steps = math.prod(lengths)
    if steps < 2 or np.shape(scores)[lead : lead + len(lengths)] != lengths:
        sizes = data.of(_size(scores), point.name)
        return Total(np.atleast_1d(np.real(data.of(attribution.totals[point.name], point.name))), _mean(sizes[None]))
    values, sizes = (data.of(each, point.name).reshape(steps, -1) for each in (scores, _size(scores)))
    with np.errstate(invalid="ignore", over="ignore"):
        return Total(np.real(values).sum(1), _mean(sizes))


def _of_inputs(arrays: Sequence[np.ndarray]) -> Total:
    """Return the total of all arrays of the inputs together."""
    values = np.concatenate([np.zeros(0), *(np.real(array).ravel() for array in arrays)])
    with np.errstate(invalid="ignore", over="ignore"):
        return Total(values.sum(keepdims=True), _mean(np.abs(values)[None]))


def _size(scores: Any) -> np.ndarray:
    return np.abs(np.asarray(scores))


def _mean(sizes: np.ndarray) -> np.ndarray:
    """Return the mean of each row; 0 of none."""
    with np.errstate(invalid="ignore", over="ignore"):
        return sizes.reshape(len(sizes), -1).sum(1) / max(sizes[0].size, 1)


def _title(attribution: Attribution, drawn: int, points: int, data: Data) -> str:
    of = "" if drawn == points else f"{drawn} of "
    result = (
        "" if data.datum else f"result {in_words(data.of(attribution.value, 'the result'))}"
    )  # else the datum's words
    return f"{attribution.method} at {of}{counted(points, 'point')}, {'; '.join(filter(None, [result, *data.words]))}"


def _notes(chosen: Points, names: list[str], points: Sequence[Point], leaves: Sequence[Any]) -> list[str]:
    notes = []
    if any(math.prod(loops(point)) > 1 for point in points):
        notes.append("Of a point in a loop there is a bar for each step.")
    if len(leaves) > 1 and points[0].name == INPUTS:
        notes.append(f"The inputs are {counted(len(leaves), 'array')} together.")
    if without := [name for name in chosen if name not in set(names)]:
        notes.append(f"Without scores: {listed(without, 4)}.")
    return notes
