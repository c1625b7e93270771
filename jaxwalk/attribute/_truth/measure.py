"""`Measure`: a number of the scores of the inputs, and of those at each point."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from ..._errors import counted
from ..._points.ordered_mapping import Named
from ..._show.fit import tabular
from ..._show.table import Table, is_readable, number, numbers

_SAID = {True: "yes", False: "no", None: "not told"}


@tabular
@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Measure:
    """How far the scores of an attribution are true, by one measure. A pytree.

    Attributes:
        measure: its name.
        method: that of the attribution.
        inputs: the number of the inputs' scores; None where there are none.
        by_point: by point name in forward order, that of the scores there.
        change: of `completeness`, fun(inputs) − fun(baseline), or what scores are of patching add up to; else None.
        through: of `completeness`, by point name whether all that the result has of the inputs goes through the value
            there; None where that is not told. Else empty.
    """

    measure: str
    method: str
    inputs: Any
    by_point: Named
    change: Any = None
    through: Mapping[str, bool | None] = dataclasses.field(default_factory=dict)

    def _table(self) -> Table:
        rows = [(name, _told(found), self._through(name)) for name, found in self.by_point.items()]
        columns = ("point", self.measure, "all goes through")
        more = "`by_point` has each"
        return Table(
            self._title(), columns, rows, (self.measure,), self._notes(), (), ("point",), ("point",), more=more
        )

    def _through(self, name: str) -> str:
        return _SAID[self.through[name]] if name in self.through else ""

    def _title(self) -> str:
        said = f"{self.measure} of {self.method} at {counted(len(self.by_point), 'point')}"
        if self.inputs is not None and is_readable(self.inputs):
            said += f"; of the inputs {_told(self.inputs)}"
        if self.change is not None and is_readable(self.change):
            said += f"; the result changes by {_told(self.change)}"
        return said

    def _notes(self) -> list[str]:
        found = [x for x in jax.tree.leaves((self.inputs, self.by_point)) if is_readable(x)]
        none = any(np.isnan(np.asarray(x, np.float64)).any() for x in found)
        why = {
            "infidelity": "NaN: no sample moved anything there, or a number is NaN.",
            "sensitivity": "NaN: the scores are zeros, so that no change is relative to them, or a number is NaN.",
        }
        return [why[self.measure]] if none and self.measure in why else []


def _told(found: Any) -> str:
    if not is_readable(found):
        return ""
    return number(found) if np.ndim(found) == 0 else numbers(found)


jax.tree_util.register_pytree_with_keys(
    Measure,
    lambda m: (
        [(jax.tree_util.GetAttrKey(name), getattr(m, name)) for name in ("inputs", "by_point", "change")],
        (m.measure, m.method, tuple(m.through.items())),
    ),
    lambda aux, children: Measure(aux[0], aux[1], *children, through=dict(aux[2])),
)
