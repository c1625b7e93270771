"""Sections that are tables and sentences: culprits, formulas, kinks, the numbers of the worked example."""

from __future__ import annotations

from collections.abc import Sequence

from ..._evaluate.result.evaluation import Evaluation
from ..._learn.history import History
from ..._show.table import Table
from ..record import Record
from ..section import Section


def culprits(record: Record) -> Section | None:
    """Return the entries of a walk, the data of an evaluation, or the points of a training, that are most to blame."""
    most = "data" if isinstance(record.result, Evaluation) else "entries"
    most = "points" if isinstance(record.result, History) else most
    return _section("culprits", f"The {most} most to blame", record.culprits)


def formulas(record: Record) -> Section | None:
    """Return the formulas of the model."""
    return _section("formulas", "Formulas", record.formulas)


def numbers(record: Record) -> Section | None:
    """Return what was computed, number by number."""
    return _section("numbers", "The numbers", record.numbers)


def kinks(record: Record) -> Section | None:
    """Return where a derivative jumps, and rounding or a tie decides."""
    return _section("kinks", "Kinks", record.kinks)


def _section(id: str, title: str, parts: Sequence[Table | str]) -> Section | None:
    shown = [part if isinstance(part, str) else part.as_shown() for part in parts]
    return Section(id, title, "tables.html", {"parts": shown}) if shown else None
