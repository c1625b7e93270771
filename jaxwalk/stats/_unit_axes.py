"""The axes along which a point has its units, such as channels."""

from __future__ import annotations

import dataclasses
import functools
import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import ArgumentError, shown
from ._statistic import Of, Statistic, Units, Value, _check, union

# Units --------------------------------------------------------------------------------------------------


def with_units(statistic: Statistic, axis: int | Sequence[int] | None = None) -> Statistic:
    """Return the same statistic with units of one's own choice.

    Arguments:
        statistic: one with results per unit, as `moments`, `dead`, `blocked`.
        axis: the axis, or axes, of the value at the point whose positions are the units, of a scan's value without
            the scan's axis, of a datum's without the batch's. None: every entry is a unit. (): the whole value is one.

    Returns:
        Statistic: results per unit are vectors; those of several axes run in row-major order, the last axis fastest,
            and are reshaped by the sizes of these axes, in the order given.

    Raises:
        ArgumentError: `statistic` is none, or `axis` no number of an axis; (when it sees a value) the value has no
            such axis. In a walk or an evaluation points without it are left out, unless none is left.

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
    parts = tuple(with_units(part, axis) for part in statistic.parts)

    def at(value: Value) -> tuple[Of, Units | None] | None:
        try:
            chosen = _axes_of(value.shape, axes)
        except ArgumentError:
            raise ArgumentError(f"it has no {_said(axes or ())}") from None
        return (statistic.at or functools.partial(taken, statistic.of))(value._replace(axes=chosen))

    return dataclasses.replace(statistic, of=_with_units_last(statistic.of, axes), parts=parts, at=at)


def of_units(statistic: Statistic) -> Statistic:
    """Return the same statistic, which at a point is taken of the units that the value has there."""
    return dataclasses.replace(statistic, at=functools.partial(taken, statistic.of))


def taken(of: Of, value: Value, note: str = "") -> tuple[Of, Units]:
    """Return the `of` of a statistic of the units that the value has, and these."""
    if value.axes is None:
        raise ArgumentError("nothing tells the axis of its units")
    return _with_units_last(of, value.axes), Units("", value.shape, value.axes, note)


def _with_units_last(of: Of, axes: tuple[int, ...] | None) -> Of:
    return lambda output, delta: of(_units_last(output, axes), _units_last(delta, axes))


def _numbers(axis: Any) -> tuple[int, ...] | None:
    try:
        return axis if axis is None else tuple(map(operator.index, axis if np.iterable(axis) else [axis]))
    except TypeError:
        fix = "give the number of an axis, a tuple of them, or None for every entry"
        raise ArgumentError(f"`axis` is {shown(axis)}; {fix}.") from None


def _said(axes: Sequence[int]) -> str:
    return ("axis " if len(axes) == 1 else "axes ") + ", ".join(map(str, axes))


def _axes_of(shape: tuple[int, ...], chosen: tuple[int, ...] | None) -> tuple[int, ...]:
    rank = len(shape)
    axes = tuple(range(rank)) if chosen is None else chosen
    if not all(-rank <= i < rank for i in axes) or len({i % rank for i in axes}) < len(axes):
        said = ", ".join(map(str, axes))
        raise ArgumentError(f"`axis` is {said}, but the value has the shape {shape}; name axes of it, each once.")
    return tuple(i % rank for i in axes)


def _units_last(x: Any, chosen: tuple[int, ...] | None) -> jax.Array:
    """Return `x` with the axes of the units as one, behind the others."""
    x = jnp.asarray(x)
    axes = _axes_of(x.shape, chosen)
    others = [i for i in range(x.ndim) if i not in axes]
    shape = [x.shape[i] for i in others] + [math.prod(x.shape[i] for i in axes)]
    return x.transpose(*others, *axes).reshape(shape)


# At points ----------------------------------------------------------------------------------------------


def depends_on_point(statistic: Statistic) -> bool:
    """Tell whether it may be taken differently at different points."""
    return statistic.at is not None or any(map(depends_on_point, statistic.parts))


def at_points(
    statistic: Statistic, values: Mapping[str, Value]
) -> tuple[dict[str, Statistic], dict[str, tuple[Units, ...]]]:
    """Return, by point, the statistic as it is taken there, if it can be; and which units it has.

    At values that are alike it is the same object. Of a union, those parts are taken that can be.

    Raises:
        ArgumentError: it can be taken at none of the points.
    """
    alike: dict[Value, tuple[Statistic | None, tuple[Units, ...]]] = {}
    for value in values.values():
        if (key := value._replace(activated=None)) not in alike:
            alike[key] = _at(statistic, value)
    found = {name: alike[value._replace(activated=None)] for name, value in values.items()}
    possible = {name: one for name, (one, _) in found.items() if one is not None}
    units = {name: units for name, (_, units) in found.items()}
    if not possible:
        raise ArgumentError(f"`keep` can be taken at no point: {' '.join(not_taken(units))}")
    return possible, units


def _at(statistic: Statistic, value: Value) -> tuple[Statistic | None, tuple[Units, ...]]:
    if statistic.parts:
        each = [_at(part, value) for part in statistic.parts]
        units = tuple(one for _, many in each for one in many)
        if len({one._replace(statistic="") for one in units}) == 1 and len(units) == len(each):
            units = (units[0]._replace(statistic=statistic.name),)
        possible = [part for part, _ in each if part is not None]
        return (union(statistic.name, possible) if possible else None), units
    if statistic.at is None:
        return statistic, ()
    try:
        found = statistic.at(value)
    except ArgumentError as error:
        return None, (Units(statistic.name, value.shape, None, str(error)),)
    if found is None:
        return None, ()
    of, units = found
    told = () if units is None else (units._replace(statistic=statistic.name),)
    return dataclasses.replace(statistic, of=of, at=None), told


def units_told(units: Sequence[Units]) -> list[str]:
    """Return in a few words which units a statistic has, and of several that differ whose they are."""
    if len({one._replace(statistic="") for one in units}) <= 1:
        return [str(one) for one in units[:1]]
    return [str(one) if one.axes is None else f"{one.statistic}: {one}" for one in units]


def not_taken(units: Mapping[str, Sequence[Units]]) -> list[str]:
    """Return sentences on where a statistic is not taken, why, and what to do."""
    names: dict[tuple[str, str], list[str]] = {}
    for name, each in units.items():
        for one in each:
            if one.axes is None:
                names.setdefault((one.statistic, one.note), []).append(f"`{name}` {one.shape}")
    fix = "choose an axis by `jw.stats.with_units`"
    return [f"No `{of}` at {_first(where)}: {note}; {fix}." for (of, note), where in names.items()]


def _first(names: Sequence[str], limit: int = 6) -> str:
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
