"""`learn`: training with optax, watched, recorded, and stopped where it is not finite."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from .. import _signals
from .._errors import ArgumentError, StoreError, counted
from .._evaluate.arguments import check_takes, check_untraced
from .._evaluate.placement import Placement, placement
from .._evaluate.run import Output
from .._points.name_patterns import At
from .._show.progress import progress as shown_progress
from .._source.user_files import Source
from ..stats import health
from .arguments import check
from .history import History
from .loop.checkpoints import opened
from .loop.epochs import Epochs
from .loop.held_out import HeldOut
from .loop.identity import identity
from .loop.run import Log, Run
from .step.asked import Asked
from .step.programs import kept_for
from .step.step import Step

LOSS = 16  # columns of the bar in which the loss is shown


class Learned(NamedTuple):
    """What `learn` returns.

    Attributes:
        params: as they are after the last step.
        opt_state: the optimizer's state then.
        history: a `History`: the loss, and what was kept, by step.
    """

    params: Any
    opt_state: Any
    history: History

    def __repr__(self) -> str:
        return repr(self.history)


def learn(
    fun: Callable,
    params: Any,
    batches: Iterable[Any] | Callable[[int], Iterable[Any]],
    optimizer: optax.GradientTransformation,
    *,
    epochs: int = 1,
    at: At = None,
    by: str | None = None,
    source: Source = None,
    keep: Callable[[Any, Any], Any] | None = health,
    every: int = 1,
    evaluate: Iterable[Any] | Callable[[int], Iterable[Any]] | None = None,
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    log: Log | None = None,
    on_nonfinite: str = "stop",
    mesh: jax.sharding.Mesh | None = None,
    progress: bool = True,
) -> Learned:
    """Train `fun(params, x, y)` with an optimizer of optax, and look at every point of it on the way.

    A step is what `jw.watch` makes of the mean of `fun` over a batch, `mean(vmap(fun))`: one forward and one backward
    pass give the update and what is kept. So δ at a point has the axis of the batch in front (behind those of scans),
    and carries the 1/n of the mean. The step is compiled once for each length of batch. While one is computed, the host
    looks at the one before. What is compiled is reused by a later `learn` of the same function, optimizer, points,
    `keep` and form of params and data, as long as it can see that nothing has changed that these read.

    Arguments:
        fun: the loss of one datum, a real scalar: `fun(params, *datum)`, as in `evaluate`.
        params: its first argument, a pytree of floating-point arrays. It is copied: yours stays as it is.
        batches: an iterable of pytrees of arrays with a leading axis, one row per datum, all like the first; one may be
            shorter, and is computed as it is. The parts of a tuple or list are the arguments after `params`. With
            `epochs` above 1 it is gone through again, so that a generator is refused; or a function from the number of
            an epoch, from 0, to an iterable. To shuffle is yours.
        optimizer: of optax; its state begins as `optimizer.init(params)`.
        epochs: how often to go through the batches.
        at, by, source, keep: as of `watch`.
        every: look at the points, and record, in each so many-th step alone; the steps between are a program of
            their own, which keeps nothing.
        evaluate: held-out batches, as `batches` are given; at the end of each epoch `jw.evaluate` goes through them,
            with `keep` (for `jw.stats.health`, `jw.stats.summary`): `history.evaluations`. Their first is taken before
            the first step, to see that it fits, and is the first of the first evaluation.
        out: a directory to write to: params, optimizer's state, history and the place in the data, whole or not at
            all, at least 30 seconds after the last time (and 20 times as long as that took), at the end, and whenever
            something ends the run. Needs orbax-checkpoint, the extra `checkpoint`. The last two are there.
        resume: go on with what is in `out`: what then comes is, bit for bit on a CPU, what would have come without the
            break. The function, params (as they were at the very beginning), points, `keep`, `every`, optimizer, first
            batch, versions and settings of jax must be the same; `epochs` may be more, and `on_nonfinite` another.
            Batches that are done are gone through, compared by a checksum, and passed over; of a function of the
            epoch's number, only those of the epoch under way. So they must come in the same order. `log` is told again
            of steps after the last checkpoint. Where nothing is there, begin.
        log: a function (step, {name: number}), called for each step that is looked at, one step late, in order: "loss",
            "data/s", "point/delta_l2" (in a loop "point/0/delta_l2", for each of its steps), "weights/path/update_l2";
            and "evaluate/loss". What it raises ends the run.
        on_nonfinite: what to do where the loss or a gradient is NaN or Inf. "stop": raise a NonfiniteError, with the
            params as they were before that step, which the compiled step itself refuses. "skip": leave such steps out,
            params and optimizer's state unchanged, and count them in `history.notes`. "ignore": go on with what comes.
        mesh: devices among which each batch is divided, along the first axis of the mesh. Params that are divided among
            them already stay as they are, and come out so; others, and the optimizer's state, are copied to all. A
            later batch whose rows do not divide, as a short last one, is computed as a whole by each device. A run may
            be gone on with on other devices, whose rounding is another.
        progress: show a bar on standard error, if that is a terminal or a notebook and rich is installed.

    Returns:
        Learned: (params, opt_state, history).

    Raises:
        ArgumentError: an argument does not fit; a batch is not like the first; `fun` or `optimizer` fails on what it is
            given; the mesh does not divide the first batch.
        PointError: as of `walk`.
        DataError: there is no batch, in the first epoch or in a later one; with `resume`, batches that are done have
            changed, are fewer or more.
        StoreError: `out` is something else, holds another run or one that is not to be resumed, or cannot be written.
        NonfiniteError: see `on_nonfinite`. Its attributes: `learned`, `batch`.
        Whatever `batches` or `log` raises. What was done until then is in the attribute `learned` of the error; of
            Ctrl-C, too.

    >>> import jax, jax.numpy as jnp, numpy as np, optax, jaxwalk as jw
    >>> def fun(weights, x, y):
    ...     return (jw.tag(x @ weights, "prediction") - y) ** 2
    >>> x = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, 1.0]], np.float32)
    >>> y = x @ np.array([1.0, -1.0], np.float32)
    >>> params, opt_state, history = jw.learn(fun, jnp.zeros(2), [(x, y)], optax.sgd(0.2), epochs=50)
    >>> np.round(params, 2), history.steps.shape, history.kept["prediction"]["delta_l2"].shape
    (Array([ 1., -1.], dtype=float32), (50,), (50,))
    """
    asked = Asked(fun, optimizer, at, by, source, keep, every, on_nonfinite, mesh)
    check(asked, params, epochs, log)
    output = Output.checked(out, resume)
    data = Epochs(batches, epochs)
    with contextlib.ExitStack() as stack:
        run, known = _begun(stack, asked, params, data, evaluate is not None)
        held_out = None if evaluate is None else HeldOut(asked, evaluate, epochs, run.params, data, not resume)
        if output.path is not None:
            run.checkpoints = stack.enter_context(opened(output.path, output.resume, known))
            run.restore()
            _check_epochs(epochs, run)
        total, done = data.total, run.done.place.data
        stack.enter_context(_signals.held_back())
        run.log = log
        run.bar = stack.enter_context(shown_progress(total and total * epochs, progress, done, "learn", LOSS))
        try:
            run.go(epochs, held_out)
        except BaseException as error:
            _tell(error, run)
            raise
    return _learned(run)


def _begun(
    stack: contextlib.ExitStack, asked: Asked, params: Any, source: Epochs, is_evaluated: bool
) -> tuple[Run, Callable[[], dict[str, str]]]:
    """Return the run, which has not begun, and what gives its identity. What is computed until `stack` ends is computed
    on the mesh."""
    data = source.form
    check_untraced(data.first, who="learn")
    check_takes(asked.fun, data)
    placed = placement(asked.mesh, data.size, params, data.first)
    stack.enter_context(placed.context())
    step = Step(asked, placed)
    params = _placed(params, placed)
    state = _placed(step.optimizer.init(params), placed)
    step.kept = kept_for(asked, params, data)
    rows = [jax.ShapeDtypeStruct((data.size, *row.shape), row.dtype) for row in data.form.rows]
    step.prepare(params, state, data.arguments(rows))
    known = lambda: identity(asked, params, state.inner, data, step.points, is_evaluated)
    return Run(asked, step, source, placed, params, state), known


def _placed(tree: Any, placed: Placement) -> Any:
    """Return arrays of our own, where they are to be."""
    leaves, structure = jax.tree.flatten(jax.tree.map(_copied, tree))
    return jax.tree.unflatten(structure, placed.params(leaves))


def _copied(leaf: Any) -> Any:
    """Return an array of our own, which a step may be given for good; its dtype is not weak."""
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return leaf.copy()
    return jnp.array(leaf, jnp.result_type(leaf), copy=True)


def _learned(run: Run) -> Learned:
    return Learned(run.params, run.state.inner, run.done.history())


def _tell(error: BaseException, run: Run) -> None:
    """Add to an error what was done before it, once that is on disk."""
    error.learned = _learned(run)  # type: ignore[attr-defined]
    saved = ""
    if run.checkpoints is not None:
        try:
            run.save()
            saved = ", and `out`"
        except StoreError as unwritten:
            error.add_note(str(unwritten))
    error.add_note(f"`learn` had done {counted(run.done.place.step, 'step')}: see `learned` of this error{saved}.")


def _check_epochs(epochs: int, run: Run) -> None:
    if run.done.place.epoch > epochs:
        raise ArgumentError(
            f"`epochs` is {epochs}, and the run in `out` has done {run.done.place.epoch}; give at least as many."
        )
