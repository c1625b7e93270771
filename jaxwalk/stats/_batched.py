"""Statistics of a whole batch, merged inside the backward pass, where each datum's state arises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap

from ._fold import Partial, where
from ._statistic import Statistic, merged

Kept = Callable[[Any, Any, Any], Partial]


def of_datum(statistic: Statistic) -> Kept:
    """Return (output, δ, whether this datum counts) -> its `Partial`."""

    @jax.jit
    def partial(output: Any, delta: Any, counts: Any) -> Partial:
        state = statistic.of(output, delta)
        return Partial(where(counts, state, jax.tree.map(jnp.zeros_like, state)), jnp.int32(counts))

    return partial


def of_batch(statistic: Statistic, groups: int = 1) -> Kept:
    """Return `of_datum`, which under `jax.vmap` gives the `Partial` of the whole batch, unbatched.

    So what is kept of each datum is merged where it arises, at every step of a scan, and the states of a whole batch
    are never stacked. The parts of a union are each on their own: one that looks at the output alone is then seen not
    to need δ. `groups` as of `over_data`.
    """
    if not statistic.parts:
        return _of_one(statistic, groups)
    each = {part.name: of_batch(part, groups) for part in statistic.parts}

    def kept(output: Any, delta: Any, counts: Any) -> Partial:
        found = {name: part(output, delta, counts) for name, part in each.items()}
        seen, *_ = (partial.seen for partial in found.values())
        return Partial({name: partial.state for name, partial in found.items()}, seen)

    return kept


def _of_one(statistic: Statistic, groups: int) -> Kept:
    datum = of_datum(statistic)
    one = custom_vmap(datum)

    @jax.jit
    def whole(*args: Any) -> Partial:
        return over_data(statistic, jax.vmap(datum)(*args), groups)

    @one.def_vmap
    def over_batch(size: int, batched: Any, *args: Any):
        each = [a if b else jnp.broadcast_to(a, (size, *a.shape)) for a, b in zip(args, batched, strict=True)]
        return (found := whole(*each)), jax.tree.map(lambda _: False, found)

    def kept(output: Any, delta: Any, counts: Any) -> Partial:
        # `one` counts as reading all its arguments, so a statistic of one side is not given the other.
        sides = {"output": (output, output), "delta": (delta, delta)}
        return one(*sides.get(statistic.side or "", (output, delta)), counts)

    return kept


def over_data(statistic: Statistic, partial: Partial, groups: int = 1) -> Partial:
    """Merge over the leading axis, at each of the other positions of `Partial.seen`.

    `groups` divide the leading axis into as many runs, merged side by side first: where the axis is divided among
    devices, each merges its own.
    """
    if groups > 1:
        runs = jax.tree.map(lambda leaf: leaf.reshape(groups, -1, *leaf.shape[1:]), partial)
        partial = jax.vmap(lambda run: over_data(statistic, run))(runs)
    union = lambda states, seen: Partial(merged(statistic, states, seen > 0), jnp.sum(seen, dtype=jnp.int32))
    for _ in range(partial.seen.ndim - 1):
        union = jax.vmap(union, in_axes=1)
    return union(*partial)
