"""`evaluate`: a whole dataset through the walk, batch by batch, in constant memory."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np

from ._at import At, choose
from ._batches import Batches, opened
from ._errors import ArgumentError, shown
from ._evaluation import Evaluation
from ._find import find
from ._identity import identity
from ._loop import groups, one_late
from ._placement import Placement, placement
from ._points import Points
from ._progress import progress as shown_progress
from ._read import check_by
from ._source import Source
from ._step import Carry, Step, opened_params, step_of
from ._store import Store
from ._total import added, columns, evaluation_of, on_host_from, packed, unpacked
from ._walk import loss_only
from .stats import Statistic, averaged, summary

GROUP = 8192  # data, about, whose statistics are merged on the device before they go to the host and on disk


def evaluate(
    fun: Callable,
    params: Any,
    batches: Iterable[Any],
    *,
    at: At = None,
    by: str | None = None,
    source: Source = None,
    keep: Statistic | Callable[[Any, Any], Any] | None = summary,
    top: int = 20,
    mesh: jax.sharding.Mesh | None = None,
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: bool = True,
) -> Evaluation:
    """Walks `fun(params, x, y)` through every datum of a dataset: statistics by point, and the data most to blame."""
    check_by(by, source)
    statistic = _statistic(keep)
    if not isinstance(top, int) or isinstance(top, bool) or top < 1:
        raise ArgumentError(f"`top` is {shown(top)}; it must be an integer of at least 1.")
    if resume and out is None:
        raise ArgumentError("`resume=True` goes on with what is in `out`, but no `out` is given; name the directory.")
    data = opened(batches)
    placed = placement(mesh, data.size)
    with placed.context():
        job = _job(fun, params, data, at, by, source, statistic, top, placed)
        with contextlib.nullcontext() if out is None else Store.open(out, job.identity, resume) as store:
            return _run(job, data, store, progress)


class _Job(NamedTuple):
    """What is done with every batch, and what must be the same for a run to go on with what another began."""

    step: Step
    params: list[Any]
    placed: Placement
    points: Points
    statistic: Statistic | None
    identity: dict[str, str]

    def evaluation(self, total: Carry) -> Evaluation:
        return evaluation_of(total, self.statistic, self.points, self.step)


def _job(fun, params, data: Batches, at, by, source, statistic, top, placed: Placement) -> _Job:
    check = functools.partial(loss_only, has_aux=False)
    given, closed = opened_params(params)
    arrays = placed.params(given)
    params = closed(arrays)
    staged, points = find(fun, (params, *data.datum), {}, by, source, None, check)
    chosen = choose(points, at, by)
    step = step_of(
        fun, chosen, by, source, data.arguments, statistic, top, (params, data.form.rows, data.size),
        placed.groups, **placed.jit_options,
    )  # fmt: skip
    named = "none" if statistic is None else statistic.name
    same = identity(staged, given, chosen, batch_size=data.size, statistics=named, top=top, processes=placed.processes)
    return _Job(step, arrays, placed, chosen, statistic, same)


def _statistic(keep: Any) -> Statistic | None:
    if keep is None or isinstance(keep, Statistic):
        return keep
    if not callable(keep):
        raise ArgumentError(
            f"`keep` is {shown(keep)}; give one of `jw.stats`, a function (output, delta) -> arrays, whose results are"
            " averaged over the data, or None."
        )
    return averaged(keep)


def _run(job: _Job, data: Batches, store: Store | None, progress: bool) -> Evaluation:
    done, total = _restored(job, store)
    if store is None or not store.finished:
        with _Writer(store) as writer:
            total = _added(job, data, done, total, writer, progress)
            writer.finish({"data": int(total.count)})
    assert total is not None
    return job.evaluation(total)


def _restored(job: _Job, store: Store | None) -> tuple[int, Carry | None]:
    """How many batches are done already, and what is known of their data."""
    done, total = 0, None
    for part in range(0 if store is None else store.parts):
        header, arrays = store.read(part)
        done, total = done + header["batches"], added(job.statistic, total, unpacked(arrays, job.step.start))
    return done, total


def _added(job: _Job, data: Batches, done: int, total: Carry | None, writer: _Writer, progress: bool) -> Carry | None:
    before = 0 if total is None else int(total.count)
    size = max(1, GROUP // (data.size * job.placed.processes))
    with shown_progress(data.total, progress, before) as bar:
        sent = groups(job.step, job.params, data, done, job.placed, size, writer.is_open, bar.advance)
        try:
            for group in one_late(sent):
                part = on_host_from(group.carry, before)
                total = added(job.statistic, total, part)
                if writer.is_open:
                    writer.write(columns(group.rows, job.step.names, before), group.batches, part)
                before = int(total.count)
        except Exception as error:
            writer.wait()
            _tell(error, None if total is None else job.evaluation(total), writer.is_open)
            raise
    return total


def _tell(error: Exception, found: Evaluation | None, is_stored: bool) -> None:
    """Adds to an error what was done before it."""
    if found is not None:
        error.evaluation = found  # type: ignore[attr-defined]
        more = "; with `resume=True` the same call goes on from there" if is_stored else ""
        error.add_note(f"`evaluate` had done {found.count} data: see `evaluation` of this error{more}.")


class _Writer:
    """Writes parts while the next are computed; with no store, nothing."""

    def __init__(self, store: Store | None):
        self._store, self._pool, self._pending = store, ThreadPoolExecutor(1), None

    @property
    def is_open(self) -> bool:
        return self._store is not None

    def write(self, rows: dict[str, np.ndarray], batches: int, part: Carry) -> None:
        self.wait()
        if self._store is not None:
            arguments = (self._store.parts, rows, {"batches": batches}, packed(part))
            self._pending = self._pool.submit(self._store.write, *arguments)

    def wait(self) -> None:
        """Until what was given is on disk."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def finish(self, header: dict[str, Any]) -> None:
        self.wait()
        if self._store is not None:
            self._store.finish(header)

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()
