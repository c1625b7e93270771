"""Small arrays as rows of one matrix: what is measured of each is compiled once for all, and not for each shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .looks import ENOUGH
from .quick import Way, on_cpus

Item: TypeAlias = Any
"""An array, or several of one shape and dtype in a pytree."""


def of_each(on_cpu: Way, elsewhere: Way) -> Callable[[Sequence[Item]], jax.Array]:
    """Return (items) -> the number of each. On CPUs those of small arrays, which are not divided, are found together.

    Arguments:
        on_cpu: item -> the number. Zeros behind the entries must not change it.
        elsewhere: the same, for other devices.
    """

    def by_row(items: list[Item]) -> jax.Array:
        return jax.vmap(on_cpu)(jax.tree.map(_rows, *items))

    def one_by_one(items: list[Item]) -> jax.Array:
        return jnp.stack([elsewhere(item) for item in items])

    alone, together = _on_both(on_cpu, elsewhere), _on_both(by_row, one_by_one)

    def of_all(items: Sequence[Item]) -> jax.Array:
        alike: dict[Any, list[int]] = {}
        for i, item in enumerate(items):
            alike.setdefault(_first(item).dtype if _is_small(item) else i, []).append(i)
        groups = [[items[i] for i in among] for among in alike.values()]
        found = [together(group) if _is_small(group[0]) else alone(group[0])[None] for group in groups]
        return _in_order(jnp.concatenate(found), [i for among in alike.values() for i in among])

    return of_all


def _in_order(found: jax.Array, places: list[int]) -> jax.Array:
    return found if places == sorted(places) else found[np.argsort(places)]


def _on_both(on_cpu: Way, elsewhere: Way) -> Way:
    if on_cpu is elsewhere:
        return on_cpu
    return on_cpus(on_cpu, elsewhere, lambda: _on_both(jax.vmap(on_cpu), jax.vmap(elsewhere)), on_cpu)


def _first(item: Item) -> jax.Array:
    return jax.tree.leaves(item)[0]


def _is_small(item: Item) -> bool:
    return 0 < _first(item).size < ENOUGH and jax.typeof(_first(item)).sharding.mesh.empty


def _rows(*arrays: jax.Array) -> jax.Array:
    width = max(-(-ENOUGH // len(arrays)), *(x.size for x in arrays))
    return jnp.stack([lax.pad(jnp.ravel(x), np.zeros((), x.dtype), [(0, width - x.size, 0)]) for x in arrays])
