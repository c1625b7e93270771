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
from ._errors import ArgumentError, StoreError, shown
from ._evaluation import Evaluation
from ._everywhere import Begun, everyones, is_first, shared
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
    """Walks `fun(params, x, y)` through every datum of a dataset, in constant memory: statistics of output and δ by
    point, and the data most to blame.

    One program is compiled, for batches of the size of the first; shorter ones are filled up with what does not count.
    While one is computed, the next is brought to the device. Statistics of a batch are merged on the device, inside the
    backward pass where they are large; those of every few thousand data are added up on the host, in 64 bits.

    Arguments:
        fun: the loss of one datum, a real scalar: `fun(params, *datum)`.
        params: its first argument, any pytree; what is no array in it is left as it is.
        batches: an iterable of pytrees of arrays with a leading axis, one row per datum: NumPy's, JAX's, or what turns
            into NumPy's, as PyTorch's tensors. The parts of a tuple or list, such as (x, y), are the arguments after
            `params`; a dict or an array is one argument.
        at, by, source: which points, as of `walk`.
        keep: what to keep of them: a statistic of `jw.stats`; a function (output, δ) -> pytree of arrays, whose
            results are averaged over the data; None for nothing but norms and losses.
        top: how many data of largest loss to keep in `Evaluation.culprits`. Those with a NaN or Inf count as largest.
        mesh: devices among which each batch is divided, along the first axis of the mesh. Params that are divided among
            them already stay as they are; others are copied to all. Under `jax.distributed` each process gives its own
            batches, of one size, which need not be as many; the result, in all of them, is that of all data. Their
            indices are in the order of the steps, in each step first the rows of the first process. With several
            processes and no mesh, all devices are used.
        out: a directory to write to: a row per datum (index, loss, the ℓ2 norm of δ at each point) in Parquet files, a
            part after every 8192 data or so, each there whole or not at all. Needs pyarrow, the extra `store`. Of
            several processes, the first writes.
        resume: go on with what is in `out`, after its last whole part, with the same function, params, points,
            statistics and batches: those that are done are gone through and passed over. Where nothing is there, begin.
        progress: show a bar on standard error, if that is a terminal or a notebook and rich is installed.

    Returns:
        Evaluation: count, loss, what was kept by point, culprits; shown as tables.

    Raises:
        ArgumentError: an argument does not fit; a batch is not like the first, or has more rows; the mesh does not
            divide a batch.
        PointError: as of `walk`.
        DataError: there is no batch, or no row in the first; fewer batches than are done already.
        StoreError: `out` is something else, holds another evaluation or one that is not to be resumed, or cannot be
            written.
        Whatever `batches` raises. What was done until then is in `out`, and in the attribute `evaluation` of the error.

    >>> import jax, jax.numpy as jnp, numpy as np, jaxwalk as jw
    >>> def fun(weights, x, y):
    ...     return (jw.tag(jax.nn.relu(x @ weights), "unit") - y) ** 2
    >>> x, y = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], np.float32), np.zeros(3, np.float32)
    >>> batches = [(x[:2], y[:2]), (x[2:], y[2:])]
    >>> found = jw.evaluate(fun, jnp.ones(2), batches, keep=jw.stats.dead, top=1)
    >>> found.count, found.loss, found.kept["unit"]["dead_count"].item()
    (3, 59.66666793823242, 0)
    >>> found.culprits
    The datum of largest loss
      datum  loss  ‖δ‖ unit
          2   121        22
    """
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
        with contextlib.ExitStack() as stack:
            return _run(job, data, *_begun(stack, job, out, resume), progress)


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
        placed.groups, placed.whole,
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


def _begun(
    stack: contextlib.ExitStack, job: _Job, out: str | os.PathLike[str] | None, resume: bool
) -> tuple[Store | None, Begun]:
    """The store, held open by `stack`, and what it says is done. Of several processes, the first has it."""
    if out is None:
        return None, Begun()
    if job.placed.processes == 1:
        store = stack.enter_context(Store.open(out, job.identity, resume))
        return store, _restored(job, store)
    store, begun, refusal = None, Begun(), None
    try:
        if is_first():
            store = stack.enter_context(Store.open(out, job.identity, resume))
            begun = _restored(job, store)
    except StoreError as error:
        refusal = error
    return store, shared(begun, refusal, job.step.start)


def _run(job: _Job, data: Batches, store: Store | None, begun: Begun, progress: bool) -> Evaluation:
    done, total = begun.batches[jax.process_index()] if begun.batches else 0, begun.total
    if not begun.is_finished:
        with _Writer(store) as writer:
            total = _added(job, data, done, total, writer, progress)
            writer.finish({"data": int(total.count)})
    assert total is not None
    return job.evaluation(total)


def _restored(job: _Job, store: Store) -> Begun:
    """How many batches are done already, and what is known of their data."""
    done, total = [0] * job.placed.processes, None
    for part in range(store.parts):
        header, arrays = store.read(part)
        done = [a + b for a, b in zip(done, header["batches"], strict=True)]
        total = added(job.statistic, total, unpacked(arrays, job.step.start))
    return Begun(done, total, store.finished)


def _added(job: _Job, data: Batches, done: int, total: Carry | None, writer: _Writer, progress: bool) -> Carry | None:
    before = 0 if total is None else int(total.count)
    size = max(1, GROUP // (data.size * job.placed.processes))
    with shown_progress(data.total, progress, before) as bar:
        sent = groups(job.step, job.params, data, done, job.placed, size, writer.is_open, bar.advance)
        try:
            for group in one_late(sent):
                part = on_host_from(group.carry, before)
                total = added(job.statistic, total, part)
                batches = everyones(group.batches)
                if writer.is_open:
                    writer.write(columns(group.rows, job.step.names, before), batches, part)
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

    def write(self, rows: dict[str, np.ndarray], batches: list[int], part: Carry) -> None:
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
