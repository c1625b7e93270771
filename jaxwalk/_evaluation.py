"""`Evaluation`: what a whole dataset said, point by point, and the data most to blame."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ._errors import counted
from ._named import Named
from ._points import Point, Points
from ._table import Table, html, number, numbers, text

NORMS = 6  # points whose norms have columns of their own in the table of culprits
STEPS = 6  # of a loop, at each end, that have rows of their own in the table of points


@dataclasses.dataclass(frozen=True, eq=False)
class Datum:
    """A datum that is to blame.

    Attributes:
        index: which datum, in the order in which they came, from 0.
        loss: of it.
        norms: the ℓ2 norm of its δ, by point, in forward order.
    """

    index: int
    loss: float
    norms: Named


class Data(tuple[Datum, ...]):
    """Data of largest loss, largest first, those with a NaN or Inf before all; shows itself as a table."""

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame`: index, loss, and a column of norms for each point.

        Raises:
            ImportError: pandas is not installed; it comes with the extra `store`.
        """
        columns: dict[str, list[Any]] = {"index": [d.index for d in self], "loss": [d.loss for d in self]}
        names = list(self[0].norms) if self else []
        norms = {f"delta_l2/{name}": [float(d.norms[name]) for d in self] for name in names}
        return _pandas().DataFrame(columns | norms)

    def _table(self) -> Table:
        names = list(self[0].norms.once()) if self else []
        if len(names) <= NORMS:
            columns = [f"‖δ‖ {name}" for name in names]
            rows = [(*_first(d), *(number(d.norms[name]) for name in names)) for d in self]
        else:
            columns = ["largest ‖δ‖"]
            rows = [(*_first(d), _most(d)) for d in self]
        right = ("datum", "loss", *(columns if len(names) <= NORMS else ()))
        return Table(_culprits(len(self)), ("datum", "loss", *columns), rows, right)

    def __repr__(self) -> str:
        return text(self._table())

    def _repr_html_(self) -> str:
        return html(self._table())


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """What `evaluate` found.

    Attributes:
        count: how many data were walked.
        loss: the mean loss of those whose loss is finite; NaN if there is none.
        nonfinite: how many data have a loss or a δ that is NaN or Inf; they lead `culprits`.
        points: the points walked.
        kept: by point, in forward order, what the statistics say: a dict of NumPy arrays in float64, int64 or bool. At a
            point in a loop, each has a leading axis for the steps.
        culprits: the data of largest loss, as `Data`.
    """

    count: int
    loss: float
    nonfinite: int
    points: Points
    kept: Named
    culprits: Data

    def tables(self) -> tuple[Table, Table]:
        """The points, a row each (at a point in a loop, a row for each step); and the culprits."""
        return self._table(), self.culprits._table()

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` with a row per point, and per step of the loops around it: what was kept.

        Raises:
            ImportError: pandas is not installed; it comes with the extra `store`.
        """
        rows = []
        for point in self._shown():
            for step in np.ndindex(_loops(point)):
                values = {key: value[step] for key, value in self.kept[point.name].items()}
                cells = {key: value.item() if np.ndim(value) == 0 else value for key, value in values.items()}
                rows.append({"point": point.name, "step": step if step else None, **cells})
        return _pandas().DataFrame(rows)

    def _shown(self) -> list[Point]:
        return [point for name, point in self.points.items() if name in self.kept]

    def _table(self) -> Table:
        columns = list(dict.fromkeys(key for name in self.kept for key in self.kept[name]))
        rows = [row for point in self.points.values() for row in self._rows(point, columns)]
        return Table(self._title(), ("X", "point", "shape", *columns, "note"), rows, right=("X", *columns))

    def _rows(self, point: Point, columns: Sequence[str]) -> Iterator[tuple[str, ...]]:
        kept = self.kept.get(point.name, {})
        steps = list(np.ndindex(_loops(point))) if kept else [()]
        left_out = len(steps) - 2 * STEPS
        for place, step in enumerate(steps):
            if left_out > 0 and place == STEPS:
                yield ("", f"… {left_out} more steps", "", *("" for _ in columns), "")
            if left_out > 0 and STEPS <= place < len(steps) - STEPS:
                continue
            cells = [_cell(kept[key][step]) if key in kept else "" for key in columns]
            name = point.name + (str(list(step)) if step else "")
            yield (str(point.number), name, str(point.shape[len(step) :]), *cells, "" if place else point.note())

    def _title(self) -> str:
        through = (
            f"{counted(self.count, 'datum').replace('datums', 'data')} through {counted(len(self.points), 'point')}"
        )
        bad = f"; {self.nonfinite} with a NaN or Inf, left out of it" if self.nonfinite else ""
        return f"{through}, mean loss {number(self.loss)}{bad}"

    def __repr__(self) -> str:
        return "\n".join(text(table) for table in self.tables())

    def _repr_html_(self) -> str:
        return "".join(html(table) for table in self.tables())


def _loops(point: Point) -> tuple[int, ...]:
    return tuple(axis.length for axis in point.axes)


def _cell(value: Any) -> str:
    value = np.asarray(value)
    if value.ndim == 0:
        return number(value)
    if value.dtype == np.bool_:
        return f"{value.sum()} of {value.size}"
    return numbers(value, 3, 4)


def _first(datum: Datum) -> tuple[str, str]:
    return str(datum.index), number(datum.loss)


def _most(datum: Datum) -> str:
    """The three points of largest norm."""
    norms = {name: float(datum.norms[name]) for name in datum.norms.once()}
    largest = sorted(norms, key=lambda name: -np.nan_to_num(norms[name], nan=np.inf))[:3]
    return ", ".join(f"{name} {number(norms[name])}" for name in largest)


def _culprits(count: int) -> str:
    return (
        "No data" if not count else "The datum of largest loss" if count == 1 else f"The {count} data of largest loss"
    )


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise ImportError("`to_pandas` needs pandas; install jaxwalk with the extra `store`.") from error
    return pandas
