"""`Finding` and `Health`: what is wrong with a flow, where, by how much, and what to try."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from .._errors import counted
from .._show.fit import as_html, as_lines, as_text
from .._show.table import Table, number


@dataclasses.dataclass(frozen=True, repr=False)
class Finding:
    """One thing that is wrong; shows itself as a sentence.

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

    def __repr__(self) -> str:
        where = f" at {self.where}" if self.where else ""
        return as_lines(f"{self.name}{where}: {self.meaning}")

    @property
    def where(self) -> str:
        """Return in a few words where it is: the first point, or array of the params, and how many others."""
        names = self.points or self.weights
        first = self.point or (names[0] if names else "")
        others = len(names) - (first in names)
        return f"{first} +{others}" if others else first


class Health(tuple[Finding, ...]):
    """What is wrong, the gravest first; empty is healthy. A tuple of findings, shown as a table.

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

    def __repr__(self) -> str:
        return as_text(self._table()) if self else as_lines(" ".join([f"{self._title()}.", *self.notes]))

    def _repr_html_(self) -> str:
        return as_html(self._table())

    def _title(self) -> str:
        about = self.about or "nothing looked at"
        return f"{counted(len(self), 'finding')}: {about}" if self else f"healthy: {about}"

    def _table(self) -> Table:
        rows = [(f.name, f.where, *_compared(f), _span(f)) for f in self]
        below = [(f.meaning, f.advice) for f in self]
        columns, right = ("finding", "where", "number", "threshold", "steps"), ("number", "threshold")
        return Table(self._title(), columns, rows, right, self.notes, lead=("finding",), paths=("where",), below=below)

    def __reduce__(self) -> Any:
        return Health, (tuple(self), self.notes, self.about)


def _compared(finding: Finding) -> tuple[str, str]:
    return number(finding.number, 3), number(finding.threshold)


def _span(finding: Finding) -> str:
    if finding.steps is None:
        return ""
    first, last = finding.steps
    return str(first) if first == last else f"{first}…{last}"
