"""What is found in a walk: the culprits, and where a NaN or an Inf is first met."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._errors import ArgumentError, counted
from .._jax.types import widened
from .._points.named import Named
from .._points.point import Point, Points
from .._show.table import Table, number, tabular


@dataclasses.dataclass(frozen=True)
class Culprit:
    """One entry of one value: where it is, δ there, and the value there.

    `index` counts from 0; the axes of `vmap`, then of scans, come first.
    """

    __module__ = "jaxwalk"
    point: str
    index: tuple[int, ...]
    delta: Any
    value: Any


@tabular
class Culprits(list[Culprit]):
    """A list of `Culprit`, largest |δ| first, that shows itself as a table."""

    __module__ = "jaxwalk"

    def _table(self) -> Table:
        rows = [(c.point, str(list(c.index)) if c.index else "", number(c.value), number(c.delta)) for c in self]
        return Table(counted(len(self), "culprit"), ("point", "index", "value", "δ"), rows, right=("value", "δ"))


@dataclasses.dataclass(frozen=True)
class Nonfinite:
    """Where a NaN or an Inf is first met.

    `point` is its name; None in the loss and in the gradients. `array` is "output", "loss", "delta" or "grads". `index`
    counts from 0; the axes of `vmap`, then of scans, come first.
    """

    __module__ = "jaxwalk"
    point: str | None
    array: str
    index: tuple[int, ...]
    value: Any


def largest(name: str, delta: Any, output: Any, k: int) -> list[tuple[float, Culprit]]:
    """Return the k entries of largest |δ| at a point, with that size; of equal ones, the first."""
    delta, output = _concrete(delta, "culprits"), _concrete(output, "culprits")
    size = sizes_of(delta).ravel()
    size = np.where(np.isnan(size), np.inf, size)
    edge = np.partition(size, -k)[-k] if size.size > k else -np.inf
    among = np.concatenate([np.flatnonzero(size > edge), np.flatnonzero(size == edge)])[:k]
    found = []
    for flat in among[np.argsort(-size[among], kind="stable")]:
        index = tuple(int(i) for i in np.unravel_index(flat, delta.shape))
        found.append((float(size[flat]), Culprit(name, index, delta[index], output[index])))
    return found


def first_nonfinite(arrays: Named, points: Points, array: str, lead: int, extreme: Callable) -> Nonfinite | None:
    """Return the bad entry whose time is extreme: `min` for the first of a forward pass, `max` of a backward pass.

    `lead` axes are before those of the loops.
    """
    found = []
    for name, values in arrays.items():
        if jnp.issubdtype(values.dtype, jnp.inexact):
            values = _concrete(values, "first_nonfinite")
            if (bad := ~np.isfinite(sizes_of(values))).any():
                steps, index = _extreme_step(bad, points[name], lead, extreme)
                found.append((points[name].time(steps), Nonfinite(name, array, index, values[index])))
    return extreme(found, key=lambda f: f[0])[1] if found else None


def _extreme_step(bad: np.ndarray, point: Point, lead: int, extreme: Callable) -> tuple[tuple, tuple]:
    """Return, of the steps of the loops around a point with a bad entry, the extreme one; and its first bad entry."""
    others = tuple(i for i in range(bad.ndim) if not lead <= i < lead + len(point.axes))
    steps = extreme((tuple(map(int, s)) for s in np.argwhere(bad.any(others))), key=point.time)
    first = _first_of(bad[(slice(None),) * lead + steps])
    return steps, (*first[:lead], *steps, *first[lead:])


def _first_of(bad: np.ndarray) -> tuple[int, ...]:
    return tuple(map(int, np.argwhere(bad)[0]))


def anywhere(tree: Any, array: str) -> Nonfinite | None:
    """Return the first bad entry of the loss or the gradients, which are at no point."""
    for values in jax.tree.leaves(tree):
        values = _concrete(values, "first_nonfinite")
        if (bad := ~np.isfinite(sizes_of(values))).any():
            index = _first_of(bad)
            return Nonfinite(None, array, index, values[index])
    return None


def _concrete(values: Any, method: str) -> np.ndarray:
    if isinstance(values, Tracer):
        raise ArgumentError(f"`Walk.{method}` needs numbers, and the walk is being traced; return it from `jit` first.")
    return np.asarray(values)


def mean_of(values: np.ndarray) -> np.floating:
    """Return the mean, also where the sum is too large for the dtype."""
    return np.sum(values / max(values.size, 1), dtype=np.float64)


def sizes_of(values: np.ndarray) -> np.ndarray:
    """Return |values|, wide enough to compare and to sum."""
    return np.abs(values.astype(widened(values.dtype)))
