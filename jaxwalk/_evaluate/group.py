"""A group of batches: what is known of it while it is under way, and what is carried from it to the next."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from ..stats._fold import Partial, either
from ..stats._sums import all_means
from .batches import COUNTS

WHOLE = jnp.int32  # of the data of one group of batches: what is carried goes to the host after each


class Rows(NamedTuple):
    """Of each datum of a batch: loss, (data,); ℓ2 norms of δ, (data, points); what it counts as, (data,)."""

    loss: jax.Array
    norms: jax.Array
    counts: jax.Array


class Largest(NamedTuple):
    """The data of largest loss, largest first: what they are ordered by (-inf where there are no more), their places
    among the data of the group, and their rows."""

    key: jax.Array
    place: jax.Array
    rows: Rows


class Carry(NamedTuple):
    """What is known of the data so far.

    Attributes:
        data, nonfinite: how many data; how many of them have a loss or a norm that is NaN or Inf.
        loss: the mean loss of those that have a finite one, and how many they are.
        states: of the statistics; those of points whose states have one form are one, with a leading axis of points.
        largest: the culprits.
    """

    data: jax.Array
    nonfinite: jax.Array
    loss: Partial
    states: list[Partial]
    largest: Largest


class Sent(NamedTuple):
    """What is known of a group of batches while it is under way.

    Rows are looked at once a group is whole: after each batch, if it is of few data, that would cost as much as the
    walk.

    Attributes:
        batches: how many there are so far.
        rows: theirs, along a leading axis.
        states: as of `Carry`.
    """

    batches: jax.Array
    rows: Rows
    states: list[Partial]


def begun(rows: Rows, states: list[Partial], batches: int) -> Sent:
    room = jax.tree.map(lambda leaf: jnp.zeros((batches, *leaf.shape), leaf.dtype), rows)
    return Sent(jnp.zeros((), WHOLE), room, _zeros(states))


def grown(statistic, group: Sent, rows: Rows, states: list[Partial]) -> Sent:
    put = lambda room, leaf: lax.dynamic_update_index_in_dim(room, leaf, group.batches, 0)
    merged = [either(statistic.merge, a, b) for a, b in zip(group.states, states, strict=True)]
    return Sent(group.batches + 1, jax.tree.map(put, group.rows, rows), merged)


def ended(group: Sent, top: int) -> tuple[Carry, Rows]:
    """What is carried of the group, and the rows of all its batches along one axis."""
    rows = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), group.rows)
    counts = rows.counts == COUNTS
    bad = ~(jnp.isfinite(rows.loss) & jnp.all(jnp.isfinite(rows.norms), 1))
    place = jnp.cumsum(counts, dtype=WHOLE) - 1
    carry = Carry(
        jnp.sum(counts, dtype=WHOLE),
        jnp.sum(bad & counts, dtype=WHOLE),
        _mean(rows.loss, counts & jnp.isfinite(rows.loss)),
        group.states,
        _larger(_none_of(rows, top), rows, bad, place, counts),
    )
    return carry, rows


def _mean(loss: jax.Array, counts: jax.Array) -> Partial:
    each = {"count": counts.astype(WHOLE), "mean": jnp.where(counts, loss, 0)}
    return Partial(all_means(each, counts), jnp.sum(counts, dtype=WHOLE))


def _larger(largest: Largest, rows: Rows, bad: jax.Array, place: jax.Array, counts: jax.Array) -> Largest:
    """Of those and these rows, the ones of largest loss; those that are not finite are the largest."""
    top = len(largest.key)
    key = jnp.where(counts, jnp.where(bad, jnp.inf, rows.loss.astype(largest.key.dtype)), -jnp.inf)
    both = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), largest, Largest(key, place, rows))
    key, among = jax.lax.top_k(both.key, top)
    return Largest(key, *jax.tree.map(lambda leaf: leaf[among], both[1:]))


def _none_of(rows: Rows, top: int) -> Largest:
    none = jax.tree.map(lambda leaf: jnp.zeros((top, *leaf.shape[1:]), leaf.dtype), rows)
    return Largest(jnp.full(top, -jnp.inf, rows.loss.dtype), jnp.zeros(top, WHOLE), none)


def start(rows: Rows, states: list[Partial], top: int) -> Carry:
    none = jnp.zeros((), WHOLE)
    mean = Partial({"count": none, "mean": jnp.zeros((), rows.loss.dtype)}, none)
    return Carry(none, none, mean, _zeros(states), _none_of(rows, top))


def _zeros(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), tree)
