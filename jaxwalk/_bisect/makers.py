"""The equations that made a NaN or an Inf in a run, and which of them may keep what they made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .places import Place
from .values import Judged, Mask, Value, but, either, replaced

if TYPE_CHECKING:
    from jax.extend.core import JaxprEqn

IN_PLACE = 1.0  # of what an equation made that may not keep it


class Maker(NamedTuple):
    """An equation that made a NaN or an Inf.

    Attributes:
        eqn: the equation.
        place: where it is.
        operands: its operands.
        results: what it computed: its results, or the cotangents of its operands.
        made: the entries of each that it made NaN or Inf, and kept.
        cotangents: None if it made them forward; else what arrived there: of each result, None where nothing did.
        places: backward: of which operands the results are the cotangents.
        is_sum: backward: whether it was the sum of two cotangents of one operand.
        is_whole: whether it is a call of which no equation, run by itself, makes one.
    """

    eqn: JaxprEqn
    place: Place
    operands: Sequence[Value]
    results: Sequence[Value] = ()
    made: Sequence[Mask] = ()
    cotangents: Sequence[Value | None] | None = None
    places: Sequence[int] = ()
    is_sum: bool = False
    is_whole: bool = False

    def identity(self) -> Any:
        """Return what is equal for one equation that is run again, at one step of the loops around it."""
        way = self.cotangents is not None, self.is_sum, self.is_whole
        return id(self.eqn), tuple(map(id, self.place.callers)), self.place.steps, way


class Makers:
    """Counts the equations that make a NaN or an Inf; of those after the first `keep`, a finite number takes its place.

    Attributes:
        keep: how many keep it; None: all.
        entries: how many entries the last of these keeps; None: all.
        meetings: how many times one was met: what is run again on the way back is met again.
        last: the last that kept what it made; of all, the first.
        any_replaced: whether anything was replaced: what comes after is no longer what the function computes.
    """

    def __init__(self, keep: int | None = None, entries: int | None = None) -> None:
        self.keep, self.entries = keep, entries
        self.meetings = 0
        self._numbers: dict[Any, int] = {}
        self.last: Maker | None = None
        self.any_replaced = False

    @property
    def count(self) -> int:
        """Return how many were met; what is run again on the way back is one."""
        return len(self._numbers)

    def met(self, judged: Judged, maker: Maker) -> list[Value]:
        """Count an equation if it made any, and return its results, less what it may not keep."""
        if not judged.any_made:
            return judged.values
        self.meetings += 1
        number = self._numbers.setdefault(maker.identity(), self.count + 1)
        kept: Sequence[Mask] = judged.made
        if self.keep is not None and number >= self.keep:
            kept = _first(judged.made, self.entries if number == self.keep else 0)
        if number == (self.keep or 1) and self.last is None:
            self.last = maker._replace(results=judged.values, made=kept)
        gone = [but(made, stays) for made, stays in zip(judged.made, kept, strict=True)]
        self.any_replaced |= any(mask is not None for mask in gone)
        return [_cleaned(value, mask) for value, mask in zip(judged.values, gone, strict=True)]


def made_entries(maker: Maker) -> int:
    """Return how many entries an equation made NaN or Inf."""
    return sum(int(mask.sum()) for mask in maker.made if mask is not None)


def with_one_entry(maker: Maker, number: int) -> Maker:
    """Return an equation with one of the entries that it made, counted from 0, as the only one."""
    before, made = _first(maker.made, number), _first(maker.made, number + 1)
    return maker._replace(made=[but(mask, others) for mask, others in zip(made, before, strict=True)])


def _first(masks: Sequence[Mask], count: int | None) -> list[Mask]:
    """Return the first `count` entries of some masks; None: all of them."""
    if count is None:
        return list(masks)
    found: list[Mask] = []
    for mask in masks:
        if mask is None or count <= 0:
            found.append(None)
            continue
        chosen = np.zeros(mask.shape, bool)
        chosen.flat[np.flatnonzero(mask)[:count]] = True
        found.append(chosen)
        count -= int(chosen.sum())
    return found


def _cleaned(value: Value, gone: Mask) -> Value:
    if gone is None:
        return value
    return value._replace(array=replaced(value.array, gone, IN_PLACE), guilty=but(value.guilty, gone))


def any_guilty(values: Sequence[Value | None]) -> bool:
    """Tell whether an entry is NaN or Inf because an equation made it so."""
    return any(value is not None and value.guilty is not None for value in values)


def all_bad(value: Value) -> Mask:
    """Return the entries of a value that are NaN or Inf."""
    return either(value.innocent, value.guilty)


def first_entry(masks: Sequence[Mask]) -> tuple[int, tuple[int, ...]]:
    """Return the first entry of some masks: in which, and where there."""
    which = next(i for i, mask in enumerate(masks) if mask is not None and mask.any())
    mask: Any = masks[which]
    return which, tuple(map(int, np.argwhere(mask)[0]))
