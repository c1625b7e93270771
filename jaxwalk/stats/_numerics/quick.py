"""A quick way to a result, taken where the numbers allow it, and the careful one where they do not."""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap
from jax.sharding import NamedSharding

from ..._jax.jaxpr import types

Way = Callable[[Any], Any]
Quick = Callable[[Any], tuple[Any, jax.Array]]
Again = Callable[[Any, Any], Any]


@dataclasses.dataclass(frozen=True, eq=False)  # JAX refers to functions weakly
class TwoWays:
    """A function, which is right by itself; and the quick way to the same alone, for who can come back to the batch.

    Attributes:
        of: (output, δ) -> state.
        quick: (output, δ) -> (state, whether it is right).
    """

    of: Callable[[Any, Any], Any]
    quick: Callable[[Any, Any], tuple[Any, jax.Array]]

    def __call__(self, output: Any, delta: Any) -> Any:
        return self.of(output, delta)


def quick_or(careful: Way, quick: Quick, again: Again | None = None, elsewhere: Way | None = None) -> Way:
    """Return `careful`, done the quick way if that is right; under `jax.vmap`, if it is right for every row.

    `lax.cond` alone would do both under `jax.vmap`, and choose. Only on CPUs: there every pass over an array is paid
    for, while a GPU would wait, at every point, until its host has seen which way to go.

    Arguments:
        careful: of an array, or of several of one sharding in a pytree.
        quick: array -> (the same result, whether it is right). It may be wrong only where it says so.
        again: (array, the quick result) -> the same, to compile less than `careful`.
        elsewhere: array -> the same, for other devices, where it takes less time than `careful`.
    """
    second = again or (lambda x, _: careful(x))

    def either(x: Any) -> Any:
        found, is_right = quick(x)
        otherwise = lambda x, found: _alike(second(x, found), x)
        return lax.cond(is_right, lambda x, found: found, otherwise, x, _alike(found, x))

    of_each = lambda way: way and jax.vmap(way)
    rows = lambda: quick_or(jax.vmap(careful), _of_all(quick), of_each(again), of_each(elsewhere))
    return on_cpus(either, elsewhere or careful, rows, careful)


def on_cpus(way: Way, other: Way, of_rows: Callable[[], Way], derived_as: Way | None = None) -> Way:
    """Return `way` on a CPU, and elsewhere the other, which gives the same.

    Arguments:
        way, other: of an array, or of several of one sharding in a pytree.
        of_rows: makes what is done under `jax.vmap`: rows -> the same of each.
        derived_as: whose derivatives both have; by default the other.
    """

    def otherwise(x: Any) -> Any:
        return _alike(other(x), x)

    both = custom_vmap(lambda x: lax.platform_dependent(x, cpu=way, default=otherwise))

    @both.def_vmap
    def over_rows(size: int, batched: Any, rows: Any):
        repeated = lambda leaf, is_batched: leaf if is_batched else jnp.broadcast_to(leaf, (size, *leaf.shape))
        rows = jax.tree.map(repeated, rows, *batched)
        found = _on_each_device(of_rows(), size)(rows)
        return found, jax.tree.map(lambda _: True, found)

    # A function with a batching rule of its own has no transpose, so derivatives are those of the other way.
    derived = jax.custom_jvp(both)
    careful = (lambda x: _alike(derived_as(x), x)) if derived_as else otherwise
    derived.defjvp(lambda primals, tangents: jax.jvp(careful, primals, tangents))
    return derived


def _alike(found: Any, x: Any) -> Any:
    """Return what was found of `x`; inside `shard_map` both ways vary over the same axes of the mesh."""
    first, *_ = jax.tree.leaves(x)
    return jax.tree.map(lambda leaf: types.as_varying(leaf, types.varying(jax.typeof(first))), found)


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
