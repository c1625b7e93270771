"""The tables of a training: where δ is largest, how far the params moved, what held-out data gave."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .._errors import PointError
from .._learn.history import History
from .._show.table import Table, number
from ..plot._sizes import Size, sizes_of

LARGEST = 20  # points that are listed as most to blame


def largest(history: History) -> list[Table]:
    """Return the points of largest δ in the last step that is held, beside the first; [] if the size of none is known.

    A loop is one point: its size is that over all its steps.
    """
    last, first = (_known(history, step) for step in (history.steps[-1], history.steps[0]))
    ranked = sorted(last, key=lambda name: (not math.isnan(last[name]), -last[name]))  # a NaN before all
    steps = [f"step {step}" for step in (history.steps[0], history.steps[-1])]
    rows = [
        (str(history.points[name].number), name, *(number(of[name], 3) if name in of else "" for of in (first, last)))
        for name in ranked[:LARGEST]
    ]
    columns = ("X", "point", *(f"δ rms, {step}" for step in steps))
    if len(history.steps) == 1:
        columns, rows = (*columns[:2], "δ rms"), [row[:3] for row in rows]
    left_out = len(ranked) - len(rows)
    notes = [f"{left_out} more points, of a smaller δ, are left out."] if left_out else []
    title = f"The points of largest δ in step {history.steps[-1]}"
    return [Table(title, columns, rows, ("X", *columns[2:]), notes, code=("point",))] if rows else []


def _known(history: History, step: Any) -> dict[str, float]:
    """Return by point the root mean square of δ in a step; NaN where there is none but of what is not finite."""
    try:
        sizes: list[Size] = sizes_of(history, step)
    except PointError:  # what was kept tells no sizes
        return {}
    found = {size.point.name: size.delta for size in sizes if size.delta is not None and size.point.has_delta}
    return {name: math.nan if delta.overall is None else delta.overall for name, delta in found.items()}


def numbers(history: History) -> list[Table]:
    """Return the losses of held-out data, and the params in the last step that is held."""
    epochs = [(str(each.epoch), str(each.step), number(each.loss)) for each in history.evaluations]
    held_out = Table("Held-out data", ("epoch", "step", "mean loss"), epochs, ("epoch", "step", "mean loss"))
    rows = [(path, *_weight_cells(sizes)) for path, sizes in history.weights.items()] if len(history.steps) else []
    columns = ("array", "‖w‖", "‖∂loss/∂w‖", "‖update‖", "‖update‖ / ‖w‖")
    last = history.steps[-1] if rows else None
    weights = Table(f"The params in step {last}", columns, rows, columns[1:], code=("array",))
    return [table for table in (held_out, weights) if table.rows]


def _weight_cells(sizes: Mapping[str, Any]) -> Iterator[str]:
    """Yield the norms of an array of the params in the last step: of several runs, their mean."""
    norms = [float(np.mean(sizes[key][-1], dtype=np.float64)) for key in ("weight_l2", "gradient_l2", "update_l2")]
    yield from map(number, norms)
    yield number(norms[2] / norms[0]) if norms[0] else ""
