"""`watch`: a training step with optax, and what goes on at the points of the loss meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from .._jax.jaxpr.types import widened
from .._points.name_patterns import At
from .._points.ordered_mapping import Named
from .._source.user_files import Source
from .._walk.walk import walk
from ..stats import health
from .seen import Seen

Step = Callable[..., tuple[Any, Any, Seen]]


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

    Arguments:
        fun: the loss of a batch, a real scalar: `fun(params, *batch)`.
        optimizer: of optax.
        at, by, source, has_aux: as of `jw.walk`.
        keep: what to keep of (output, δ) at each point, as of `jw.walk`; None for nothing.
        every: look at each k-th step alone, as the optimizer counts them.

    Returns:
        `step(params, opt_state, *batch) -> (params, opt_state, seen)`, a pure function, to be jitted.

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
    optimizer = optax.with_extra_args_support(optimizer)
    watched = walk(fun, at, by=by, source=source, argnums=0, has_aux=has_aux, keep=keep)

    def step(params: Any, opt_state: Any, *batch: Any) -> tuple[Any, Any, Seen]:
        found = watched(params, *batch)
        updates, opt_state = optimizer.update(found.grads, opt_state, params, value=found.value, grad=found.grads)
        sizes = _sizes(params, found.grads, updates)
        seen = Seen(found.value, found.aux, found.kept, sizes, jnp.bool_(True), found.points)
        return optax.apply_updates(params, updates), opt_state, seen

    return step


def _sizes(params: Any, grads: Any, updates: Any) -> Named:
    names = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in _leaves(params)]
    parts = {"weight_l2": params, "gradient_l2": grads, "update_l2": updates}
    norms = {key: [_l2(leaf) for _, leaf in _leaves(tree)] for key, tree in parts.items()}
    return Named({name: {key: norms[key][i] for key in parts} for i, name in enumerate(names)})


def _leaves(tree: Any) -> list[tuple[Any, Any]]:
    return jax.tree_util.tree_leaves_with_path(tree)


def _l2(x: Any) -> jax.Array:
    return jnp.linalg.norm(jnp.ravel(x).astype(widened(x.dtype)))
