"""The table of a walk: its points as rows, with how large outputs and δ are, and what was found there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from .._errors import counted, listed
from .._health.places import names_at, notes_of
from .._jax.jaxpr.types import widened
from .._points.point import Point
from .._show.table import Table, is_readable, labelled, number
from ..stats import Units
from ..stats._unit_axes import not_taken
from .culprits import mean_of, sizes_of

if TYPE_CHECKING:
    from .result import Walk

SIZES = ("|output| mean", "|output| max", "|δ| mean", "|δ| max")
COLUMNS = ("point", "shape", "dtype", *SIZES, "health", "kept", "kinks", "note")


def table_of(walk: Walk) -> Table:
    """Return the table of a walk."""
    columns = ("X", *COLUMNS)
    rows = [(str(point.number), *row_of(walk, point)) for point in walk.points.values()]
    notes, words = [*not_taken(_units(walk)), *health_notes(walk), *kink_notes(walk)], ("kept", "note")
    right, lead, more = ("X", *SIZES), ("X", "point"), f"{listed(_holding(walk))} of the walk by name have each"
    return Table(title_of(walk), columns, rows, right, notes, (), lead, ("point",), words, more, True)


def row_of(walk: Walk, point: Point) -> tuple[str, ...]:
    """Return what a walk says of a point, a cell for each of COLUMNS."""
    output, delta, kept = (m.get(point.name) for m in (walk.outputs, walk.deltas, walk.kept))
    shape = getattr(output, "shape", point.shape)
    return (
        point.name, str(shape), str(point.dtype), *_sizes(output), *_sizes(delta),
        "" if walk.health is None else ", ".join(names_at(walk.health, point.name)),
        "" if kept is None else labelled(kept), "" if walk.kinks is None else walk.kinks.at(point.name).summary(),
        "; ".join(filter(None, [point.note(getattr(walk.value, "ndim", 0)), walk.points.also(point.name)])),
    )  # fmt: skip


def _units(walk: Walk) -> dict[str, tuple[Units, ...]]:
    return {name: point.units for name, point in walk.points.items()}


def health_notes(walk: Walk) -> Iterator[str]:
    """Yield what the column `health` does not say: nothing if no health was given."""
    if walk.health is not None:
        yield from notes_of(walk.health, walk.points, "Walk.health")


def kink_notes(walk: Walk) -> Iterator[str]:
    """Yield what the column `kinks` does not say: nothing if they were not asked for."""
    if walk.kinks is not None:
        more = f": {walk.kinks.consequence()}; see `Walk.kinks`." if walk.kinks else ""
        yield f"{walk.kinks.title()}{more}"
        if elsewhere := walk.kinks.beyond(walk.points).summary():
            yield f"At no point of this walk: {elsewhere}."
        yield from walk.kinks.notes


def _sizes(values: Any) -> tuple[str, str]:
    """Return mean and maximum of |values|, if they are numbers that can be read now."""
    if not is_readable(values) or values.size == 0 or values.dtype == jnp.bool_:
        return "", ""
    size = sizes_of(np.asarray(values))
    digits = min(4, jnp.finfo(values.dtype).precision) if jnp.issubdtype(values.dtype, jnp.inexact) else 4
    return number(mean_of(size), digits), number(size.max(), digits)


def title_of(walk: Walk) -> str:
    """Return what stands above the table of a walk."""
    through = f"through {counted(len(walk.points), 'point')}"
    if not is_readable(walk.value):
        return f"Walk {through}"
    if jnp.ndim(walk.value) == 0:
        return f"Walk {through}, loss {number(walk.value)}"
    mean = number(mean_of(np.asarray(walk.value).astype(widened(walk.value.dtype))))
    return f"{counted(walk.value.size, 'walk')} {through}, mean loss {mean}"


def _holding(walk: Walk) -> list[str]:
    """Return which of its mappings hold something."""
    return [name for name in ("points", "outputs", "deltas", "kept") if getattr(walk, name)]
