"""The data most to blame: rows of loss and norms, and their table."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np

from ..._optional import pandas
from ..._points.ordered_mapping import Named
from ..._show.table import Table, fitted, html, number, text

NORMS = 6  # points whose norms have columns of their own


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

    def __repr__(self) -> str:
        shown = [f"{name!r}: {number(norm)}" for name, norm in itertools.islice(self.norms.items(), NORMS)]
        more = [f"… {len(self.norms) - NORMS} more"] * (len(self.norms) > NORMS)
        return f"Datum(index={self.index}, loss={number(self.loss)}, norms={{{', '.join(shown + more)}}})"


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
            rows = [(*_first(d), *(number(d.norms[name]) for name in names)) for d in self]
        else:
            columns = ["largest ‖δ‖"]
            rows = [(*_first(d), largest_norms(d)) for d in self]
        right = ("datum", "loss", *(columns if len(names) <= NORMS else ()))
        return Table(_culprits(len(self)), ("datum", "loss", *columns), rows, right)

    def __repr__(self) -> str:
        return "\n".join(map(text, fitted(self._table(), ("datum", "loss"))))

    def _repr_html_(self) -> str:
        return html(self._table())


def _first(datum: Datum) -> tuple[str, str]:
    return str(datum.index), number(datum.loss)


def largest_norms(datum: Datum) -> str:
    """Return the three points of largest norm, and the norms."""
    norms = {name: float(datum.norms[name]) for name in datum.norms.once()}
    largest = sorted(norms, key=lambda name: -np.nan_to_num(norms[name], nan=np.inf))[:3]
    return ", ".join(f"{name} {number(norms[name])}" for name in largest)


def _culprits(count: int) -> str:
    return (
        "No data" if not count else "The datum of largest loss" if count == 1 else f"The {count} data of largest loss"
    )
