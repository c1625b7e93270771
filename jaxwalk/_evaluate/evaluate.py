"""`evaluate`: a whole dataset through the walk, batch by batch, in constant memory."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax

from .. import _signals
from .._errors import ArgumentError, DataError, PointError, StoreError, argument, shown
from .._jax.jaxprs import Closed, trace
from .._jax.leaves import opened_leaves
from .._jax.tracing import Staged
from .._points.find import check_by, find
from .._points.name_patterns import At, choose
from .._points.point import Points
from .._show.progress import progress as shown_progress
from .._source.user_files import Source
from .._walk.walk import loss_only, walk_staged
from ..stats import Statistic, summary
from .arguments import check_takes, check_untraced, statistic_of
from .batch_checksums import SAME, Fingerprint
from .batches import Batches, open_batches
from .device_totals import Totals
from .host_totals import columns, evaluation_of, from_arrays, merge_totals, to_arrays, totals_on_host
from .loop import Loop, check_finished, one_behind
from .placement import placement
from .processes import Resumed, broadcast, gather, is_first
from .result.evaluation import Evaluation
from .run_identity import identity
from .step import CompiledStep, Task, step_of
from .store.store import Store
from .store.writer import PartWriter

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
    """Walk `fun(params, x, y)` through every datum of a dataset, in constant memory: statistics of output and δ by
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
            statistics, `top`, batches, versions of jax and jaxwalk, and settings of JAX and XLA that change numbers;
            the devices may be others. Batches that are done are gone through, compared, and passed over; so they are
            where all is done. They are compared by a checksum, which takes a processor about 1 ms for 3 MB while they
            are walked. Each part keeps `top` culprits, so that another `top` is refused; more of them are in the rows.
            What runs outside of JAX is not compared (a callback on the host, the code behind `jax.ffi`), nor, after the
            first batch, the numbers in JAX's arrays that lie on an accelerator. Where nothing is there, begin.
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
        KeyboardInterrupt: likewise. Ctrl-C is answered between two batches, or within `batches`, and once the first
            batch has been compiled; a second one at once, and the group of batches that is under way is then lost.

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
    data = open_batches(batches)
    check_untraced(data.first)
    check_takes(fun, data)
    placed = placement(mesh, data.size, params, data.first)
    with placed.context(), contextlib.ExitStack() as stack:
        given, closed = opened_leaves(params)
        arrays = placed.params(given)
        staged, points = find(fun, (closed(arrays), *data.datum), {}, by, source, None, _loss_of_datum)
        chosen = _with_delta(choose(points, at, by))
        rows = data.size * placed.processes
        task = Task(staged, arrays, data.form.rows, chosen, statistic, top, rows, placed)
        run = _Run(task, step_of(task), data, given, is_stored=out is not None)
        store, resumed = (None, Resumed()) if out is None else _opened(stack, run, out, resume)
        return _evaluation(run, store, resumed, progress)


class _Run(NamedTuple):
    """One call of `evaluate`.

    Attributes:
        params: the arrays among the parameters, where they lay before.
        is_stored: whether what is found is written to disk.
    """

    task: Task
    step: CompiledStep
    data: Batches
    params: list[Any]
    is_stored: bool

    def identity(self) -> dict[str, str]:
        """Return what must be the same for a run to resume another."""
        task, data = self.task, self.data
        others = {"batch_size": data.size, "top": task.top, "processes": task.placed.processes}
        function, walk = task.staged.closed, _walk_of_a_batch(task, data.size)
        return identity(function, walk, self.params, task.points, task.statistic, data.first, **others)

    def evaluation(self, totals: Totals) -> Evaluation:
        return evaluation_of(totals, self.task.statistic, self.task.points, self.step)


def _with_delta(points: Points) -> Points:
    """Return the same, if any of them has a δ."""
    if not any(point.has_delta for point in points.values()):
        name, point = next(iter(points.items()))
        raise PointError(f"No point has a δ to evaluate, as `{name}`: {point.why_no_delta()} Choose others by `at`.")
    return points


def _walk_of_a_batch(task: Task, size: int) -> Closed:
    """Return the program of the loss and of δ at the points, of `size` data at once."""

    def walk(params: list[Any], leaves: list[Any]) -> tuple[Any, list[Any]]:
        staged = task.staged._replace(args=[*params, *leaves])
        walked = walk_staged(staged, Points(task.with_delta), lambda output, delta: delta)
        return walked.value, list(walked.kept.values())

    rows = [jax.ShapeDtypeStruct((size, *row.shape), row.dtype) for row in task.datum]
    return trace(jax.vmap(walk, in_axes=(None, 0)), task.params, rows)[0]


