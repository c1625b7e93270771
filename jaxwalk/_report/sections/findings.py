"""The findings, first on the page."""

from __future__ import annotations

from typing import NamedTuple

from ..._health.finding import Finding
from ..._health.places import points_of
from ..._learn.history import History
from ..._show.table import number
from ..findings import Link, looked_at
from ..findings import findings as found_in
from ..record import Record
from ..section import Section


class Verdict(NamedTuple):
    """What `jw.health` has found, in the cells of a row, and the sentences below it."""

    name: str
    where: Link | None
    others: str
    number: str
    threshold: str
    steps: str
    sentences: tuple[str, ...]


def findings(record: Record) -> Section:
    """Return the findings, those of `jw.health` as a table, and what was looked at; that there is none is said too.

    What the numbers of a walk or of an evaluation show besides is said in sentences.
    """
    is_training = isinstance(record.result, History)
    looked = [f"`jw.health`: {record.health._title()}.", *record.health.notes]
    content = {
        "health": [_verdict(record, finding) for finding in record.health],
        "found": [] if is_training else list(found_in(record)),
        "looked_at": [*looked, *([] if is_training else looked_at(record))],
        "notes": record.notes,
    }
    return Section("findings", "Findings", "findings.html", content)


def _verdict(record: Record, finding: Finding) -> Verdict:
    names = points_of(finding) or finding.weights
    others = f"and {len(names) - 1} more" if len(names) > 1 else ""
    where = Link(names[0], record.place(names[0])) if names else None
    first, last = finding.steps or (None, None)
    steps = "" if first is None else f"{first}" if first == last else f"{first}…{last}"
    sentences = finding.meaning, finding.advice
    return Verdict(finding.name, where, others, number(finding.number, 3), number(finding.threshold), steps, sentences)
