"""One evaluation: the data through the program, what is found added up, and written part by part."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from typing import Any, NamedTuple

from .. import _signals
from .._errors import ArgumentError, DataError, StoreError, argument
from .._show.progress import progress as shown_progress
from .arguments import check_untraced
from .batch_checksums import SAME, Fingerprint
from .batches import Batches, open_batches
from .device_totals import Totals
from .host_totals import columns, evaluation_of, finish, from_arrays, merge_totals, to_arrays
from .loop import Loop, check_finished, one_behind
from .placement import Placement, placement
from .processes import Resumed, broadcast, gather, is_first
from .programs import Program, Programs
from .result.evaluation import Evaluation
from .run_identity import identity
from .step import CompiledStep, Task
from .store.store import Store
from .store.writer import PartWriter


class Output(NamedTuple):
    """Where the rows go, and whether to go on with what is there."""

    path: str | os.PathLike[str] | None
    resume: bool

    @classmethod
    def checked(cls, path: str | os.PathLike[str] | None, resume: bool) -> Output:
        if resume and path is None:
            raise ArgumentError(
                "`resume=True` goes on with what is in `out`, but no `out` is given; name the directory."
            )
        return cls(path, resume)


def run(programs: Programs, params: Any, batches: Iterable[Any], output: Output, progress: bool) -> Evaluation:
    """Run what `evaluate` is documented to."""
    check_untraced(params)
    data = open_batches(batches)
    check_untraced(data.first)
    placed = placement(programs.asked.mesh, data.size, params, data.first)
    with placed.context(), contextlib.ExitStack() as stack:
        program, given = programs.program(params, data, placed)
        one = _Run(program, given, placed.params(given), data, placed, output.path is not None)
        path, resume = output
        store, resumed = (None, Resumed()) if path is None else _opened(stack, one, path, resume)
        return _evaluation(one, store, resumed, progress)


class _Run(NamedTuple):
    """One evaluation.

    Attributes:
        given: the arrays that the program takes before the data, where they lay before.
        arrays: the same, placed.
        is_stored: whether what is found is written to disk.
    """

    program: Program
    given: list[Any]
    arrays: list[Any]
    data: Batches
    placed: Placement
    is_stored: bool

    @property
    def task(self) -> Task:
        return self.program.task

    @property
    def step(self) -> CompiledStep:
        return self.program.step

    def identity(self) -> dict[str, str]:
        """Return what must be the same for a run to resume another."""
        task, data = self.task, self.data
        others = {"batch_size": data.size, "top": task.top, "processes": self.placed.processes}
        function, walk = task.staged.closed, self.program.walk_of_a_batch(data.size)
        kept = task.statistic, task.kept_at
        return identity(function, walk, self.given, task.points, *kept, data.first, **others)

    def evaluation(self, totals: Totals) -> Evaluation:
        return evaluation_of(totals, self.task.statistic, self.task.points, self.step)


# What is on disk -----------------------------------------------------------------------------------------


def _opened(
    stack: contextlib.ExitStack, one: _Run, out: str | os.PathLike[str], resume: bool
) -> tuple[Store | None, Resumed]:
    """Open the store, which `stack` closes, and read what is done. Of several processes, the first has the store."""
    if one.placed.processes == 1:
        store = stack.enter_context(Store.open(out, one.identity(), resume))
        _check_as_many(store, one.data)
        return store, _resumed(one, store)
    store, resumed, refusal = None, Resumed(), None
    try:
        if is_first():
            store = stack.enter_context(Store.open(out, one.identity(), resume))
            resumed = _resumed(one, store)
    except StoreError as error:
        refusal = error
    return store, broadcast(resumed, refusal, one.step.no_totals)


def _check_as_many(store: Store, data: Batches) -> None:
    """Refuse other data before all are gone through, where it is known how many there are."""
    ended = store.header or {}
    before = ended.get("total")
    if isinstance(before, int) and data.total and before != data.total and ended.get("unit") == data.unit:
        of_one, many = (1, "rows") if data.unit == "row" else (data.size, "batches")
        now, then = data.total // of_one, before // of_one
        when = f"when the evaluation in `{argument('out')}` came to its end"
        raise DataError(f"`{argument('batches')}` has {now} {many}, and had {then} {when}; {SAME}.")


def _resumed(one: _Run, store: Store) -> Resumed:
    done, totals = [], None
    for part in range(store.parts):
        header, arrays = store.read(part)
        done.append([Fingerprint(*fed) for fed in header["fed"]])
        totals = merge_totals(one.task.statistic, totals, from_arrays(arrays, one.step.no_totals), one.task.top)
    return Resumed(done, totals, store.finished)


# Through the data ----------------------------------------------------------------------------------------


def _evaluation(one: _Run, store: Store | None, resumed: Resumed, progress: bool) -> Evaluation:
    totals: Any = resumed.totals
    if resumed.is_finished:
        try:
            check_finished(one.data, resumed.mine, one.placed.processes)
        except Exception as error:
            error.evaluation = one.evaluation(totals)  # type: ignore[attr-defined]
            raise
    else:
        with PartWriter(store, resumed.data) as writer:
            totals = _added(one, resumed, writer, progress)
    return one.evaluation(totals)


def _added(one: _Run, resumed: Resumed, writer: PartWriter, progress: bool) -> Totals | None:
    """Add the data that are not done, and write them part by part."""
    data, totals, before = one.data, resumed.totals, resumed.data
    with _signals.held_back(), shown_progress(data.total, progress, before) as bar:
        loop = Loop(one.step, one.arrays, one.placed, one.program.group_size, one.is_stored, bar.advance)
        try:
            for group in one_behind(loop.groups(data, resumed.mine)):
                part, rows = finish(group.state, one.step, one.task.top, before)
                totals = merge_totals(one.task.statistic, totals, part, one.task.top)
                fingerprints = gather(group.fingerprint)
                if writer.is_open:
                    writer.write(columns(rows, one.step.names, before), {"fed": fingerprints}, to_arrays(part))
                before = int(totals.data)
            writer.finish({"data": before, "total": data.total, "unit": data.unit})
            _signals.check()
        except BaseException as error:
            _tell(error, one, totals, writer)
            raise
    return totals


def _tell(error: BaseException, one: _Run, totals: Totals | None, writer: PartWriter) -> None:
    """Add to an error what was done before it, once that is on disk."""
    try:
        writer.wait()
    except StoreError as unwritten:
        error.add_note(str(unwritten))
    if totals is not None:
        error.evaluation = one.evaluation(totals)  # type: ignore[attr-defined]
        stored = f"; {writer.data} of them are in `out`: with `resume=True` the same call goes on from there"
        more = stored if writer.is_open else ""
        error.add_note(f"`evaluate` had done {int(totals.data)} data: see `evaluation` of this error{more}.")
