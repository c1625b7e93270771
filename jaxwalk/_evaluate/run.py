"""One evaluation: the data through the program, what is found added up, and written part by part."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from .. import _signals
from .._errors import ArgumentError, DataError, StoreError, argument, shown
from .._show.progress import progress as shown_progress
from .arguments import check_untraced
from .batch_checksums import SAME, Fingerprint
from .batches import Batches, open_batches
from .feed import Feed
from .loop import Group, Loop, check_finished, one_behind
from .method import options_of
from .placement import Placement, count_processes, placement
from .processes import Resumed, agreed, broadcast, check_alike, checksums_of, gather, is_first, taken_together
from .programs import Program, Programs
from .result.evaluation import Evaluation
from .run_identity import identity
from .step.host_totals import columns, evaluation_of, finish, from_arrays, merge_totals, to_arrays
from .step.step import CompiledStep
from .step.task import Task
from .step.totals import Totals
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
        if path is not None and not (isinstance(path, (str, os.PathLike)) and os.fspath(path)):
            raise ArgumentError(f"`out` is {shown(path)}; give the path of a directory.")
        return cls(path, resume)


def run(programs: Programs, params: Any, batches: Iterable[Any], output: Output, progress: bool) -> Evaluation:
    """Run what `evaluate` is documented to."""
    check_untraced(params)
    together = count_processes(programs.asked.mesh) > 1
    with contextlib.ExitStack() as stack:
        if together:  # what ends one must be told to the others
            stack.enter_context(_signals.held_back())
        with agreed(together):
            one = _prepared(stack, programs, params, batches, output.path is not None)
            checksums = checksums_of(params, one.given[: len(one.program.constants)]) if together else {}
            _signals.check()
        if together:
            check_alike(one.options(output), checksums)
        with agreed(together):
            store, resumed = _opened(stack, one, output)
        if together and output.path is not None:
            resumed = broadcast(resumed, one.step.no_totals)
        return _evaluation(one, store, resumed, progress)


def _prepared(
    stack: contextlib.ExitStack, programs: Programs, params: Any, batches: Iterable[Any], is_stored: bool
) -> _Run:
    data = open_batches(batches)
    check_untraced(data.first)
    placed = placement(programs.asked.mesh, data.size, params, data.first)
    stack.enter_context(placed.context())
    program, given = programs.program(params, data, placed)
    return _Run(program, given, placed.params(given), data, placed, is_stored, programs.asked.method)


class _Run(NamedTuple):
    """One evaluation.

    Attributes:
        given: the arrays that the program takes before the data, where they lay before.
        arrays: the same, placed.
        is_stored: whether what is found is written to disk.
        method: of attribution, or None.
    """

    program: Program
    given: list[Any]
    arrays: list[Any]
    data: Batches
    placed: Placement
    is_stored: bool
    method: Callable | None

    @property
    def task(self) -> Task:
        return self.program.task

    @property
    def step(self) -> CompiledStep:
        return self.program.step

    @property
    def together(self) -> bool:
        """Whether several processes take every step together."""
        return self.placed.processes > 1

    def options(self, output: Output) -> str:
        """Return what several processes must have in common, or they would wait for one another."""
        out = "no `out`" if output.path is None else f"an `out`, `resume={bool(output.resume)}`"
        return f"batches of {self.data.written_form()}, `top={self.task.top}`, {out}"

    def feed(self, resumed: Resumed) -> Feed:
        rows = self.task.rows // self.placed.processes
        return Feed(self.data, resumed.of_process(self.together), self.placed, rows)

    def added(self, a: Totals | None, b: Totals) -> Totals:
        """Return the totals of both."""
        return merge_totals(self.task.statistic, a, b, self.task.top)

    def identity(self) -> dict[str, str]:
        """Return what must be the same for a run to resume another."""
        task, data = self.task, self.data
        others = {"batch_size": data.size, "top": task.top, "processes": self.placed.processes}
        function, walk = task.staged.closed, self.program.walk_of_a_batch(data.size)
        kept = task.statistic, task.kept_at
        method = task.method, options_of(self.method)
        return identity(function, walk, self.given, task.points, *kept, data.first, *method, **others)

    def evaluation(self, totals: Totals) -> Evaluation:
        return evaluation_of(totals, self.task, self.step)


# What is on disk -----------------------------------------------------------------------------------------


def _opened(stack: contextlib.ExitStack, one: _Run, output: Output) -> tuple[Store | None, Resumed]:
    """Open the store, which `stack` closes, and read what is done. Of several processes, the first has the store."""
    path, resume = output
    if path is None or (one.together and not is_first()):
        return None, Resumed()
    store = stack.enter_context(Store.open(path, one.identity(), resume))
    if not one.together:
        _check_as_many(store, one.data)
    return store, _resumed(one, store)


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
        totals = one.added(totals, from_arrays(arrays, one.step.no_totals))
    return Resumed(done, totals, store.finished)


# Through the data ----------------------------------------------------------------------------------------


def _evaluation(one: _Run, store: Store | None, resumed: Resumed, progress: bool) -> Evaluation:
    totals: Any = resumed.totals
    if resumed.is_finished:
        try:
            with agreed(one.together):
                check_finished(one.feed(resumed), resumed.of_process(one.together))
        except Exception as error:
            error.evaluation = one.evaluation(totals)  # type: ignore[attr-defined]
            raise
    else:
        with PartWriter(store, resumed.data) as writer:
            totals = _walked(one, resumed, writer, progress)
    return one.evaluation(totals)


def _walked(one: _Run, resumed: Resumed, writer: PartWriter, progress: bool) -> Totals | None:
    """Add the data that are not done, and write them part by part."""
    data, feed, added = one.data, one.feed(resumed), _Added(one, resumed, writer)
    with _signals.held_back(), shown_progress(data.total, progress, resumed.data) as bar:
        loop = Loop(one.step, one.arrays, one.placed, one.program.group_size, one.is_stored, bar.advance)
        try:
            with taken_together(one.together):
                for group in one_behind(loop.groups(feed)):
                    fingerprints = gather(group.fingerprint(), one.together)
                    with feed.told():
                        added.add(group, fingerprints)
            with agreed(one.together):
                if feed.error is not None:
                    raise feed.error
            with agreed(one.together):  # not before all know that none failed
                writer.finish({"data": added.data, "total": data.total, "unit": data.unit})
                _signals.check()
        except BaseException as error:
            _tell(error, one, added.totals, writer)
            raise
    return added.totals


class _Added:
    """The totals of what is done, whose parts are written. After an error nothing is added any more."""

    def __init__(self, one: _Run, resumed: Resumed, writer: PartWriter):
        self._one, self._writer, self._is_whole = one, writer, True
        self.totals, self.data = resumed.totals, resumed.data

    def add(self, group: Group, fingerprints: list[Fingerprint]) -> None:
        """Add what was found of a group of batches."""
        if not self._is_whole or not any(one.batches for one in fingerprints):
            return
        self._is_whole = False
        task, step = self._one.task, self._one.step
        group.settle()
        part, rows = finish(group.found, group.merged, step, task, self.data)
        self.totals = self._one.added(self.totals, part)
        if self._writer.is_open:
            self._writer.write(
                columns(rows, step.names, self.data, task.method), {"fed": fingerprints}, to_arrays(part)
            )
        self.data = int(self.totals.data)
        self._is_whole = True


def _tell(error: BaseException, one: _Run, totals: Totals | None, writer: PartWriter) -> None:
    """Add to an error what was done before it, once that is on disk."""
    try:
        writer.wait()
    except StoreError as unwritten:
        error.add_note(str(unwritten))
    if totals is not None:
        error.evaluation = one.evaluation(totals)  # type: ignore[attr-defined]
        # Other data, and a store that has lost a part, are refused again: such errors say themselves what to do.
        goes_on = (
            "" if isinstance(error, DataError | StoreError) else ": with `resume=True` the same call goes on from there"
        )
        more = f"; {writer.data} of them are in `out`{goes_on}" if writer.is_open else ""
        error.add_note(f"`evaluate` had done {int(totals.data)} data: see `evaluation` of this error{more}.")
