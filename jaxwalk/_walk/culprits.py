"""What is found in a walk: the culprits, and where a NaN or an Inf is first met."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from .._errors import ArgumentError, counted
from .._jax.types import widened
from .._show.table import Table, html, number, text


@dataclasses.dataclass(frozen=True)
class Culprit:
    """One entry of one value: where it is, δ there, and the value there.

    `index` counts from 0; the axes of `vmap`, then of scans, come first.
    """

    point: str
    index: tuple[int, ...]
    delta: Any
    value: Any


class Culprits(list[Culprit]):
    """A list of `Culprit`, largest |δ| first, that shows itself as a table."""

    def _table(self) -> Table:
        rows = [(c.point, str(list(c.index)) if c.index else "", number(c.value), number(c.delta)) for c in self]
        return Table(counted(len(self), "culprit"), ("point", "index", "value", "δ"), rows, right=("value", "δ"))

    def __repr__(self) -> str:
        return text(self._table())

    def _repr_html_(self) -> str:
        return html(self._table())


@dataclasses.dataclass(frozen=True)
class Nonfinite:
    """Where a NaN or an Inf is first met.

    `point` is its name; None in the loss and in the gradients. `array` is "output", "loss", "delta" or "grads". `index`
    counts from 0; the axes of `vmap`, then of scans, come first.
    """

    point: str | None
    array: str
    index: tuple[int, ...]
    value: Any


def concrete(values: Any, method: str) -> np.ndarray:
    if isinstance(values, Tracer):
        raise ArgumentError(f"`Walk.{method}` needs numbers, and the walk is being traced; return it from `jit` first.")
    return np.asarray(values)


def anywhere(tree: Any, array: str) -> Nonfinite | None:
    """The first bad entry of the loss or the gradients, which are at no point."""
    for values in jax.tree.leaves(tree):
        values = concrete(values, "first_nonfinite")
        if (bad := ~np.isfinite(sizes_of(values))).any():
            index = tuple(map(int, np.argwhere(bad)[0]))
            return Nonfinite(None, array, index, values[index])
    return None


def mean_of(values: np.ndarray) -> np.floating:
    """Their mean, also where their sum is too large for their dtype."""
    return np.sum(values / max(values.size, 1), dtype=np.float64)


def sizes_of(values: np.ndarray) -> np.ndarray:
    """|values|, wide enough to compare and to sum."""
    return np.abs(values.astype(widened(values.dtype)))
