"""The axes along which a point has its units, such as channels."""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import ArgumentError, shown
from ._statistic import Statistic, _check

# Units --------------------------------------------------------------------------------------------------


def with_units(statistic: Statistic, axis: int | Sequence[int] | None = None) -> Statistic:
    """Return the same statistic with other units than the positions on the last axis.

    Arguments:
        statistic: one with results per unit, as `moments`, `dead`, `blocked`.
        axis: the axis, or axes, of the value at the point whose positions are the units, of a scan's value without
            the scan's axis, of a datum's without the batch's. None: every entry is a unit. (): the whole value is one.

    Returns:
        Statistic: results per unit are vectors; those of several axes run in row-major order, the last axis fastest,
            and are reshaped by the sizes of these axes, in the order given.

    Raises:
        ArgumentError: `statistic` is none, or `axis` no number of an axis; (when it sees a value) the value has no
            such axis.

    >>> import jax.numpy as jnp
    >>> from jaxwalk import stats
    >>> x = jnp.array([[0.0, 1.0], [0.0, 0.0]])
    >>> stats.dead(x, x)["dead"], stats.with_units(stats.dead, 0)(x, x)["dead"]
    (Array([ True, False], dtype=bool), Array([False,  True], dtype=bool))
    >>> stats.with_units(stats.dead)(x, x)["dead"].reshape(x.shape)
    Array([[ True, False],
           [ True,  True]], dtype=bool)
    """
    _check(statistic)
    axes = _numbers(axis)
    of = lambda output, delta: statistic.of(_units_last(output, axes), _units_last(delta, axes))
    parts = tuple(with_units(part, axis) for part in statistic.parts)
    return dataclasses.replace(statistic, of=of, parts=parts)


def _numbers(axis: Any) -> tuple[int, ...] | None:
    try:
        return axis if axis is None else tuple(map(operator.index, axis if np.iterable(axis) else [axis]))
    except TypeError:
        fix = "give the number of an axis, a tuple of them, or None for every entry"
        raise ArgumentError(f"`axis` is {shown(axis)}; {fix}.") from None


def _units_last(x: Any, chosen: tuple[int, ...] | None) -> jax.Array:
    """Return `x` with the axes of the units as one, behind the others."""
    x = jnp.asarray(x)
    axes = tuple(range(x.ndim)) if chosen is None else chosen
    if not all(-x.ndim <= i < x.ndim for i in axes) or len({i % x.ndim for i in axes}) < len(axes):
        said = ", ".join(map(str, axes))
        raise ArgumentError(f"`axis` is {said}, but the value has the shape {x.shape}; name axes of it, each once.")
    axes = [i % x.ndim for i in axes]
    others = [i for i in range(x.ndim) if i not in axes]
    shape = [x.shape[i] for i in others] + [math.prod(x.shape[i] for i in axes)]
    return x.transpose(others + axes).reshape(shape)
