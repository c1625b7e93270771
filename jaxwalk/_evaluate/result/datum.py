"""The data most to blame: rows of loss and norms, and their table."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..._optional import pandas
from ..._points.ordered_mapping import Named
from ..._show.fit import as_lines, tabular
from ..._show.table import Table, number

NORMS = 6  # points whose norms have columns of their own


@dataclasses.dataclass(frozen=True, eq=False)
class Datum:
    """A datum that is to blame.

    Attributes:
        index: which datum, in the order in which they came, from 0.
        loss: of it.
        norms: the ℓ2 norm of its δ, by point, in forward order.
        inputs: "NaN" or "Inf" if there is one among its own numbers, before anything is computed of them; else "".
    """

    index: int
    loss: float
    norms: Named
    inputs: str = ""

    def __repr__(self) -> str:
        shown = [f"{name!r}: {number(norm)}" for name, norm in itertools.islice(self.norms.items(), NORMS)]
        more = [f"… {len(self.norms) - NORMS} more"] * (len(self.norms) > NORMS)
        came = f", inputs={self.inputs!r}" if self.inputs else ""
        norms = ", ".join(shown + more)
        return as_lines(f"Datum(index={self.index}, loss={number(self.loss)}, norms={{{norms}}}{came})")


@tabular
class Data(tuple[Datum, ...]):
    """Data of largest loss, largest first, those with a NaN or Inf before all; shows itself as a table."""

    def to_pandas(self) -> Any:
        """Return a `pandas.DataFrame`: index, loss, and a column of norms for each point.

        Raises:
            ImportError: pandas is not installed; it comes with the extra `store`.
        """
        columns: dict[str, list[Any]] = {"index": [d.index for d in self], "loss": [d.loss for d in self]}
        names = list(self[0].norms) if self else []
        norms = {f"delta_l2/{name}": [float(d.norms[name]) for d in self] for name in names}
        return pandas().DataFrame(columns | norms)

    def _table(self) -> Table:
        names = list(self[0].norms.once()) if self else []
        if len(names) <= NORMS:
            columns = [f"‖δ‖ {name}" for name in names]
            rows = [(*_first(d), *(number(d.norms[name]) for name in names), _came(d)) for d in self]
        else:
            columns = ["largest ‖δ‖"]
            rows = [(*_first(d), largest_norms(d), _came(d)) for d in self]
        right = ("datum", "loss", *(columns if len(names) <= NORMS else ()))
        columns, words, more = ("datum", "loss", *columns, "note"), ("largest ‖δ‖", "note"), "`to_pandas()` has all"
        notes = same_norms(row[2] for row in rows)
        return Table(_culprits(len(self)), columns, rows, right, notes, lead=("datum", "loss"), words=words, more=more)


def _first(datum: Datum) -> tuple[str, str]:
    return str(datum.index), number(datum.loss)


def _came(datum: Datum) -> str:
    return f"{datum.inputs} in its inputs" if datum.inputs else ""


def largest_norms(datum: Datum) -> str:
    """Return the three largest norms, each after the names of its points: a value may have been tagged twice."""
    names: dict[float, list[str]] = {}
    for name in datum.norms.once():
        norm = float(datum.norms[name])
        names.setdefault(np.inf if np.isnan(norm) else norm, []).append(name)
    several = lambda same: " = ".join(same[:2]) + " = …" * (len(same) > 2)
    largest = sorted((item for item in names.items() if item[0] or len(names) == 1), reverse=True)[:3]
    return ", ".join(f"{several(same)} {number(datum.norms[same[0]])}" for _, same in largest)


def same_norms(cells: Iterable[str]) -> list[str]:
    """Return a note on what `largest_norms` joins by " = ", if it does."""
    return ["“a = b”: the norms of δ at `a` and at `b` are equal."] * any(" = " in cell for cell in cells)


def _culprits(count: int) -> str:
    return (
        "No data" if not count else "The datum of largest loss" if count == 1 else f"The {count} data of largest loss"
    )
