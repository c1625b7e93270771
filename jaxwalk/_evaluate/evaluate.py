"""`evaluate`: a whole dataset through the walk, batch by batch, in constant memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import jax

from .._points.name_patterns import At
from .._source.user_files import Source
from ..stats import Statistic, summary
from .arguments import Asked
from .programs import Programs, kept_for
from .result.evaluation import Evaluation
from .run import Output, run


def evaluate(
    fun: Callable,
    params: Any,
    batches: Iterable[Any],
    *,
    at: At = None,
    by: str | None = None,
    source: Source = None,
    keep: Statistic | Callable[[Any, Any], Any] | None = summary,
    method: Callable[..., Any] | None = None,
    top: int = 20,
    mesh: jax.sharding.Mesh | None = None,
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: bool = True,
) -> Evaluation:
    """Walk `fun(params, x, y)` through every datum of a dataset, in constant memory: statistics of output and δ by
    point, and the data most to blame.

    One program is compiled, for batches of the size of the first; shorter ones are filled up with what does not count.
    Small batches that lie on the host are joined, up to 64 rows, if `fun` is small and has no side effects. While one
    is computed, the next is brought to the device. Statistics of a batch are merged on the device, inside the backward
    pass where they are large; those of batches, and of every few thousand data, are added up on the host, in 64 bits.

    The program computes norms and means as it is quickest for numbers of common size. A batch in which a norm is NaN or
    Inf, or the largest entry of an output or of a δ is not zero and below 2**-40 or above 2**40, is taken again by a
    second program, right for all numbers, which is compiled for the first such batch. A function with side effects, as
    `jax.debug.print`, has that program alone, and runs once for each datum.

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
        method: in the place of `keep`, one of `jw.attribute`, or a partial of one with its options, as
            `functools.partial(jw.attribute.conductance, steps=16)`; or a function (fun, at, *, by, source, argnums)
            that returns one of (params, *datum), which may have more parts than `fun` takes. `fun` is then what is
            explained, a score or a loss, and x, the argument after params, what it is attributed to, unless the
            partial names other `argnums`. `Evaluation.kept` has by point the mean of the totals, and the mean and the
            largest |score|, in a loop for each step; `gap`, if the method promises a sum, how far it is from that.
            Culprits, and the rows of `out`, have for each datum one total by point: in a loop that of all steps
            together. A key is the same for all data, and so are baselines and others that are no functions of x.
        top: how many data of largest loss to keep in `Evaluation.culprits`, or all if there are fewer. Those with a NaN
            or Inf count as largest.
        mesh: devices among which each batch is divided, along the first axis of the mesh. Params that are divided among
            them already stay as they are; others are copied to all. Under `jax.distributed` each process gives its own
            batches, of one size, which need not be as many; the result, in all of them, is that of all data. Their
            indices are in the order of the steps, in each step first the rows of the first process. With several
            processes and no mesh, all devices are used. What ends one process (an error, a full disk, Ctrl-C; SIGTERM,
            where JAX listens for it) ends all at the next step, each with a sentence. One that is killed tells nobody:
            the others raise a ProcessError where the connection breaks, unless the first process was killed, for then
            XLA ends them with SIGABRT; and at the end of a program JAX waits for the one that is gone, which
            `heartbeat_timeout_seconds` and `shutdown_timeout_seconds` of `jax.distributed.initialize` bound, and then
            ends it with SIGABRT. What is in `out` is whole, and is gone on with.
        out: a directory to write to: a row per datum (index, loss, the ℓ2 norm of δ at each point; with a method, the
            total there, and the gap) in Parquet files, a part after every 8192 data or so, each there whole or not at
            all. Needs pyarrow, the extra `store`. Of several processes, the first writes, and all name a directory.
        resume: go on with what is in `out`, after its last whole part, with the same function, params, points,
            statistics (or method and its options), `top`, batches and version of jax; the devices may be others.
            Batches that are done are gone through, compared, and passed over; so they are where all is done. They are
            compared by a checksum, which takes a processor about 1 ms for 3 MB while they are walked. Each part keeps
            `top` culprits, so that another `top` is refused; more of them are in the rows. What a callback does on the
            host is not compared, nor, after the first batch, the numbers in JAX's arrays that lie on an accelerator.
            Where nothing is there, begin. What is finished is read, and nothing is written.
        progress: show a bar on standard error, if that is a terminal or a notebook and rich is installed.

    Returns:
        Evaluation: count, loss, what was kept by point, culprits; shown as tables.

    Raises:
        ArgumentError: an argument does not fit; a batch is not like the first, or has more rows; the mesh does not
            divide a batch; with no mesh, arrays lie on different devices.
        PointError: as of `walk`; a method has no scores at points.
        DataError: there is no batch, or no row in the first; with `resume`, batches that are done have changed, are
            fewer, or, where all is done, are more.
        StoreError: `out` is something else, holds another evaluation or one that is not to be resumed, or cannot be
            written.
        ProcessError: another process failed with what is no error of jaxwalk's (of these, all raise the same), was
            stopped, or is gone; or one was sent SIGTERM.
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
    >>> found = jw.evaluate(fun, jnp.ones(2), batches, method=jw.attribute.gradient_times_output)
    >>> round(found.kept["unit"]["total_mean"].item(), 2), found.culprits[0].totals["unit"]
    (119.33, 242.0)
    """
    programs = kept_for(Asked.checked(fun, at, by, source, keep, top, mesh, method))
    return Evaluator(programs)(params, batches, out=out, resume=resume, progress=progress)


class Evaluator:
    """What `evaluator` returns: `evaluate` of one function, with its programs in hand; arguments as of `evaluate`."""

    def __init__(self, programs: Programs):
        self._programs = programs

    def __call__(
        self,
        params: Any,
        batches: Iterable[Any],
        *,
        out: str | os.PathLike[str] | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Evaluation:
        return run(self._programs, params, batches, Output.checked(out, resume), progress)


def evaluator(
    fun: Callable,
    *,
    at: At = None,
    by: str | None = None,
    source: Source = None,
    keep: Statistic | Callable[[Any, Any], Any] | None = summary,
    method: Callable[..., Any] | None = None,
    top: int = 20,
    mesh: jax.sharding.Mesh | None = None,
) -> Evaluator:
    """Return `evaluate` for one function, with its compiled programs in hand: (params, batches) -> Evaluation.

    For a training loop, where a function is evaluated once an epoch. `evaluate` itself reuses what it has compiled, as
    long as it can see that nothing has changed that the function reads; an evaluator takes that for granted, as
    `jax.jit` does: what `fun`, `keep` and `method` close over is read once for each form of the arguments. Programs are
    kept for each form of `params` and batches, and are gone with the evaluator.

    Arguments:
        fun, at, by, source, keep, method, top, mesh: as of `evaluate`.

    Returns:
        A function (params, batches, *, out=None, resume=False, progress=True), all as of `evaluate`.

    Raises:
        ArgumentError: an argument does not fit; (when called) as of `evaluate`.

    >>> import jax.numpy as jnp, numpy as np, jaxwalk as jw
    >>> def fun(weights, x):
    ...     return jnp.sum(jw.tag(x @ weights, "unit") ** 2)
    >>> data = [np.ones((4, 2), np.float32)]
    >>> run = jw.evaluator(fun, keep=jw.stats.norms)
    >>> for epoch in range(3):
    ...     print(run(jnp.full(2, 1.0 + epoch), data).loss)
    4.0
    16.0
    36.0
    """
    return Evaluator(Programs(Asked.checked(fun, at, by, source, keep, top, mesh, method), is_pure=True))
