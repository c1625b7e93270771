"""Statistics of a whole batch, merged inside the backward pass, where each datum's state arises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap

from ._fold import Partial, where
from ._numerics.quick import TwoWays
from ._statistic import State, Statistic, merged

Right: TypeAlias = list[jax.Array]
"""Of each part of a statistic that was taken the quick way, whether it is right for a datum."""
Kept: TypeAlias = Callable[[Any, Any, Any], tuple[Partial, Right]]


def of_datum(statistic: Statistic, is_quick: bool = False) -> Kept:
    """Return (output, δ, whether this datum counts) -> its `Partial`, and whether it is right.

    `is_quick`: whether it is taken the quick way alone, where there is one; else it is right.
    """

    @jax.jit
    def partial(output: Any, delta: Any, counts: Any) -> tuple[Partial, Right]:
        state, right = quickly(statistic, output, delta) if is_quick else (statistic.of(output, delta), [])
        seen = Partial(where(counts, state, jax.tree.map(jnp.zeros_like, state)), jnp.int32(counts))
        return seen, [one | ~counts for one in right]

    return partial


def quickly(statistic: Statistic, output: Any, delta: Any) -> tuple[State, Right]:
    """Return the state, taken the quick way where there is one, and whether it is right."""
    if statistic.parts:
        found = {part.name: quickly(part, output, delta) for part in statistic.parts}
        state = {name: state for name, (state, _) in found.items()}
        jax.eval_shape(statistic.finish, state)  # as `union` does, to refuse two results of one name
        return state, [one for _, right in found.values() for one in right]
    if not isinstance(statistic.of, TwoWays):
        return statistic.of(output, delta), []
    state, is_right = statistic.of.quick(output, delta)
    return state, [is_right]


def of_batch(statistic: Statistic, groups: int = 1, is_quick: bool = False) -> Kept:
    """Return `of_datum`, which under `jax.vmap` gives the `Partial` of the whole batch, unbatched.

    So what is kept of each datum is merged where it arises, at every step of a scan, and the states of a whole batch
    are never stacked. The parts of a union are each on their own: one that looks at the output alone is then seen not
    to need δ. `groups` as of `over_data`.
    """
    if not statistic.parts:
        return _of_one(statistic, groups, is_quick)
    each = {part.name: of_batch(part, groups, is_quick) for part in statistic.parts}

    def kept(output: Any, delta: Any, counts: Any) -> tuple[Partial, Right]:
        found = {name: part(output, delta, counts) for name, part in each.items()}
        seen, *_ = (partial.seen for partial, _ in found.values())
        states = {name: partial.state for name, (partial, _) in found.items()}
        return Partial(states, seen), [one for _, right in found.values() for one in right]

    return kept


def _of_one(statistic: Statistic, groups: int, is_quick: bool) -> Kept:
    datum = of_datum(statistic, is_quick)
    one = custom_vmap(datum)

    @jax.jit
    def whole(*args: Any) -> tuple[Partial, Right]:
        partial, right = jax.vmap(datum)(*args)
        return over_data(statistic, partial, groups), right

    @one.def_vmap
    def over_batch(size: int, batched: Any, *args: Any):
        each = [a if b else jnp.broadcast_to(a, (size, *a.shape)) for a, b in zip(args, batched, strict=True)]
        partial, right = whole(*each)
        return (partial, right), (jax.tree.map(lambda _: False, partial), [True for _ in right])

    def kept(output: Any, delta: Any, counts: Any) -> tuple[Partial, Right]:
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
