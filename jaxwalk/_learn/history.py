"""`History`: the loss, and what was kept at each point, step by step, in bounded memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .._errors import counted
from .._evaluate.result.evaluation import Evaluation
from .._health.finding import Health
from .._points.ordered_mapping import Named
from .._points.point import Points
from .._rewrite.tap import loops
from .._show.fit import tabular
from .._show.table import Table, number

SHOWN = ("output_rms", "delta_rms", "output_l2", "delta_l2")  # of which the table has two, those that there are


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluated:
    """What held-out data gave at the end of an epoch.

    Attributes:
        epoch: its number, from 0.
        step: how many steps there were by then.
        evaluation: the `Evaluation`: its `loss` is their mean loss.
    """

    epoch: int
    step: int
    evaluation: Evaluation

    @property
    def loss(self) -> float:
        """Return the mean loss of the held-out data."""
        return self.evaluation.loss


@tabular
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class History:
    """What training went through. NumPy's arrays; where there is an axis of steps, it is the first.

    Attributes:
        steps: the numbers of the steps that are held, from 0, in order.
        loss: of each of these steps, before its update.
        kept: by point in forward order, what `keep` made of it, stacked over these steps.
        weights: by the path of each array of the params, `weight_l2`, `gradient_l2`, `update_l2`, stacked.
        points: the `Points` that were watched.
        total: how many steps there were.
        stride: every how many steps one is held: `every`, or a power of two times that, where there were too many to
            hold them all. The last that was looked at is always held.
        notes: sentences on what is not here.
        findings: a `Health`: what was found wrong.
        evaluations: what `evaluate` gave at the end of each epoch: a tuple of records with `epoch`, `step`, `loss` and
            `evaluation`.
    """

    steps: np.ndarray
    loss: np.ndarray
    kept: Named
    weights: Named
    points: Points
    total: int
    stride: int = 1
    notes: tuple[str, ...] = ()
    findings: Health = Health()
    evaluations: tuple[Evaluated, ...] = ()

    def _table(self) -> Table:
        keys = [key for key in SHOWN if any(key in of for of in self._results())][:2]
        columns = [f"{key} {when}" for key in keys for when in ("first", "last")]
        rows = [row for name in self.points for row in self._rows(name, keys)] if len(self.steps) else []
        notes = [*self.notes, *self._said()]
        columns, right = ("X", "point", *columns), ("X", *columns)
        lead, more = ("X", "point"), "`kept` by name has each"
        return Table(self._title(), columns, rows, right, notes, (), lead, ("point",), (), more, True)

    def _results(self) -> Iterator[Mapping[str, Any]]:
        return (of for of in self.kept.values() if isinstance(of, Mapping))

    def _rows(self, name: str, keys: list[str]) -> Iterator[tuple[str, ...]]:
        point, results = self.points[name], self.kept.get(name, {})
        results = results if isinstance(results, Mapping) else {}
        for index in np.ndindex(loops(point)):
            values = [results[key][(slice(None), *index)] if key in results else None for key in keys]
            ends = [number(v[end]) if v is not None and v.ndim == 1 else "" for v in values for end in (0, -1)]
            yield (str(point.number), name + (str(list(index)) if index else ""), *ends)

    def _title(self) -> str:
        title = f"{counted(self.total, 'step')} of training through {counted(len(self.points), 'point')}"
        if not len(self.loss):
            return title
        if len(self.loss) == 1:
            return f"{title}: loss {number(self.loss[0])}"
        finite = np.where(np.isfinite(self.loss), self.loss, np.inf)
        least = int(finite.argmin())
        smallest = f"; smallest {number(self.loss[least])} in step {self.steps[least]}"
        return f"{title}: loss {number(self.loss[0])} to {number(self.loss[-1])}{smallest}"

    def _said(self) -> Iterator[str]:
        if self.evaluations:
            first, last = self.evaluations[0], self.evaluations[-1]
            fell = f"{number(first.loss)} after epoch {first.epoch}"
            fell += f", {number(last.loss)} after epoch {last.epoch}" if last is not first else ""
            yield f"Held-out loss: {fell}."
        yield from (f"{finding.name}: {finding.meaning}" for finding in self.findings)
