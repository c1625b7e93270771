"""`Finding` and `Health`: what is wrong with a flow, where, by how much, and what to try."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        name: of the rule, as "vanishing".
        point: the point that it is found at, or the first of those that it is about; None if it is about none.
        number: what was measured.
        threshold: what it was compared with.
        meaning: what it means, a sentence that has the number in it.
        advice: what to try, a sentence.
        points: all points that it is about, in forward order.
        weights: the paths of the arrays of the params that it is about.
        steps: the first and the last step in which it was so; None where there are no steps.
        data: the indices of the data that it is about, where that is known.
        file, line: where in the source; "" and 0 if that is not known.
    """

    name: str
    point: str | None
    number: float
    threshold: float
    meaning: str
    advice: str
    points: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    steps: tuple[int, int] | None = None
    data: tuple[int, ...] = ()
    file: str = ""
    line: int = 0


class Health(tuple[Finding, ...]):
    """What is wrong, worst first; empty is healthy. A tuple of findings, shown as a table.

    Attributes:
        notes: sentences on what was not looked at, and why.
        about: what was looked at, in a few words: "14 rules, 31 points, 200 steps".
    """

    notes: tuple[str, ...]
    about: str

    def __new__(cls, findings: Iterable[Finding] = (), notes: Iterable[str] = (), about: str = "") -> Health:
        made = super().__new__(cls, findings)
        made.notes = tuple(notes)
        made.about = about
        return made

    def at(self, name: str) -> Health:
        """Return what is found at a point, or at an array of the params."""
        return Health((f for f in self if name in (f.point, *f.points, *f.weights)), self.notes, self.about)

    def named(self, rule: str) -> Health:
        """Return what a rule has found."""
        return Health((f for f in self if f.name == rule), self.notes, self.about)

    def __reduce__(self) -> Any:
        return Health, (tuple(self), self.notes, self.about)