def _loss_of_datum(staged: Staged) -> list[bool]:
    try:
        return loss_only(staged, has_aux=False)
    except ArgumentError as error:
        said = str(error).partition(";")[0].replace("The loss", "The loss of one datum", 1)
        fix = "`evaluate` gives `fun` one datum at a time, without the axis of the batch: return one float for it"
        raise ArgumentError(f"{said}; {fix}.") from None


# What is on disk -----------------------------------------------------------------------------------------


def _opened(
    stack: contextlib.ExitStack, run: _Run, out: str | os.PathLike[str], resume: bool
) -> tuple[Store | None, Resumed]:
    """Open the store, which `stack` closes, and read what is done. Of several processes, the first has the store."""
    if run.task.placed.processes == 1:
        store = stack.enter_context(Store.open(out, run.identity(), resume))
        _check_as_many(store, run.data)
        return store, _resumed(run, store)
    store, resumed, refusal = None, Resumed(), None
    try:
        if is_first():
            store = stack.enter_context(Store.open(out, run.identity(), resume))
            resumed = _resumed(run, store)
    except StoreError as error:
        refusal = error
    return store, broadcast(resumed, refusal, run.step.no_totals)


def _check_as_many(store: Store, data: Batches) -> None:
    """Refuse other data before all are gone through, where it is known how many there are."""
    ended = store.header or {}
    before = ended.get("total")
    if isinstance(before, int) and data.total and before != data.total and ended.get("unit") == data.unit:
        of_one, many = (1, "rows") if data.unit == "row" else (data.size, "batches")
        now, then = data.total // of_one, before // of_one
        when = f"when the evaluation in `{argument('out')}` came to its end"
        raise DataError(f"`{argument('batches')}` has {now} {many}, and had {then} {when}; {SAME}.")


def _resumed(run: _Run, store: Store) -> Resumed:
    done, totals = [], None
    for part in range(store.parts):
        header, arrays = store.read(part)
        done.append([Fingerprint(*fed) for fed in header["fed"]])
        totals = merge_totals(run.task.statistic, totals, from_arrays(arrays, run.step.no_totals))
    return Resumed(done, totals, store.finished)


# Through the data ----------------------------------------------------------------------------------------


def _evaluation(run: _Run, store: Store | None, resumed: Resumed, progress: bool) -> Evaluation:
    totals: Any = resumed.totals
    if resumed.is_finished:
        try:
            check_finished(run.data, resumed.mine, run.task.placed.processes)
        except Exception as error:
            error.evaluation = run.evaluation(totals)  # type: ignore[attr-defined]
            raise
    else:
        with PartWriter(store, resumed.data) as writer:
            totals = _added(run, resumed, writer, progress)
    return run.evaluation(totals)


def _added(run: _Run, resumed: Resumed, writer: PartWriter, progress: bool) -> Totals | None:
    """Add the data that are not done, and write them part by part."""
    data, totals, before = run.data, resumed.totals, resumed.data
    with _signals.held_back(), shown_progress(data.total, progress, before) as bar:
        loop = Loop(run.step, run.task.params, run.task.placed, _group_size(run.task), run.is_stored, bar.advance)
        try:
            for group in one_behind(loop.groups(data, resumed.mine)):
                part = totals_on_host(group.totals, before)
                totals = merge_totals(run.task.statistic, totals, part)
                fingerprints = gather(group.fingerprint)
                if writer.is_open:
                    writer.write(columns(group.rows, run.step.names, before), {"fed": fingerprints}, to_arrays(part))
                before = int(totals.data)
            writer.finish({"data": before, "total": data.total, "unit": data.unit})
            _signals.check()
        except BaseException as error:
            _tell(error, run, totals, writer)
            raise
    return totals


def _group_size(task: Task) -> int:
    """Return how many batches make a group: on the device, entries are counted in 32 bits."""
    entries = max(math.prod(p.shape[len(p.axes) :]) for p in task.with_delta)
    if task.statistic is not None and task.rows * entries > COUNTED:
        raise ArgumentError(
            f"`batches` have {task.rows} rows, and a point has {entries} entries for each, which is more together than"
            f" the {COUNTED} that can be counted; give smaller batches, or `keep=None`."
        )
    return max(1, min(GROUP // task.rows, COUNTED // (task.rows * max(entries, 1))))


def _tell(error: BaseException, run: _Run, totals: Totals | None, writer: PartWriter) -> None:
    """Add to an error what was done before it, once that is on disk."""
    try:
        writer.wait()
    except StoreError as unwritten:
        error.add_note(str(unwritten))
    if totals is not None:
        error.evaluation = run.evaluation(totals)  # type: ignore[attr-defined]
        stored = f"; {writer.data} of them are in `out`: with `resume=True` the same call goes on from there"
        more = stored if writer.is_open else ""
        error.add_note(f"`evaluate` had done {int(totals.data)} data: see `evaluation` of this error{more}.")
