"""The units of the value at a point, such as its channels, and what a `keep` is where these matter."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from .._jax.feature_axes import Axes, feature_axes
from .._jax.jaxpr.jaxprs import Closed
from ..stats import Statistic, Value
from ..stats._unit_axes import at_points, depends_on_point
from .activations import Activations
from .point import Point, Points, of_same_function

Keep: TypeAlias = Callable[[Any, Any], Any]


def keep_at(
    closed: Closed, points: Points, keep: Keep | None, is_parameter: Sequence[bool] | None = None
) -> tuple[Points, Keep | Mapping[str, Keep] | None]:
    """Return the points, with the units that a statistic has there; and `keep`, by point if it differs among them.

    Arguments:
        closed: the traced function.
        keep: as of `walk`; whatever is no statistic of units is left as it is.
        is_parameter: as of `feature_axes`.

    Raises:
        ArgumentError: it can be taken at none of the points.
    """
    felt = [p for p in points.values() if p.has_delta]
    if not (isinstance(keep, Statistic) and felt and depends_on_point(keep)):
        return points, keep
    axes, activations = feature_axes(closed, is_parameter), Activations(closed)
    values = {p.name: _value(p, axes[p.site.calls, p.site.equation][p.site.result or 0], activations) for p in felt}
    each, units = at_points(keep, values)
    told = (dataclasses.replace(p, units=units.get(p.name, ())) for p in points.values())
    return of_same_function(points, told), each


def _value(point: Point, found: Axes, activations: Activations) -> Value:
    shape = point.shape[len(point.axes) :]
    made_by, read_by = activations.making(point), activations.reading(point)
    axes = _axes(len(shape), found)
    if made_by or read_by is None:
        return Value(shape, axes, made_by=made_by)
    return Value(shape, axes, read_by.name, activated=read_by.apply, program=read_by.program)


def _axes(rank: int, found: Axes) -> tuple[int, ...] | None:
    """Return the axes of the units. Of two axes of which nothing was ever known the last is, by convention."""
    if rank <= 1:
        return tuple(range(rank))
    if found is None and rank == 2:
        return (1,)
    return tuple(sorted(found)) if found else None
