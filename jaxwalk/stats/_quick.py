"""A quick way to a result, taken where the numbers allow it, and the careful one where they do not."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap
from jax.sharding import NamedSharding

from .._jax.jaxpr import types

Way = Callable[[Any], Any]
Quick = Callable[[Any], tuple[Any, jax.Array]]


def quick_or(careful: Way, quick: Quick) -> Way:
    """Return `careful`, done the quick way if that is right; under `jax.vmap`, if it is right for every row.

    `lax.cond` alone would do both under `jax.vmap`, and choose. Only on CPUs: there every pass over an array is paid
    for, while a GPU would wait, at every point, until its host has seen which way to go.

    Arguments:
        careful: of an array, or of several of one sharding in a pytree.
        quick: array -> (the same result, whether it is right). It may be wrong only where it says so.
    """

    def alike(found: Any, x: Any) -> Any:  # inside `shard_map` both ways vary over the same axes of the mesh
        first, *_ = jax.tree.leaves(x)
        return jax.tree.map(lambda leaf: types.as_varying(leaf, types.varying(jax.typeof(first))), found)

    def either(x: Any) -> Any:
        found, is_right = quick(x)
        return lax.cond(is_right, lambda x, found: found, lambda x, _: carefully(x), x, alike(found, x))

    def carefully(x: Any) -> Any:
        return alike(careful(x), x)

    way = custom_vmap(lambda x: lax.platform_dependent(x, cpu=either, default=carefully))

    @way.def_vmap
    def over_rows(size: int, batched: Any, rows: Any):
        repeated = lambda leaf, is_batched: leaf if is_batched else jnp.broadcast_to(leaf, (size, *leaf.shape))
        rows = jax.tree.map(repeated, rows, *batched)
        found = _on_each_device(quick_or(jax.vmap(careful), _of_all(quick)), size)(rows)
        return found, jax.tree.map(lambda _: True, found)

    # A function with a batching rule of its own has no transpose, so derivatives are those of the careful way.
    derived = jax.custom_jvp(way)
    derived.defjvp(lambda primals, tangents: jax.jvp(carefully, primals, tangents))
    return derived


def _of_all(quick: Quick) -> Quick:
    def of_all(rows: Any) -> tuple[Any, jax.Array]:
        found, is_right = jax.vmap(quick)(rows)
        return found, jnp.all(is_right)

    return of_all


# Rows that are divided among devices ---------------------------------------------------------------------

_divided: contextvars.ContextVar[tuple[NamedSharding, int] | None] = contextvars.ContextVar("_divided", default=None)


@contextlib.contextmanager
def divided(sharding: NamedSharding | None, size: int) -> Iterator[None]:
    """Declare, while a function is traced, that `size` rows are divided along their first axis as `sharding` says.

    Each device then goes its own way. Else they would have to agree, and wait for one another at every point.
    """
    token = _divided.set(None if sharding is None else (sharding, size))
    try:
        yield
    finally:
        _divided.reset(token)


def _on_each_device(way: Way, size: int) -> Way:
    sharding, of = _divided.get() or (None, 0)
    if sharding is None or size != of:
        return way

    def own(rows: Any) -> Any:
        with divided(None, 0):
            return way(rows)

    (axis,) = sharding.spec
    options = {"mesh": sharding.mesh, "in_specs": sharding.spec, "out_specs": sharding.spec, "axis_names": {axis}}
    return jax.shard_map(own, **options, check_vma=False)
