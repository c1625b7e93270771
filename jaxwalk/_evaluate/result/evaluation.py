"""`Evaluation`: statistics over a whole dataset, point by point, and the data most to blame."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..._errors import counted, listed
from ..._health.finding import Health
from ..._health.places import check_health, names_at, notes_of
from ..._optional import pandas
from ..._points.ordered_mapping import Named
from ..._points.point import Point, Points
from ..._rewrite.tap import loops
from ..._show.fit import as_html, as_text
from ..._show.in_treescope import Item, rendering
from ..._show.table import Table, number, numbers
from ...stats._unit_axes import not_taken
from . import archive
from .datum import Data

COLUMNS = 8  # results that the table of points has at most; of more than these it has some
ALWAYS = ("output_mean", "output_std", "output_max", "output_zeros", "delta_l2", "delta_max", "delta_zeros")
IF_NONZERO = ("output_nan", "output_inf", "delta_nan", "delta_inf", "dead_count", "blocked_share")  # if not all are 0
STEPS = 6  # first and last steps of a loop that have rows of their own in the table of points


class Gap(NamedTuple):
    """How far scores are from adding up to what their method promises: the mean over data, and the largest |gap|."""

    mean: float
    largest: float


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """What `evaluate` found.

    Attributes:
        count: how many data were walked.
        loss: the mean loss of those whose loss is finite; NaN if there is none. With a method of attribution it is the
            mean of the results that are explained.
        nonfinite: how many data have a loss or a δ, or a total, that is NaN or Inf; they lead `culprits`.
        points: the points walked.
        kept: by point, in forward order, what the statistics say: a dict of NumPy arrays in float64, complex128, int64
            or bool. At a point in a loop, each has a leading axis for the steps. With a method of attribution that is
            `total_mean`, the mean of the totals; `score_abs_mean`, that of |score| over all entries and data; and
            `score_abs_max`, the largest |score|.
        seen: by point, of how many data that is, an array of the shape of the loops around it: in a branch of a `cond`
            or `switch`, of those that took it (with a method, of all: in others scores are 0); elsewhere of all.
        culprits: the data of largest loss, as `Data`; with a method of largest result, each with its totals. The total
            of a point in a loop is that of all steps.
        method: the name of the method of attribution, or None.
        gap: where that promises a sum, a pair `mean`, `largest`: the mean gap, and the largest |gap|; else None.
        health: the `Health` given to `with_health`; else None. It is not saved: `jw.health` finds it again.
    """

    count: int
    loss: float
    nonfinite: int
    points: Points
    kept: Named
    seen: Named
    culprits: Data
    health: Health | None = None
    method: str | None = None
    gap: Gap | None = None

    def with_health(self, health: Health) -> Evaluation:
        """Return the same, whose table of points has a column `health`: what `jw.health` found at each.

        Raises:
            ArgumentError: it is no `Health`.
        """
        check_health(health)
        return dataclasses.replace(self, health=health)

    def tables(self) -> tuple[Table, Table]:
        """Return two tables: the points, a row each (at a point in a loop, a row for each step); and the culprits."""
        return self._table(), self.culprits._table()

    def to_pandas(self) -> Any:
        """Return a `pandas.DataFrame` with a row per point, and per step of the loops around it: shape and dtype, what
        was kept, and, if a point is in a branch, of how many data. If nothing was kept, a row per point.

        Raises:
            ImportError: pandas is not installed; it comes with the extra `store`.
        """
        rows = []
        for point in self._shown():
            kept = self.kept.get(point.name, {})
            for step in np.ndindex(loops(point) if kept else ()):
                values = {key: value[step] for key, value in kept.items()}
                cells = {key: value.item() if np.ndim(value) == 0 else value for key, value in values.items()}
                about = {"shape": point.shape[len(step) :], "dtype": str(point.dtype)}
                data = {"data": self.seen[point.name][step].item()} if kept and self._has_branches() else {}
                rows.append({"point": point.name, "step": step if step else None, **about, **data, **cells})
        return pandas().DataFrame(rows)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file, an npz: whole or not at all.

        Raises:
            ArgumentError: `path` is none of a file.
            StoreError: the file cannot be written, or is a link or a device.
        """
        archive.save({field.name: getattr(self, field.name) for field in dataclasses.fields(self)}, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Evaluation:
        """Read what `save` wrote. Where its points are in the traced function is not in the file.

        No more memory is taken than the file is long, whatever it says of itself.

        Raises:
            ArgumentError: `path` is none of a file.
            DataError: the file is not there, or is no saved evaluation.
        """
        found = archive.load(path)
        gap = found.pop("gap")
        return cls(**found, gap=None if gap is None else Gap(*gap))

    def _shown(self) -> list[Point]:
        """Return the points at which something was kept; all, if nothing was kept anywhere."""
        return [point for name, point in self.points.items() if name in self.kept or not self.kept]

    def _table(self) -> Table:
        columns, others = self._columns()
        rows = [row for point in self.points.values() for row in self._rows(point, columns)]
        notes = [f"Also in `kept`: {listed(others, 6)}."] if others else []
        notes += not_taken({name: point.units for name, point in self.points.items()})
        notes += [] if self.health is None else notes_of(self.health, self.points, "Evaluation.health")
        columns = [*(["data"] if self._has_branches() else []), *columns]
        right, lead, more = ("X", *columns), ("X", "point"), "`to_pandas()` has all"
        columns = ("X", "point", "shape", *columns, "health", "note")
        return Table(self._title(), columns, rows, right, notes, lead=lead, paths=("point",), more=more, alike=True)

    def _has_branches(self) -> bool:
        return any(point.conditional for point in self._shown())

    def _columns(self) -> tuple[list[str], list[str]]:
        """Return the results that have a column, and the others."""
        keys = list(dict.fromkeys(key for name in self.kept for key in self.kept[name]))
        if len(keys) <= COLUMNS:
            return keys, []
        shown = [key for key in ALWAYS if key in keys] + [key for key in IF_NONZERO if key in keys and self._any(key)]
        shown = shown or keys[:COLUMNS]
        return shown, [key for key in keys if key not in shown]

    def _any(self, key: str) -> bool:
        return any(np.any(kept[key]) for kept in self.kept.values() if key in kept)

    def _rows(self, point: Point, columns: Sequence[str]) -> Iterator[tuple[str, ...]]:
        kept = self.kept.get(point.name, {})
        steps = list(np.ndindex(loops(point))) if kept else [()]
        left_out = len(steps) - 2 * STEPS
        found = "" if self.health is None else ", ".join(names_at(self.health, point.name))
        for place, step in enumerate(steps):
            if left_out > 0 and place == STEPS:
                yield ("", f"… {left_out} more steps", "", *("" for _ in columns), *[""] * self._has_branches(), "", "")
            if left_out > 0 and STEPS <= place < len(steps) - STEPS:
                continue
            cells = [_cell(kept[key][step]) if key in kept else "" for key in columns]
            if self._has_branches():
                cells = [str(self.seen[point.name][step]) if kept else "", *cells]
            name = point.name + (str(list(step)) if step else "")
            yield (
                str(point.number),
                name,
                str(point.shape[len(step) :]),
                *cells,
                "" if place else found,
                "" if place else point.note(),
            )

    def __treescope_repr__(self, path: str | None, subtree_renderer: Callable[..., Any]) -> Any:
        items = [Item(f"{name}=", getattr(self, name), f".{name}") for name in ("count", "loss", "nonfinite")]
        for point in self._shown():
            kept = self.kept.get(point.name, {})
            at = f".kept[{point.name!r}]"
            inside = tuple(Item(f"{key}=", _plain(value), f"{at}[{key!r}]") for key, value in kept.items())
            items.append(Item(f"{point.number} {point.name}: ", inside, at if kept else ""))
        culprits = (Item(f"datum {d.index}: ", f"loss {number(d.loss)}") for d in self.culprits)
        items.append(Item("culprits=", tuple(culprits), ".culprits"))
        return rendering(Evaluation, items, path, subtree_renderer)

    def _title(self) -> str:
        through = f"{counted(self.count, 'datum', 'data')} through {counted(len(self.points), 'point')}"
        bad = f"; {self.nonfinite} with a NaN or Inf, left out of it" if self.nonfinite else ""
        by = f"{self.method} of " if self.method else ""
        gap = f"; gap {number(self.gap.mean)} in the mean, at most {number(self.gap.largest)}" if self.gap else ""
        mean = f"mean {'result' if self.method else 'loss'} {number(self.loss)}"
        return f"{by}{through}, {mean}{bad}{gap}"

    def __repr__(self) -> str:
        return "\n".join(map(as_text, self.tables()))

    def _repr_html_(self) -> str:
        return "".join(map(as_html, self.tables()))


def _plain(value: Any) -> Any:
    return value.item() if np.ndim(value) == 0 else value


def _cell(value: Any) -> str:
    value = np.asarray(value)
    if value.ndim == 0:
        return number(value)
    if value.dtype == np.bool_:
        return f"{value.sum()} of {value.size}"
    return numbers(value, 3, 4)
