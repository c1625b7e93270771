"""`watch`: a training step with optax, and what goes on at the points of the loss meanwhile."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax

from .._callables import called_with, check_keep, transform
from .._errors import check_count
from .._jax.jaxpr import types
from .._jax.leaves import renamed_after
from .._jax.tracing import stage
from .._points.columns import Columns, Group
from .._points.find import check_by
from .._points.name_patterns import At, check_at
from .._points.ordered_mapping import Named
from .._points.point import Points
from .._source.user_files import Source
from .._walk.checks.loss import loss_only
from .._walk.result import Walk
from .._walk.walk import walk_together
from ..stats import health
from ..stats._numerics.norm import brief_norms, distances, plain_norms
from .gate import gated, or_zeros
from .seen import Seen
from .trained import check_optimizer, check_state, count_of, names_of, trained_part, with_trained

Sloped = tuple[Walk, jax.Array]
Step = Callable[..., tuple[Any, Any, Seen]]
SIZES = ("weight_l2", "gradient_l2", "update_l2")
_NOTHING = Named({}, {"*": "Nothing was kept: `keep` is None."})


@transform
def watch(
    fun: Callable,
    optimizer: optax.GradientTransformation,
    *,
    at: At = None,
    by: str | None = None,
    source: Source = None,
    keep: Callable[[Any, Any], Any] | None = health,
    every: int = 1,
    has_aux: bool = False,
) -> Step:
    """Return one step of training, which looks at every point of the loss on its way.

    It is the step that one writes with optax (the gradient, `optimizer.update`, `optax.apply_updates`), and makes the
    same params; what is kept of the points is computed inside its one backward pass. Nothing is compiled: put `jax.jit`
    around it, `lax.scan` over it, or give it arrays that are divided over a mesh, as with a step of your own.

    Arguments:
        fun: the loss of a batch, a real scalar: `fun(params, *batch)`.
        optimizer: of optax. `update` is given `value`, `grad` and `value_fn` too, so that those that ask for them work,
            as `optax.contrib.reduce_on_plateau` and `optax.lbfgs`.
        at, by, source, has_aux: as of `jw.walk`.
        keep: what to keep of (output, δ) at each point, as of `jw.walk`. None for nothing: the program is then exactly
            that of the plain step.
        every: look at each k-th step alone: those whose number, as the optimizer counts them from 0, divides by k. The
            others, of which all that is seen is zeros but the loss, pay for the question: on CPUs next to nothing in a
            transformer, and a quarter in a small convolutional network, where each point asks; 4 % in a transformer on
            a GPU, whose host waits for the answer once. Two steps cost nothing: call one with `keep=None`, whose
            program is the plain one, and each k-th time one without `every`.

    Returns:
        `step(params, opt_state, *batch) -> (params, opt_state, seen)`, a pure function; `seen` is a `Seen`. Of the
        params, which may be any pytree, as a module of Equinox, the arrays are trained; whatever is no array
        (functions, strings, numbers of Python) is returned as it came. The state is that of `optimizer.init` of the
        arrays alone, with None in the place of others, as Equinox has it too.

    Raises:
        ArgumentError: `optimizer` is none of optax; `every` is no positive integer; (when called) the params hold no
            array, or one of integers; the state does not fit them or the optimizer; the loss is no real scalar; the
            optimizer does not count its steps, with `every` of more than 1.
        PointError: (when called) as of `jw.walk`.

    >>> import jax, jax.numpy as jnp, optax, jaxwalk as jw
    >>> def fun(weights, x, y):
    ...     return jnp.mean((jw.tag(x @ weights, "prediction") - y) ** 2)
    >>> optimizer = optax.sgd(0.1)
    >>> step = jax.jit(jw.watch(fun, optimizer))
    >>> weights = jnp.zeros(2)
    >>> weights, state, seen = step(weights, optimizer.init(weights), jnp.eye(2), jnp.ones(2))
    >>> weights, float(seen.loss), float(seen.kept["prediction"]["delta_l2"])
    (Array([0.1, 0.1], dtype=float32), 1.0, 1.4142135381698608)
    """
    check_by(by, source)
    check_at(at)
    if keep is not None:
        check_keep(keep)
    check_count("every", every)
    transformation = check_optimizer(optimizer)
    walking = functools.partial(walk_together, at=at, by=by, source=source, argnums=0, has_aux=has_aux)

    @renamed_after(fun, "watch")
    def step(params: Any, opt_state: Any, *batch: Any) -> tuple[Any, Any, Seen]:
        trained = trained_part(params)
        check_state(transformation, opt_state, trained)
        loss = fun if trained is params else lambda trained, *batch: fun(with_trained(params, trained), *batch)
        now = None if keep is None or every == 1 else count_of(opt_state) % every == 0
        with called_with(fun, (params, *batch), {}):
            if keep is None:
                found, slopes = _plain(loss, has_aux, trained, *batch), None
            elif now is None:
                found, slopes = _with_slopes(walking(loss, keep=keep)(trained, *batch))
            else:
                found, slopes = _where(now, walking, keep, loss, has_aux, trained, *batch)
        value_fn = lambda trained: loss(trained, *batch)[0] if has_aux else loss(trained, *batch)
        extra = {"value": found.value, "grad": found.grads, "value_fn": value_fn}
        updates, opt_state = transformation.update(found.grads, opt_state, trained, **extra)
        moved = optax.apply_updates(trained, updates)
        params = with_trained(params, moved)
        if keep is None:
            return params, opt_state, Seen(found.value, found.aux, _NOTHING, _NOTHING, None, found.points)
        kept, sizes = or_zeros(now, (found.kept, _sizes(now, trained, moved, slopes)))
        is_seen = jnp.bool_(True) if now is None else now
        return params, opt_state, Seen(found.value, found.aux, kept, sizes, is_seen, found.points)

    return step


def _plain(loss: Callable, has_aux: bool, trained: Any, *batch: Any) -> Walk:
    """Compute the loss and its gradient, and nothing at a point."""
    loss_only(stage(loss, (trained, *batch), {}), has_aux)
    found, grads = jax.value_and_grad(loss, has_aux=has_aux)(trained, *batch)
    value, aux = found if has_aux else (found, None)
    return Walk(value, aux, grads, Points(()), _NOTHING, _NOTHING, _NOTHING)


def _where(now: Any, walking: Callable, keep: Callable, loss: Callable, has_aux: bool, *args: Any) -> Sloped:
    """Return the walk in a step that is looked at, and else one in which all that is kept is zeros.

    On CPUs the condition is at each point: XLA's convolutions there are many times as slow in a branch as elsewhere. On
    a GPU, whose host waits to see which way to go, there is one, around the loss and its gradient.
    """

    def whole(now: Any, *args: Any) -> Sloped:
        watched = lambda *args: _with_slopes(walking(loss, keep=keep)(*args))
        walk, slopes = jax.eval_shape(watched, *args)

        def plain(*args: Any) -> Sloped:
            found = _plain(loss, has_aux, *args)
            kept, none = jax.tree.map(types.zeros, (walk.kept, slopes))
            return dataclasses.replace(walk, value=found.value, aux=found.aux, grads=found.grads, kept=kept), none

        return lax.cond(now, watched, plain, *args)

    at_each = lambda now, *args: _with_slopes(walking(loss, keep=gated(keep, now))(*args))
    return lax.platform_dependent(now, *args, cpu=at_each, default=whole)


def _with_slopes(found: Walk) -> Sloped:
    """Return the walk, and the norms of the gradients of all arrays.

    Norms come before whatever the optimizer does with the gradients, else XLA would hold these longer. They have no
    second look, for which it would copy them: see `Seen.weights`.
    """
    grads, slopes = lax.optimization_barrier((found.grads, plain_norms(jax.tree.leaves(found.grads))))
    return dataclasses.replace(found, grads=grads), slopes


def _sizes(now: Any, before: Any, after: Any, slopes: Any) -> Named:
    """Return the norms of each array, of its gradient, and of what it was moved by, as it came to be in its own dtype.

    The updates themselves would have to be kept for that, where XLA adds them to the params as it computes them.
    """
    old, new = jax.tree.leaves(before), jax.tree.leaves(after)
    measure = lambda old, new: (brief_norms(old), distances([*zip(new, old, strict=True)]))
    if now is None:
        sizes, moves = measure(old, new)
    else:
        nothing = lambda *both: jax.tree.map(types.zeros, jax.eval_shape(measure, *both))
        sizes, moves = lax.cond(now, measure, nothing, old, new)
    found = sizes, slopes, moves
    names = tuple(names_of(before))
    group = Group(names, tuple((key, 0) for key in SIZES))
    arrays: dict[str, Any] = dict(zip(SIZES, found, strict=True))
    return Columns(Named(dict.fromkeys(names)), [group], [arrays])
