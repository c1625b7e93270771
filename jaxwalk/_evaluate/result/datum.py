"""The data most to blame: rows of loss and norms, and their table."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ..._optional import pandas
from ..._points.ordered_mapping import Named
from ..._points.point import Points
from ..._rewrite.tap import loops
from ..._show.fit import as_lines, tabular
from ..._show.table import Table, number

NORMS = 6  # points whose norms have columns of their own


@dataclasses.dataclass(frozen=True, eq=False)
class Datum:
    """A datum that is to blame.

    Attributes:
        index: which datum, in the order in which they came, from 0.
        loss: of it; with a method of attribution the result that is explained.
        norms: the ℓ2 norm of its δ, by point, in forward order; of a method of attribution none.
        inputs: "NaN" or "Inf" if there is one among its own numbers, before anything is computed of them; else "".
        totals: with a method of attribution, the sum of its scores by point, in forward order; else None.
        summed: the points in loops: with a method, the total of each is that of all its steps together.
    """

    index: int
    loss: float
    norms: Named
    inputs: str = ""
    totals: Named | None = None
    summed: tuple[str, ...] = ()

    @property
    def numbers(self) -> Named:
        """What there is by point: the norms, or the totals."""
        return self.norms if self.totals is None else self.totals

    def __repr__(self) -> str:
        numbers, what = self.numbers, "norms" if self.totals is None else "totals"
        shown = [f"{name!r}: {number(value)}" for name, value in itertools.islice(numbers.items(), NORMS)]
        more = [f"… {len(numbers) - NORMS} more"] * (len(numbers) > NORMS)
        came = f", inputs={self.inputs!r}" if self.inputs else ""
        by_name = ", ".join(shown + more)
        return as_lines(f"Datum(index={self.index}, loss={number(self.loss)}, {what}={{{by_name}}}{came})")


def datum_of(method: str | None, points: Points) -> Callable[[int, float, Named, str], Datum]:
    """Return (index, loss, numbers by point, inputs) -> Datum: these are norms, or totals of a method."""
    if method is None:
        return Datum
    none = Named({}, {"*": f"Of `{method}` there are `totals`, of scores."})
    in_loops = lambda totals: tuple(name for name in totals if math.prod(loops(points[name])) > 1)
    return lambda index, loss, totals, inputs: Datum(index, loss, none, inputs, totals, in_loops(totals))


@tabular
class Data(tuple[Datum, ...]):
    """Data of largest loss, or with a method of attribution of largest result, largest first, those with a NaN or Inf
    before all; shows itself as a table."""

    def to_pandas(self) -> Any:
        """Return a `pandas.DataFrame`: index, loss, and a column of norms, or totals, for each point.

        Raises:
            ImportError: pandas is not installed; it comes with the extra `store`.
        """
        columns: dict[str, list[Any]] = {"index": [d.index for d in self], "loss": [d.loss for d in self]}
        names, prefix = (list(self[0].numbers), "delta_l2" if self[0].totals is None else "total") if self else ([], "")
        numbers = {f"{prefix}/{name}": [float(d.numbers[name]) for d in self] for name in names}
        return pandas().DataFrame(columns | numbers)

    def _table(self) -> Table:
        names = list(self[0].numbers.once()) if self else []
        is_attributed = bool(self) and self[0].totals is not None
        what, value = ("total", "result") if is_attributed else ("‖δ‖", "loss")
        if len(names) <= NORMS:
            columns = [f"{what} {name}" for name in names]
            rows = [(*_first(d), *(number(d.numbers[name]) for name in names), _came(d)) for d in self]
        else:
            columns = [f"largest {what}"]
            rows = [(*_first(d), largest_norms(d), _came(d)) for d in self]
        lead, words, more = ("datum", value), (f"largest {what}", "note"), "`to_pandas()` has all"
        numbers = columns if len(names) <= NORMS else ()
        notes = same_norms((row[2] for row in rows), "shown totals" if is_attributed else "norms of δ")
        notes += [_of_all_steps(self[0].summed)] if is_attributed and self[0].summed else []
        columns = (*lead, *columns, "note")
        title, right = _culprits(len(self), value), (*lead, *numbers)
        return Table(title, columns, rows, right, notes, lead=lead, words=words, more=more, folds=numbers)


def _first(datum: Datum) -> tuple[str, str]:
    return str(datum.index), number(datum.loss)


def _came(datum: Datum) -> str:
    return f"{datum.inputs} in its inputs" if datum.inputs else ""


def largest_norms(datum: Datum) -> str:
    """Return the three largest norms, or totals, each after the names of its points: a value may have been tagged
    twice, and where a method adds up, the totals of all layers are the result, but for rounding."""
    names: dict[float, list[str]] = {}
    numbers = datum.numbers
    for name in numbers.once():
        value = float(numbers[name])
        same = value if datum.totals is None or not np.isfinite(value) else float(number(value))
        names.setdefault(np.inf if np.isnan(value) else same, []).append(name)
    several = lambda same: " = ".join(same[:2]) + " = …" * (len(same) > 2)
    found = (item for item in names.items() if item[0] or len(names) == 1)
    largest = sorted(found, key=lambda item: (abs(item[0]), item[1]), reverse=True)[:3]
    return ", ".join(f"{several(same)} {number(numbers[same[0]])}" for _, same in largest)


def same_norms(cells: Iterable[str], what: str = "norms of δ") -> list[str]:
    """Return a note on what `largest_norms` joins by " = ", if it does."""
    return [f"“a = b”: the {what} at `a` and at `b` are equal."] * any(" = " in cell for cell in cells)


def _of_all_steps(names: Sequence[str]) -> str:
    return f"The total of a point in a loop, as `{names[0]}`, is that of all its steps together."


def _culprits(count: int, value: str) -> str:
    if not count:
        return "No data"
    return f"The datum of largest {value}" if count == 1 else f"The {count} data of largest {value}"
