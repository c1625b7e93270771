"""What the command line has on its pages: of the worked example, and of a survey of a user's own model."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
from collections.abc import Mapping, Sequence

import numpy as np

from .._errors import counted
from .._points.ordered_mapping import by_point
from .._printable import printable
from .._report.record import Record, record_of
from .._report.report import write
from .._rewrite.tap import loops
from .._show.table import Table
from .example.exact import formula_tables
from .example.tables import blame_tables, notes, number_tables, rounding_notes
from .example.walkthrough import Walkthrough
from .walk_survey import Survey
from .walk_tables import kink_notes, nonfinite_notes


def write_page(record: Record, options: argparse.Namespace) -> str:
    """Write the page of a record to the file that `--report` names, and return a sentence that says so.

    Raises:
        StoreError: the file cannot be written.
    """
    write(dataclasses.replace(record, command=shlex.join(options.words)), options.report)
    return f"The page is in `{printable(str(options.report))}`."


def example_record(w: Walkthrough) -> Record:
    """Return what a page tells of the worked example."""
    return dataclasses.replace(
        record_of(w.walk, f"The worked example: {counted(len(w.cohort.x), 'patient')}, three layers, one loss"),
        formulas=list(formula_tables()),
        numbers=[*number_tables(w), *rounding_notes(w)],
        culprits=list(blame_tables(w)),
        kinks=list(notes(w)),
        kinks_at={"L3": f"on it: {_listed(w)}"} if w.on_kink.any() else {},
    )


def _listed(w: Walkthrough) -> str:
    return ", ".join(name for name, on in zip(w.cohort.names, w.on_kink, strict=True) if on)


def survey_record(s: Survey, title: str, notes: Sequence[str]) -> Record:
    """Return what a page tells of a survey; `notes`: those about the data."""
    kept = {name: s.evaluation.kept[name] for name in s.evaluation.kept.once()}
    seen = {name: np.full(loops(s.points[name]), s.evaluation.count) for name in s.outputs} | dict(s.evaluation.seen)
    whole = dataclasses.replace(
        s.evaluation,
        points=s.points,
        kept=by_point({**s.outputs, **kept}, s.points),
        seen=by_point(seen, s.points),
    )
    at = {name: count for name, count in s.kinks.items() if name and count} if isinstance(s.kinks, Mapping) else {}
    rows = [(name, str(count)) for name, count in at.items()]
    record = record_of(whole, title)
    return dataclasses.replace(
        record,
        first=next(nonfinite_notes(s), None),
        kinks=[*([Table("", ("point", "entries"), rows, ("entries",))] if rows else []), *kink_notes(s)],
        kinks_at={name: counted(count, "entry", "entries") for name, count in at.items()},
        notes=[*record.notes, *notes],
    )
