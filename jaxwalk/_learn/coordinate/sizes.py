"""The sizes of a model at one width: of each output, of its change since initialisation, of δ, and of the updates."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from ..._callables import called_with
from ..._jax.jaxpr.types import widened
from ..._points.name_patterns import At
from ..._points.point import Points
from ..._rewrite.tap import loops
from ..._source.user_files import Source
from ..._walk.walk import outputs, walk
from ..trained import names_of, with_trained

KINDS = ("output", "change", "delta", "update")
Step = Callable[..., tuple[Any, Any, Any, Mapping[str, Any]]]


class Look(NamedTuple):
    """Where the points of a function are looked for, and whether it has a second result: as of `walk`."""

    at: At
    by: str | None
    source: Source
    has_aux: bool = False


class Trained(NamedTuple):
    """What was seen of one model while it was trained.

    Attributes:
        points: those that were looked at.
        losses: before each update and after the last one, (steps + 1,).
        sizes: by kind and name. Of points (steps + 1, and the lengths of the loops around the point), of updates
            (steps,).
        entries: how many each parameter has.
    """

    points: Points
    losses: np.ndarray
    sizes: Mapping[str, Mapping[str, np.ndarray]]
    entries: Mapping[str, int]


def size(values: jax.Array, lead: int = 0) -> jax.Array:
    """Return the mean of |values|, over all axes but the first `lead`: no sum overflows. NaN if there are none."""
    count = int(np.prod(values.shape[lead:]))
    magnitudes = jnp.abs(values).astype(widened(jnp.abs(values).dtype))
    return jnp.sum(magnitudes / max(count, 1), axis=tuple(range(lead, values.ndim))) if count else _none(values, lead)


def _none(values: jax.Array, lead: int) -> jax.Array:
    return jnp.full(values.shape[:lead], jnp.nan, jnp.float32)


def step_of(fun: Callable, params: Any, optimizer: optax.GradientTransformationExtraArgs, look: Look) -> Step:
    """Return the compiled step (params, state, initial params, *batch) -> (params, state, walk, sizes).

    The params that it takes are those that are trained; what else is in `params`, as functions, stays as it is there.

    The outputs of the model and those of the initial one come out of one program, run twice: so they are equal bit for
    bit where nothing has been learned, and their difference is no rounding.
    """

    whole, where = params, {"at": look.at, "by": look.by, "source": look.source}

    def loss(params: Any, *batch: Any) -> Any:  # by these names, points are known to be computed from a batch, or not
        given = with_trained(whole, params), *batch
        with called_with(fun, given, {}):
            return fun(*given)

    felt = walk(loss, **where, argnums=0, has_aux=look.has_aux, keep=lambda _, delta: size(delta))
    seen = outputs(loss, **where)

    @jax.jit
    def step(params: Any, state: Any, initial: Any, *batch: Any) -> tuple[Any, Any, Any, Mapping[str, Any]]:
        found = felt(params, *batch)
        both = jax.tree.map(lambda *pair: jnp.stack(pair), params, initial)
        values = lax.map(lambda params: seen(params, *batch)[1], both)
        lead = {name: len(loops(found.points[name])) for name in values}
        changes = {name: _change(value, lead[name]) for name, value in values.items() if _is_float(value)}
        value_fn = lambda params: loss(params, *batch)[0] if look.has_aux else loss(params, *batch)
        extra = {"value": found.value, "grad": found.grads, "value_fn": value_fn}
        updates, state = optimizer.update(found.grads, state, params, **extra)
        sizes = {
            "output": {name: size(value[0], lead[name]) for name, value in values.items()},
            "change": changes,
            "delta": dict(found.kept),
            "update": {name: size(leaf) for name, leaf in by_path(updates).items()},
        }
        return optax.apply_updates(params, updates), state, dataclasses.replace(found, aux=None), sizes

    return step


def _change(values: jax.Array, lead: int) -> jax.Array:
    wide = values.astype(widened(values.dtype))
    return size(wide[0] - wide[1], lead)


def _is_float(values: jax.Array) -> bool:
    return jnp.issubdtype(values.dtype, jnp.inexact)


def by_path(tree: Any) -> dict[str, Any]:
    """Return the leaves of parameters by their path: "dense/kernel"."""
    return dict(zip(names_of(tree), jax.tree.leaves(tree), strict=True))


def trained(step: Step, optimizer: optax.GradientTransformation, params: Any, batches: Sequence[tuple]) -> Trained:
    """Train a model: one update for each batch but the last, which is for the look after the last update."""
    initial, state = params, optimizer.init(params)
    entries = {name: int(np.size(leaf)) for name, leaf in by_path(params).items()}
    found: list[tuple[Any, Mapping[str, Any]]] = []
    points = Points()
    for batch in batches:
        params, state, met, sizes = step(params, state, initial, *batch)
        points = met.points
        found.append(jax.device_get((met.value, sizes)))
    losses = np.array([float(loss) for loss, _ in found])
    over = {}
    for kind in KINDS:  # in the order of the names, which JAX's dicts have lost
        names = [name for name in (entries if kind == "update" else points) if name in found[0][1][kind]]
        over[kind] = {name: np.stack([sizes[kind][name] for _, sizes in found]) for name in names}
    over["update"] = {name: each[:-1] for name, each in over["update"].items()}
    return Trained(points, losses, over, entries)
