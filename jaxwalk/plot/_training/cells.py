"""The numbers of a history as cells, a row for each point and each step of a loop, a column for each training step."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..._errors import ArgumentError, PointError, argument, counted, listed, shown
from ..._learn.history import History
from ..._points.point import Point, Points
from ..._rewrite.tap import loops
from ..._show.table import is_readable

ABSENT = (
    -1.0
)  # of what is not known; a NaN or an Inf is +inf, so that the largest of several cells is what matters most
SIDES = {"delta": "δ", "output": "output"}
SIZES = {"rms": "root mean square", "l2": "ℓ2 norm", "max": "largest magnitude"}  # the best first
COUNTS = ("nan", "inf", "nonfinite_data")  # of what a size leaves out


class Cells(NamedTuple):
    """What is drawn of one point.

    Attributes:
        values: (steps, rows): magnitudes; +inf where there is a NaN or an Inf, ABSENT where nothing is known.
    """

    point: Point
    values: np.ndarray


def result_of(history: History, of: str) -> str:
    """Return which of the results that were kept is drawn: of "delta" and "output" the best of their sizes.

    Raises:
        ArgumentError: `of` is none of these, and no result by name.
        PointError: nothing is known of that size.
    """
    known = list(dict.fromkeys(key for kept in history.kept.values() if isinstance(kept, Mapping) for key in kept))
    if of in SIDES:
        found = [f"{of}_{size}" for size in SIZES if f"{of}_{size}" in known]
        if not found:
            raise PointError(
                f"What was kept tells no size of {SIDES[of]}; watch with `keep=jw.stats.health`, or with `norms`."
            )
        return found[0]
    if of not in known:
        names = listed([*SIDES, *known], 16)
        raise ArgumentError(f"`{argument('of')}` is {shown(of)}, of which nothing was kept; give one of {names}.")
    return of


def words_of(result: str) -> str:
    """Return what a result is called in a picture."""
    side, _, size = result.partition("_")
    return f"{SIZES[size]} of {SIDES[side]}" if side in SIDES and size in SIZES else f"|{result}|"


def cells_of(history: History, chosen: Points, result: str) -> list[Cells]:
    """Return the cells of the chosen points that have this result, in forward order.

    Raises:
        PointError: none has.
    """
    found = [Cells(point, values) for point, values in _known(history, chosen, result)]
    if not found:
        raise PointError(
            f"`{result}` was kept at none of these points as one number a step: {listed(chosen, 4)}; choose others."
        )
    return found


def _known(history: History, chosen: Points, result: str) -> Iterator[tuple[Point, np.ndarray]]:
    for name, point in chosen.items():
        kept = history.kept.get(name)
        if isinstance(kept, Mapping) and is_readable(kept.get(result)):
            values = _values(np.shape(history.loss), point, kept, result)
            if values is not None:
                yield point, values


def _values(loss: Sequence[int], point: Point, kept: Mapping[str, np.ndarray], result: str) -> np.ndarray | None:
    """Return (steps, rows); of several runs beside one another, the largest. None if it is not one number a step."""
    values = np.asarray(kept[result])
    if values.shape != (*loss, *loops(point)):
        return None
    wide = np.abs(values.astype(np.complex128 if np.iscomplexobj(values) else np.float64))
    with np.errstate(invalid="ignore"):
        wide = np.where(np.isfinite(wide), wide, np.inf)
    if 0 in point.shape:  # a mean of nothing is a NaN that tells nothing
        wide = np.full_like(wide, ABSENT)
    side = result.partition("_")[0]
    for count in (np.asarray(kept[key]) for key in (f"{side}_{kind}" for kind in COUNTS) if key in kept):
        if count.shape == wide.shape:
            wide = np.where(count > 0, np.inf, wide)
    wide = wide.max(axis=tuple(range(1, len(loss))), initial=ABSENT)
    return wide.reshape(loss[0], math.prod(wide.shape[1:]))


def without(chosen: Points, cells: Sequence[Cells], result: str) -> Iterator[str]:
    """Yield which of the chosen points are not drawn, and which have no entries."""
    drawn = {each.point.name for each in cells}
    if missing := [name for name in chosen if name not in drawn]:
        yield f"Without `{result}` as one number a step: {counted(len(missing), 'point')}, {listed(missing, 4)}."
    if empty := [name for name in drawn if 0 in chosen[name].shape]:
        yield f"Without entries: {listed(empty, 4)}."
