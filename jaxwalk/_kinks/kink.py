"""`Kink`, `Kinks`: the decisions of a function that rounding, or an exact tie, makes, as records and as a table."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Sequence

import numpy as np

from .._errors import counted
from .._points.point import Axis, Points
from .._printable import printable
from .._show.fit import as_lines, tabular
from .._show.table import Table, number

SHOWN = 3  # entries of a kink in the table; the record holds all


@dataclasses.dataclass(frozen=True, eq=False)
class Kink:
    """Some entries of one choice that stand on its threshold, or within rounding of it.

    Attributes:
        where: the line of the source, "file.py:12", or "".
        point: the name of the point that the choice makes (its value is what was chosen, or leaves the scope or line
            in which it was); else of the last before it, by which it chooses; else of the first that it feeds; or None.
        operation: what chooses: "relu", "where", "max", "argmax", ...
        kind: "tie", exactly on the threshold, as a zero in a relu; "near", off it by no more than the rounding error
            that the distance may have, so that on which side it falls is rounding's choice.
        entries: (n, rank) integers, the index of each, from 0; the steps of scans come first.
        margin: (n,) how far each is from the threshold; 0 for ties.
        bound: (n,) the bound on the rounding error of that distance.
        left, right: (n,) the derivative of the choice by the value that is decided on, below the threshold and above
            it; None where it is not known, as of a `sort`, or of a `where` whose sides are computed of something else
            than of that value: then they may also meet, and nothing jumps, as in a Huber loss written by `where`.
        used: (n,) the derivative that JAX takes there, in the function as it is compiled here: run operation by
            operation, or with other things around it, it is rounded otherwise, and what is "near" may be a tie.
        axes: the loops around: the leading axes of `entries`.
        size: how many entries there are in all.
        note: what a reader must know, in a few words.
        jumps: whether the value that is chosen jumps, as an index does, or the result of a `floor`: there the loss
            itself may jump, of which no derivative tells. False if its derivative alone does, as that of a relu; None
            where it is not known, as of a `where`.
    """

    where: str
    point: str | None
    operation: str
    kind: str
    entries: np.ndarray
    margin: np.ndarray
    bound: np.ndarray
    left: np.ndarray | None
    right: np.ndarray | None
    used: np.ndarray | None
    axes: tuple[Axis, ...]
    size: int
    note: str
    jumps: bool | None = None

    def __len__(self) -> int:
        return len(self.entries)

    def __repr__(self) -> str:
        where = f", where={self.where!r}" if self.where else ""
        entries = f"{len(self)} of {counted(self.size, 'entry', 'entries')}"
        return as_lines(printable(f"Kink({self.operation}, {self.kind}, point={self.point!r}{where}, {entries})"))


@tabular
class Kinks(tuple[Kink, ...]):
    """A tuple of `Kink`, in forward order, that shows itself as a table; empty where there are none.

    Attributes:
        decisions: how many choices were looked at, of any number of entries.
        notes: what could not be judged, in sentences.
        points: the `Points` of the function, after which the kinks are named.
    """

    decisions: int
    notes: tuple[str, ...]
    points: Points

    def __new__(
        cls, kinks: Iterable[Kink] = (), decisions: int = 0, notes: Sequence[str] = (), points: Points | None = None
    ) -> Kinks:
        self = super().__new__(cls, kinks)
        self.decisions, self.notes, self.points = decisions, tuple(notes), Points() if points is None else points
        return self

    def at(self, point: str) -> Kinks:
        """Return those at one point, under whichever of its names.

        Raises:
            PointError: the function has no such point.
        """
        return self._with(self._by_value.get(self._value_of(self.points[point].name), ()))

    def beyond(self, points: Iterable[str]) -> Kinks:
        """Return those at none of these points."""
        known = {self._value_of(name) for name in points}
        return self._with([kink for kink in self if self._value_of(kink.point) not in known])

    def summary(self) -> str:
        """Return how many entries are on a kink, "2 ties, 1 near"; "" if none."""
        ties, near = (sum(len(kink) for kink in self if kink.kind == kind) for kind in ("tie", "near"))
        return ", ".join([counted(ties, "tie")] * (ties > 0) + [f"{near} near"] * (near > 0))

    def _with(self, kinks: Iterable[Kink]) -> Kinks:
        return Kinks(kinks, self.decisions, self.notes, self.points)

    @functools.cached_property
    def _by_value(self) -> dict[str | None, list[Kink]]:
        found: dict[str | None, list[Kink]] = {}
        for kink in self:
            found.setdefault(self._value_of(kink.point), []).append(kink)
        return found

    @functools.cached_property
    def _same(self) -> dict[str, str]:
        return self.points.same()

    def _value_of(self, point: str | None) -> str | None:
        """Return one name for all names of a value."""
        return None if point is None else self._same.get(point, point)

    def title(self) -> str:
        """Return how many there are, and of how many choices."""
        if self:
            return counted(len(self), "kink")
        if not self.decisions:
            return f"No kinks: nothing {'that was looked at' if self.notes else 'here'} chooses."
        return f"No kinks: {counted(self.decisions, 'choice')}, and rounding decides none of them."

    def consequence(self) -> str:
        """Return what they mean for δ, in a few words; "" if there are none."""
        if not self:
            return ""
        if all(kink.jumps for kink in self):
            return "there the loss itself may jump, of which δ does not tell"
        may_jump = any(kink.jumps is not False for kink in self)
        may_meet = any(kink.jumps is None and kink.left is None for kink in self)
        jumping = ", or the loss itself jumps, of which it does not tell" * may_jump
        meeting = ", or, where no `left` is told, both sides may meet and nothing jumps" * may_meet
        return f"there δ is one of two{jumping}{meeting}"

    def _table(self) -> Table:
        numeric = ("of", "margin", "bound", "left", "right", "used")
        columns = ("where", "point", "choice", "kind", "entries", *numeric, "note")
        rows, words, more = [*map(_row, self)], ("entries", "note"), "the tuple has each, and `at(name)` some"
        return Table(self.title(), columns, rows, numeric, self.notes, (), columns[:4], ("point",), words, more)


def _row(kink: Kink) -> tuple[str, ...]:
    indices = [str(list(map(int, index))) for index in kink.entries[:SHOWN]] if kink.entries.shape[1] else []
    more = f", … {len(kink) - SHOWN} more" if len(kink) > SHOWN else ""
    margin = _range(kink.margin) if kink.kind == "near" else "0"
    sides = (_range(kink.left), _range(kink.right), _range(kink.used))
    entries = ", ".join(indices) + more
    first = (kink.where, kink.point or "", kink.operation, kink.kind, entries, str(kink.size))
    return (*first, margin, _range(kink.bound), *sides, kink.note)


def _range(values: np.ndarray | None) -> str:
    """Write the one number that they are, or the least and the largest."""
    if values is None:
        return ""
    low, high = number(values.min(), 2), number(values.max(), 2)
    return low if low == high else f"{low} to {high}"
