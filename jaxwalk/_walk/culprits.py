"""The entries of a walk that are most to blame."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from jax.core import Tracer

from .._errors import ArgumentError, counted
from .._jax.jaxpr.types import widened
from .._points.ordered_mapping import Named
from .._show.fit import tabular
from .._show.table import Table, number


@dataclasses.dataclass(frozen=True)
class Culprit:
    """One entry of one value: where it is, δ there, and the value there.

    `index` counts from 0; the axes of `vmap`, then of scans, come first.
    """

    point: str
    index: tuple[int, ...]
    delta: Any
    value: Any


@tabular
class Culprits(list[Culprit]):
    """A list of `Culprit`, largest |δ| first, that shows itself as a table."""

    def _table(self) -> Table:
        rows = [(c.point, str(list(c.index)) if c.index else "", number(c.value), number(c.delta)) for c in self]
        title, columns, lead = counted(len(self), "culprit"), ("point", "index", "value", "δ"), ("point",)
        more = "the list has each"
        return Table(title, columns, rows, right=("value", "δ"), lead=lead, paths=lead, more=more)


def most_of(deltas: Named, outputs: Mapping[str, Any], k: int) -> Culprits:
    """Return the k entries of largest |δ| over all points, largest first; of equal ones, in forward order."""
    found = [each for name in deltas.once() for each in _largest(name, deltas[name], outputs[name], k)]
    return Culprits([culprit for _, culprit in sorted(found, key=lambda each: -each[0])][:k])


def _largest(name: str, delta: Any, output: Any, k: int) -> list[tuple[float, Culprit]]:
    """Return the k entries of largest |δ| at a point, with that size; of equal ones, the first."""
    delta, output = concrete(delta, "culprits"), concrete(output, "culprits")
    size = sizes_of(delta).ravel()
    size = np.where(np.isnan(size), np.inf, size)
    edge = np.partition(size, -k)[-k] if size.size > k else -np.inf
    among = np.concatenate([np.flatnonzero(size > edge), np.flatnonzero(size == edge)])[:k]
    found = []
    for flat in among[np.argsort(-size[among], kind="stable")]:
        index = tuple(int(i) for i in np.unravel_index(flat, delta.shape))
        found.append((float(size[flat]), Culprit(name, index, delta[index], output[index])))
    return found


def concrete(values: Any, method: str) -> np.ndarray:
    if isinstance(values, Tracer):
        raise ArgumentError(f"`Walk.{method}` needs numbers, and the walk is being traced; return it from `jit` first.")
    return np.asarray(values)


def mean_of(values: np.ndarray) -> np.floating:
    """Return the mean, also where the sum is too large for the dtype."""
    return np.sum(values / max(values.size, 1), dtype=np.float64)


def sizes_of(values: np.ndarray) -> np.ndarray:
    """Return |values|, wide enough to compare and to sum."""
    return np.abs(values.astype(widened(values.dtype)))
