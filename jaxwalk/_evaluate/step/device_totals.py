"""A group of batches on the device: a state with `init` and `update`, and the totals that the host makes of it."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from ...stats import Statistic
from ...stats._fold import Partial, either
from ..result.ranking import COUNT, Rows, TopK, no_data


class Totals(NamedTuple):
    """What is found of some data together, as JAX's arrays or as NumPy's.

    Attributes:
        data, nonfinite: how many data; how many of them have a loss or a norm that is NaN or Inf.
        loss: the mean loss of those that have a finite one, and how many they are.
        states: of the statistic; those of points whose states have one form are one, with a leading axis of points.
        largest: the culprits.
    """

    data: Any
    nonfinite: Any
    loss: Partial
    states: list[Partial]
    largest: TopK


class GroupState(NamedTuple):
    """A group of batches that is under way.

    Losses and norms are reduced once the group is whole, on the host: after each batch, if it has few data, that would
    cost as much as the walk, and a program for it takes as long to compile as that of a small walk.

    Attributes:
        batches: how many there are so far.
        rows: of each batch, along a leading axis.
        states: as of `Totals`.
    """

    batches: jax.Array
    rows: Rows
    states: list[Partial]


def init(rows: Rows, states: list[Partial], batches: int) -> GroupState:
    """Return a group without data, with room for so many batches; `rows`, `states`: those of a batch, or shapes."""
    room = jax.tree.map(lambda leaf: jnp.zeros((batches, *leaf.shape), leaf.dtype), rows)
    return GroupState(jnp.zeros((), COUNT), room, _zeros(states))


def update(statistic: Statistic | None, group: GroupState, rows: Rows, states: list[Partial]) -> GroupState:
    """Add a batch."""
    put = lambda room, leaf: lax.dynamic_update_index_in_dim(room, leaf, group.batches, 0)
    pairs = zip(group.states, states, strict=True)
    merged = [] if statistic is None else [either(statistic.merge, a, b) for a, b in pairs]
    return GroupState(group.batches + 1, jax.tree.map(put, group.rows, rows), merged)


def no_totals(rows: Rows, states: list[Partial]) -> Totals:
    """Return the totals of no data; `rows`, `states` as of `init`."""
    none = jnp.zeros((), COUNT)
    mean = Partial({"count": none, "mean": jnp.zeros((), rows.loss.dtype)}, none)
    return Totals(none, none, mean, _zeros(states), no_data(rows))


def _zeros(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), tree)
