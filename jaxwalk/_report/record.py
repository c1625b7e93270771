"""`Record`: what a page tells, whatever it was made of. Sections read the parts that they show."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .._errors import PointError, counted
from .._evaluate.result.evaluation import Evaluation
from .._health.finding import Health
from .._learn.health import health
from .._learn.history import History
from .._learn.learn import Learned
from .._learn.seen import Seen
from .._points.point import Points
from .._show.table import Table
from .._walk.culprits import Culprits
from .._walk.result import Walk
from .._walk.result_table import title_of
from ..plot._sizes import Size, kept_at, sizes_of
from ..plot._training.given import history_of_seen, is_seen
from . import training_tables

CULPRITS = 20  # entries of a walk that are listed as most to blame
KINKS = 100  # rows of the table of kinks


@dataclasses.dataclass(frozen=True, eq=False)
class Record:
    """What a page tells.

    Attributes:
        title: the heading.
        summary: what was walked, and the loss, in a few words.
        result: what pictures are drawn of.
        health: what `jw.health` finds in it.
        sizes: by point, in forward order, those at which anything is known.
        first: a sentence on what is not finite: where it is met first, or in which data; or None.
        culprits, kinks, formulas, numbers: tables and sentences, each for the section of its name; () has none.
        kinks_at: by point, how many entries stand on a kink, "2 ties, 1 near".
        notes: what a reader must know, in sentences.
        command: the command that made it; "" if none did.
    """

    title: str
    summary: str
    result: Walk | Evaluation | History
    sizes: Mapping[str, Size]
    health: Health = Health()
    first: str | None = None
    culprits: Sequence[Table | str] = ()
    kinks: Sequence[Table | str] = ()
    formulas: Sequence[Table | str] = ()
    numbers: Sequence[Table | str] = ()
    kinks_at: Mapping[str, str] = dataclasses.field(default_factory=dict)
    notes: Sequence[str] = ()
    command: str = ""

    @property
    def points(self) -> Points:
        """Return the points walked, and the opaque ones asked for."""
        return self.result.points

    @functools.cached_property
    def kept(self) -> Mapping[str, Any]:
        """Return what was kept at each point; of a training, in the last step that is held."""
        if not isinstance(self.result, History):
            return self.result.kept
        return kept_at(self.result, -1) if len(self.result.steps) else {}

    def place(self, name: str) -> int | None:
        """Return which of the points has this name, counted from 0; None if none has."""
        return self._places.get(name)

    @functools.cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.points)}


def record_of(result: Walk | Evaluation | History | Learned | Seen | Any, title: str | None = None) -> Record:
    """Return what a page tells of a walk, of an evaluation, or of a training.

    Raises:
        ArgumentError: it is none of these, or is being traced.
    """
    given = result.history if isinstance(result, Learned) else result
    result = history_of_seen(given, "result") if is_seen(given) else given
    sizes, notes = _sizes(result)
    made = next(of(result) for kind, of in _KINDS.items() if isinstance(result, kind))
    summary = made.summary if title is not None else ""
    return dataclasses.replace(
        made, title=made.summary if title is None else title, summary=summary, sizes=sizes, health=health(given),
        notes=[*made.notes, *notes],
    )  # fmt: skip


def _sizes(result: Any) -> tuple[dict[str, Size], list[str]]:
    if isinstance(result, History) and not len(result.steps):
        return {}, ["No step was recorded, so that there is nothing to draw."]
    try:
        return {size.point.name: size for size in sizes_of(result)}, []
    except PointError as error:  # the rest of the page is worth reading without them
        return {}, [str(error)]


def _of_walk(walk: Walk) -> Record:
    found = walk.first_nonfinite() if walk.outputs else None
    bad_loss = None if np.all(np.isfinite(np.asarray(walk.value))) else "The loss is a NaN or an Inf."
    culprits = Culprits(c for c in walk.culprits(CULPRITS) if c.delta != 0) if walk.deltas else ()
    return Record(
        "", title_of(walk), walk, {},
        first=bad_loss if found is None else f"The first number that is not finite: {found!r}.",
        culprits=[culprits._table()] if culprits else [],
        kinks=_kinks(walk),
        kinks_at={name: walk.kinks.at(name).summary() for name in walk.points} if walk.kinks else {},
    )  # fmt: skip


def _kinks(walk: Walk) -> list[Table | str]:
    if walk.kinks is None:
        return []
    table = walk.kinks._table()
    left_out = len(table.rows) - KINKS
    more = [f"{left_out} more kinks are left out; `Walk.kinks` has them."] if left_out > 0 else []
    consequence = [f"On a kink {walk.kinks.consequence().removeprefix('there ')}."] if walk.kinks else []
    return [table._replace(rows=table.rows[:KINKS], notes=[*table.notes, *more]), *consequence]


def _of_history(history: History) -> Record:
    most = training_tables.largest(history) if len(history.steps) else []
    tables = training_tables.numbers(history)
    return Record("", history._title(), history, {}, culprits=most, numbers=tables, notes=history.notes)


def _of_evaluation(found: Evaluation) -> Record:
    named = [str(d.index) for d in found.culprits if not np.isfinite([d.loss, *d.norms.values()]).all()]
    first = None
    if found.nonfinite:
        more = f" and {found.nonfinite - len(named)} more" if found.nonfinite > len(named) else ""
        data = counted(found.nonfinite, "datum", "data")
        first = f"{data} with a NaN or Inf: {', '.join(named)}{more}. The mean loss is of finite ones."
    return Record(
        "", found._title(), found, {}, first=first, culprits=[found.culprits._table()] if found.culprits else []
    )


_KINDS: dict[type, Callable[[Any], Record]] = {Walk: _of_walk, Evaluation: _of_evaluation, History: _of_history}
