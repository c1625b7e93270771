"""A quick way to a result, taken where a whole batch of data allows it, and the careful one where it does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap

Way = Callable[[jax.Array], Any]


def quick_or(careful: Way, quick: Callable[[jax.Array], tuple[Any, jax.Array]]) -> Way:
    """`careful`, which under `jax.vmap` is done the quick way if that is right for every row.

    `lax.cond` alone would do both under `jax.vmap`, and choose. Only on CPUs: there every pass over an array is paid
    for, while a GPU would wait, at every point, until its host has seen which way to go.

    Arguments:
        careful: of an array.
        quick: array -> (the same result, whether it is right). It may be wrong only where it says so.
    """
    way = custom_vmap(careful)

    @way.def_vmap
    def over_rows(size: int, batched: Any, rows: jax.Array):
        careful_rows = jax.vmap(careful)

        def either(rows: jax.Array) -> Any:
            found, is_right = jax.vmap(quick)(rows)
            return lax.cond(
                jnp.all(is_right), lambda rows, found: found, lambda rows, _: careful_rows(rows), rows, found
            )

        found = lax.platform_dependent(rows, cpu=either, default=careful_rows)
        return found, jax.tree.map(lambda _: True, found)

    # What is batched by a rule of its own has no transpose; a derivative is that of the careful way.
    derived = jax.custom_jvp(way)
    derived.defjvp(lambda primals, tangents: jax.jvp(careful, primals, tangents))
    return derived
