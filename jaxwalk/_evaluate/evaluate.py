"""`evaluate`: a whole dataset through the walk, batch by batch, in constant memory."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax

from .._errors import ArgumentError, DataError, PointError, StoreError, argument, shown
from .._jax.jaxprs import trace
from .._jax.leaves import opened_leaves
from .._jax.stage import Staged
from .._points.at import At, choose
from .._points.find import check_by, find
from .._points.point import Points
from .._show.progress import progress as shown_progress
from .._source.files import Source
from .._walk.walk import loss_only, walk
from ..stats import Statistic, summary
from .arguments import check_takes, check_untraced, statistic_of
from .batches import Batches, opened
from .group import Carry
from .identity import identity
from .loop import check_finished, groups, one_late
from .placement import Placement, placement
from .processes import Begun, everyones, is_first, shared
from .replay import SAME, Fed
from .result.evaluation import Evaluation
from .step import Step, step_of
from .store.store import Store
from .total import Writer, added, columns, evaluation_of, on_host_from, unpacked

COUNTED = 2**31 - 1  # entries, at most, that are counted on the device
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
            results are averaged over the data; None for nothing but norms and losses. At a point in a branch of a
            `cond` or `switch`, statistics are of the data that took it; `Evaluation.seen` says how many they are.
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
            statistics, `top`, batches and version of jax; the devices may be others. Batches that are done are gone
            through, compared, and passed over; so they are where all is done. They are compared by a checksum, which
            takes a processor about 1 ms for 3 MB while they are walked. Each part keeps `top` culprits, so that another
            `top` is refused; more of them are in the rows. What a callback does on the host is not compared, nor, after
            the first batch, the numbers in JAX's arrays that lie on an accelerator. Where nothing is there, begin.
        progress: show a bar on standard error, if that is a terminal or a notebook and rich is installed.

    Returns:
        Evaluation: count, loss, what was kept by point, culprits; shown as tables.

    Raises:
        ArgumentError: an argument does not fit; a batch is not like the first, or has more rows; the mesh does not
            divide a batch; with no mesh, arrays lie on different devices.
        PointError: as of `walk`.
        DataError: there is no batch, or no row in the first; with `resume`, batches that are done have changed, are
            fewer, or, where all is done, are more.
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
    statistic = statistic_of(keep)
    check_untraced(params)
    if not isinstance(top, int) or isinstance(top, bool) or top < 1:
        raise ArgumentError(f"`top` is {shown(top)}; it must be an integer of at least 1.")
    if resume and out is None:
        raise ArgumentError("`resume=True` goes on with what is in `out`, but no `out` is given; name the directory.")
    data = opened(batches)
    check_untraced(data.first)
    check_takes(fun, data)
    placed = placement(mesh, data.size, params, data.first)
    with placed.context():
        job = _job(fun, params, data, at, by, source, statistic, top, placed, out is not None)
        with contextlib.ExitStack() as stack:
            return _run(job, data, *_begun(stack, job, data, out, resume), progress)


class _Job(NamedTuple):
    """What is done with every batch.

    Attributes:
        is_stored: whether what is found is written to disk.
        identity: what must be the same for a run to go on with what another began.
    """

    step: Step
    params: list[Any]
    placed: Placement
    points: Points
    statistic: Statistic | None
    is_stored: bool
    identity: Callable[[], dict[str, str]]

    def evaluation(self, total: Carry) -> Evaluation:
        return evaluation_of(total, self.statistic, self.points, self.step)


def _job(fun, params, data: Batches, at, by, source, statistic, top, placed: Placement, is_stored: bool) -> _Job:
    given, closed = opened_leaves(params)
    arrays = placed.params(given)
    params = closed(arrays)
    staged, points = find(fun, (params, *data.datum), {}, by, source, None, _loss_of_datum)
    chosen = _with_delta(choose(points, at, by))
    step = step_of(
        fun, chosen, by, source, data.arguments, statistic, top, (params, data.form.rows, data.size * placed.processes),
        placed.groups, placed.whole,
    )  # fmt: skip

    def same() -> dict[str, str]:
        deltas = _deltas(fun, step.names, by, source, closed)
        walked, _ = trace(deltas, arrays, *data.datum)
        others = {"batch_size": data.size, "top": top, "processes": placed.processes}
        return identity(staged.closed, walked, given, chosen, statistic, data.first, **others)

    return _Job(step, arrays, placed, chosen, statistic, is_stored, same)


def _with_delta(points: Points) -> Points:
    """The same, if any of them has a δ."""
    if not any(point.has_delta for point in points.values()):
        name, point = next(iter(points.items()))
        raise PointError(f"No point has a δ to evaluate, as `{name}`: {point.why_no_delta()} Choose others by `at`.")
    return points


def _deltas(fun: Callable, names: list[str], by: str | None, source: Source, closed: Callable) -> Callable:
    """(the arrays among params, *datum) -> δ by point."""
    walked = walk(fun, names, by=by, source=source, keep=lambda output, delta: delta)
    return lambda arrays, *datum: list(walked(closed(arrays), *datum).kept.values())


def _loss_of_datum(staged: Staged) -> list[bool]:
    try:
        return loss_only(staged, has_aux=False)
    except ArgumentError as error:
        said = str(error).partition(";")[0].replace("The loss", "The loss of one datum", 1)
        fix = "`evaluate` gives `fun` one datum at a time, without the axis of the batch: return one float for it"
        raise ArgumentError(f"{said}; {fix}.") from None


def _begun(
    stack: contextlib.ExitStack, job: _Job, data: Batches, out: str | os.PathLike[str] | None, resume: bool
) -> tuple[Store | None, Begun]:
    """The store, held open by `stack`, and what it says is done. Of several processes, the first has it."""
    if out is None:
        return None, Begun()
    if job.placed.processes == 1:
        store = stack.enter_context(Store.open(out, job.identity(), resume))
        _check_as_many(store, data)
        return store, _restored(job, store)
    store, begun, refusal = None, Begun(), None
    try:
        if is_first():
            store = stack.enter_context(Store.open(out, job.identity(), resume))
            begun = _restored(job, store)
    except StoreError as error:
        refusal = error
    return store, shared(begun, refusal, job.step.start)


def _check_as_many(store: Store, data: Batches) -> None:
    """Says so before all are gone through, where it is known how many there are."""
    ended = store.header or {}
    before = ended.get("total")
    if before and data.total and before != data.total and ended["unit"] == data.unit:
        of_one, many = (1, "rows") if data.unit == "row" else (data.size, "batches")
        now, then = data.total // of_one, before // of_one
        when = f"when the evaluation in `{argument('out')}` came to its end"
        raise DataError(f"`{argument('batches')}` has {now} {many}, and had {then} {when}; {SAME}.")


def _run(job: _Job, data: Batches, store: Store | None, begun: Begun, progress: bool) -> Evaluation:
    total: Any = begun.total
    if begun.is_finished:
        try:
            check_finished(data, begun.mine, job.placed.processes)
        except Exception as error:
            error.evaluation = job.evaluation(total)  # type: ignore[attr-defined]
            raise
    else:
        with Writer(store, begun.data) as writer:
            total = _added(job, data, begun, writer, progress)
    return job.evaluation(total)


def _restored(job: _Job, store: Store) -> Begun:
    """How many batches are done already, and what is known of their data."""
    done, total = [], None
    for part in range(store.parts):
        header, arrays = store.read(part)
        done.append([Fed(*fed) for fed in header["fed"]])
        total = added(job.statistic, total, unpacked(arrays, job.step.start))
    return Begun(done, total, store.finished)


def _added(job: _Job, data: Batches, begun: Begun, writer: Writer, progress: bool) -> Carry | None:
    total, before, size = begun.total, begun.data, _group_size(job, data)
    with shown_progress(data.total, progress, before) as bar:
        sent = groups(job.step, job.params, data, begun.mine, job.placed, size, bar.advance, job.is_stored)
        try:
            for group in one_late(sent):
                part = on_host_from(group.carry, before)
                total = added(job.statistic, total, part)
                fed = everyones(group.fed)
                if writer.is_open:
                    writer.write(columns(group.rows, job.step.names, before), fed, part)
                before = int(total.data)
            writer.finish({"data": before, "total": data.total, "unit": data.unit})
        except BaseException as error:
            _tell(error, job, total, writer)
            raise
    return total


def _group_size(job: _Job, data: Batches) -> int:
    """How many batches make a group: on the device, entries are counted in 32 bits."""
    rows = data.size * job.placed.processes
    entries = max(math.prod(job.points[name].shape[len(job.points[name].axes) :]) for name in job.step.names)
    if job.statistic is not None and rows * entries > COUNTED:
        raise ArgumentError(
            f"`batches` have {rows} rows, and a point has {entries} entries for each, which is more together than the"
            f" {COUNTED} that can be counted; give smaller batches, or `keep=None`."
        )
    return max(1, min(GROUP // rows, COUNTED // (rows * max(entries, 1))))


def _tell(error: BaseException, job: _Job, total: Carry | None, writer: Writer) -> None:
    """Adds to an error what was done before it, once that is on disk."""
    try:
        writer.wait()
    except StoreError as unwritten:
        error.add_note(str(unwritten))
    if total is not None:
        error.evaluation = job.evaluation(total)  # type: ignore[attr-defined]
        stored = f"; {writer.data} of them are in `out`: with `resume=True` the same call goes on from there"
        more = stored if writer.is_open else ""
        error.add_note(f"`evaluate` had done {int(total.data)} data: see `evaluation` of this error{more}.")
