"""The transforms that look: `points`, `walk`, `outputs`, `vjp`. Function in, function out, like `jax.grad`."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp

from .._callables import called_with, check_keep, transform
from .._depth import deep_calls
from .._jax.leaves import as_arrays, renamed_after
from .._jax.tracing import Staged
from .._points.columns import Columns
from .._points.find import check_by, find
from .._points.name_patterns import At, check_at, choose
from .._points.ordered_mapping import Named, by_point
from .._points.point import Points
from .._points.units import Keep, keep_at
from .._rewrite.keep import Noted
from .._rewrite.plan import plan
from .._rewrite.rewire import RECORDING, run
from .._rewrite.substitute import Substitute
from .._source.user_files import Source
from .checks.cotangent import check_cotangent
from .checks.loss import loss_only
from .checks.memory import warn_if_large
from .checks.mutable_arrays import differentiating
from .checks.nested_shards import check_nested_shards
from .checks.way_back import leading_back
from .finish import finished, is_finished_together, statistics_at
from .nonfinite import nonfinite_inputs
from .result import Walk
from .taps import collected, slots_of, tapping, taps_at, visited


@deep_calls()
def points(fun: Callable, *args: Any, by: str | None = None, source: Source = None, **kwargs: Any) -> Points:
    """Return what can be walked in `fun` at these arguments. Traces abstractly; computes nothing.

    Arguments:
        fun: any function of arrays.
        *args, **kwargs: its arguments; arrays may be `jax.ShapeDtypeStruct`.
        by, source: as of `walk`.

    Returns:
        Points: by name, in forward order. Shown as a tree, with what it would take to hold every output and δ. Empty
            if there is nothing to name a value by.

    >>> import jax, jax.numpy as jnp, jaxwalk as jw
    >>> jw.points(lambda x: jnp.sum(jw.tag(jnp.tanh(x), "tanh")), jax.ShapeDtypeStruct((3,), "float32"))
    1 point (24 B for every output and δ)
      X  point  kind  shape  dtype
      1  tanh   tag   (3,)   float32
    """
    check_by(by, source)
    with called_with(fun, args, kwargs):
        return find(fun, args, kwargs, by, source)[1]


@transform
def walk(
    fun: Callable,
    at: At = None,
    *,
    by: str | None = None,
    source: Source = None,
    argnums: int | Sequence[int] | None = None,
    has_aux: bool = False,
    keep: Callable[[Any, Any], Any] | None = None,
) -> Callable[..., Walk]:
    """Run `fun` forward and backward, and return the output and δ = ∂loss/∂value of each of its points.

    One backward pass, at the price of one `jax.grad`. The value and the gradients are those of `fun`. Arrays are
    traced, as by `jax.jit`, so that `fun` cannot use Python's `if` on their values; nothing is compiled, for which
    put `jax.jit` around it. It composes with `jax.jit`, `jax.vmap` (one walk per datum), `jax.grad`,
    `jax.checkpoint`, `lax.scan`.

    Arguments:
        fun: any function of arrays whose result is a real scalar, the loss (with `has_aux`: and anything else).
        at: which points. None for all; a name; a glob, in which `*` stays within one part of a name and a part
            `**` is any number of parts; a predicate on `Point`; a list of these. A name is that of one point: the
            second value named `h` is `h#2`, and `h*` is both.
        by: where points come from. "tags": `jw.tag` and `jax.ad_checkpoint.checkpoint_name`. "scopes": the values that
            leave a `jax.named_scope`, named by the scopes they leave ("h/0/attn"); Flax linen and Haiku modules open
            one, those of Equinox and Flax NNX after `jw.scoped`. "lines": the values that leave a line of your
            source, named by function and variable: "net/b" for the line `b = a * 3` of `net`. None: tags and scopes
            together (less those that `jnp.einsum` opens by itself); lines where there are neither.
            A scope entered again, a line that runs again is `name#2`; of several values that leave one, each is
            `name:0`, `name:1`, in the order in which they were computed; a leaf of the tree that a line assigns or
            returns is `name.leaf`. What nothing reads does not leave, unless nothing else does. For lines the function
            is watched while it is traced: by `sys.monitoring` from Python 3.12 on; by `sys.settrace` before, or where
            no tool id is free, and then not while a debugger is at work.
        source: with lines: more files that count as your source, which those of installed packages else do not: a glob
            ("*/optax/*"), a module, or a list of these.
        argnums: as of `jax.grad`: the arguments whose gradients to give as `Walk.grads`. None for none.
        has_aux: whether `fun` returns a pair, the loss and auxiliary data.
        keep: a function (output, δ) -> pytree of small arrays, run at every point, at every step of a scan. What it
            returns is `Walk.kept`, and the full arrays never leave: `Walk.outputs` and `Walk.deltas` are empty. What
            does not depend on δ is computed in the forward pass, the rest inside the backward pass; an output is
            saved for it only where the two are looked at together. In a branch that is not taken `keep` does not run,
            and what is kept is zeros.

    Returns:
        A function of the arguments of `fun` that returns a `Walk`.

    Raises:
        PointError: (when called) there are no points, or `at` matches none, or only opaque ones.
        ArgumentError: `keep` does not take (output, δ); (when called) the loss is not a real scalar; an argument of
            `argnums` cannot be differentiated.

    Warns:
        MemoryWarning: (when called) the outputs and deltas would take more than half of the device's memory.

    >>> import jax, jax.numpy as jnp, jaxwalk as jw
    >>> def loss(x):
    ...     hidden = jw.tag(2 * x, "hidden")
    ...     return jnp.sum(hidden**2)
    >>> jw.walk(loss)(jnp.array([1.0, 3.0])).deltas["hidden"]
    Array([ 4., 12.], dtype=float32)
    """
    walking = walk_together(fun, at, by=by, source=source, argnums=argnums, has_aux=has_aux, keep=keep)

    @renamed_after(fun, "walk")
    def walked(*args: Any, **kwargs: Any) -> Walk:
        found = walking(*args, **kwargs)
        return dataclasses.replace(found, kept=found.kept.apart()) if isinstance(found.kept, Columns) else found

    return walked


def walk_together(
    fun: Callable,
    at: At = None,
    *,
    by: str | None = None,
    source: Source = None,
    argnums: int | Sequence[int] | None = None,
    has_aux: bool = False,
    keep: Keep | None = None,
    check: Callable[[Staged], Sequence[bool]] | None = None,
) -> Callable[..., Walk]:
    """Return what `walk` does, but what is kept of many points may be one array, in `Columns`: so that a program which
    returns it has few results. `check`, in the place of `loss_only`, says what is no loss in words of its own."""
    check_by(by, source)
    check_at(at)
    if keep is not None:
        check_keep(keep)

    @deep_calls()
    def walked(*args: Any, **kwargs: Any) -> Walk:
        used = check or functools.partial(loss_only, has_aux=has_aux)
        with called_with(fun, args, kwargs):
            staged, points = find(fun, args, kwargs, by, source, argnums, used)
        chosen, kept_at = keep_at(staged.closed, choose(points, at, by), keep)
        if keep is None:
            warn_if_large(chosen.nbytes)
            found = walk_staged(staged, chosen, None, has_aux)
            return dataclasses.replace(found, inputs=nonfinite_inputs(args, kwargs))
        if not is_finished_together(keep):
            return walk_staged(staged, chosen, kept_at, has_aux)
        statistics = statistics_at(kept_at, chosen)
        found = walk_staged(staged, chosen, {name: one.of for name, one in statistics.items()}, has_aux)
        return dataclasses.replace(found, kept=finished(found.kept, statistics, chosen))

    return walked


def walk_staged(
    staged: Staged,
    chosen: Points,
    keep: Keep | Mapping[str, Keep | None] | None,
    has_aux: bool = False,
    substitutes: Sequence[Substitute] = (),
    payload: Mapping[str, Any] = MappingProxyType({}),
) -> Walk:
    """Walk a function that is traced already, at the values in `staged.args`; arguments else as of `walk`.

    `keep` may be one by point: then nothing is kept of the others, and where it is None, `output` and `delta` as they
    are. `substitutes` stand in for equations, each with what `payload` has by its name.
    """
    taps = taps_at(chosen, keep)
    met = [p for p in visited(chosen) if p.name in taps or keep is None]
    planned, visitor = plan(staged.closed, met, substitutes), tapping(taps)

    def forward(slots, values):
        outs, records = run(planned, staged.with_chosen(values), slots | payload, visitor)
        loss, aux = staged.results(outs) if has_aux else (*outs, None)
        witnesses = {name: noted.witness for name, noted in records.items() if isinstance(noted, Noted)}
        return (loss, witnesses), (aux, records)

    # The slots are made here, inside whatever is being traced, so that XLA sees that they are zeros.
    slots, values = slots_of(taps), [staged.args[i] for i in staged.chosen]
    with differentiating(staged.closed), leading_back(staged.closed):
        check_nested_shards(staged.closed.jaxpr, forward, slots, values)
        (value, witnesses), pullback, (aux, records) = jax.vjp(forward, slots, values, has_aux=True)
        cotangents, grads = pullback((jnp.ones_like(value), jax.tree.map(jnp.zeros_like, witnesses)))
    found = collected(chosen, taps, cotangents, records)
    if keep is not None:
        gone = _nothing("With `keep`, the arrays do not leave the backward pass; they are there without it.")
        return Walk(value, aux, staged.rebuild(grads), chosen, gone, gone, found)
    none = _nothing("Nothing was kept: `walk` was called without `keep`.")
    return Walk(value, aux, staged.rebuild(grads), chosen, by_point(records, chosen), found, none)


@transform
def outputs(
    fun: Callable, at: At = None, *, by: str | None = None, source: Source = None
) -> Callable[..., tuple[Any, Named]]:
    """Run `fun` forward, and return its result and the output of each of its points.

    Arguments:
        fun: any function of arrays; its result may be anything.
        at, by, source: as of `walk`.

    Returns:
        A function of the arguments of `fun` that returns (result, outputs by name in forward order).

    Raises:
        PointError: (when called) as of `walk`.

    >>> import jax.numpy as jnp, jaxwalk as jw
    >>> value, found = jw.outputs(lambda x: jw.tag(x + 1, "next") * 2)(jnp.float32(3.0))
    >>> float(value), float(found["next"])
    (8.0, 4.0)
    """
    check_by(by, source)
    check_at(at)

    @renamed_after(fun, "outputs")
    @deep_calls()
    def with_outputs(*args: Any, **kwargs: Any) -> tuple[Any, Named]:
        with called_with(fun, args, kwargs):
            staged, points = find(fun, args, kwargs, by, source)
        chosen = choose(points, at, by)
        planned = plan(staged.closed, visited(chosen))
        outs, records = run(planned, staged.args, {}, RECORDING)
        return staged.results(outs), by_point(records, chosen)

    return with_outputs


@deep_calls()
def vjp(
    fun: Callable, *args: Any, at: At = None, by: str | None = None, source: Source = None
) -> tuple[Any, Named, Callable]:
    """`jax.vjp`, with the points of `fun` beside its arguments: for results that are not a scalar loss.

    Arguments:
        fun: any function of arrays; its result may be any pytree of arrays.
        *args: its arguments, pytrees of arrays.
        at, by, source: as of `walk`.

    Returns:
        (value, outputs, pullback): what `fun` returns; the outputs of its points; and a function from a cotangent
        of the value to (deltas by name, a tuple of the cotangents of `args`). It may be called many times.

    Raises:
        PointError: as of `walk`.
        ArgumentError: (by the pullback) the cotangent has not the structure, shapes and dtypes of the value.

    >>> import jax.numpy as jnp, jaxwalk as jw
    >>> value, outputs, pullback = jw.vjp(lambda x: jw.tag(x**2, "square") * 3, jnp.float32(2.0))
    >>> deltas, (dx,) = pullback(jnp.float32(1.0))
    >>> float(deltas["square"]), float(dx)
    (3.0, 12.0)
    """
    check_by(by, source)
    check_at(at)
    args = as_arrays(args)
    with called_with(fun, args, {}):
        staged, points = find(fun, args, {}, by, source)
    chosen = choose(points, at, by)
    taps = taps_at(chosen, None)
    planned = plan(staged.closed, visited(chosen))
    visitor = tapping(taps)

    def forward(slots, *args):
        outs, records = run(planned, jax.tree.leaves(args), slots, visitor)
        return staged.results(outs), records

    slots = slots_of(taps)
    with differentiating(staged.closed), leading_back(staged.closed):
        check_nested_shards(staged.closed.jaxpr, forward, slots, *args)
        value, pull, records = jax.vjp(forward, slots, *args, has_aux=True)

    def pullback(ct: Any) -> tuple[Named, tuple]:
        check_cotangent(ct, value)
        with differentiating(staged.closed), leading_back(staged.closed):
            cotangents, *cts = pull(ct)
        return collected(chosen, taps, cotangents, records), tuple(cts)

    return value, by_point(records, chosen), pullback


def _nothing(reason: str) -> Named:
    return Named({}, {"*": reason})
