"""Where a NaN or an Inf is first met in a walk."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._points.ordered_mapping import Named
from .._points.point import Point, Points
from .culprits import concrete, sizes_of


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


def first_nonfinite(outputs: Named, value: Any, deltas: Named, grads: Any, points: Points) -> Nonfinite | None:
    """Return the first bad entry: of the outputs in the order of the run, the loss, the deltas from the loss backward,
    the gradients."""
    first = functools.partial(_first_at_points, points=points, lead=jnp.ndim(value))
    return (
        first(outputs, array="output", extreme=min)
        or _first_in(value, "loss")
        or first(deltas, array="delta", extreme=max)
        or _first_in(grads, "grads")
    )


def _first_at_points(arrays: Named, points: Points, array: str, lead: int, extreme: Callable) -> Nonfinite | None:
    """Return the bad entry whose time is extreme: `min` for the first of a forward pass, `max` of a backward pass.

    `lead` axes are before those of the loops.
    """
    found = []
    for name, values in arrays.items():
        if jnp.issubdtype(values.dtype, jnp.inexact):
            values = concrete(values, "first_nonfinite")
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


def _first_in(tree: Any, array: str) -> Nonfinite | None:
    """Return the first bad entry of the loss or the gradients, which are at no point."""
    for values in jax.tree.leaves(tree):
        values = concrete(values, "first_nonfinite")
        if (bad := ~np.isfinite(sizes_of(values))).any():
            index = _first_of(bad)
            return Nonfinite(None, array, index, values[index])
    return None
