"""Which data are most to blame: those of largest loss, those with a NaN or Inf first."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

COUNT = jnp.int32  # of the data of one group: totals go to the host after each group, and are added up there in 64 bits


class Rows(NamedTuple):
    """What is found of each datum of a batch: loss, (data,); ℓ2 norms of δ, (data, points); `Batch.counts`, (data,);
    whether its own numbers are finite, as `kind_of` says it, (data,)."""

    loss: jax.Array
    norms: jax.Array
    counts: jax.Array
    inputs: jax.Array


class TopK(NamedTuple):
    """The data of largest loss, largest first.

    Attributes:
        key: what they are ordered by; -inf where there are no more data.
        index: which of the data each is.
        rows: what was found of them.
    """

    key: Any
    index: Any
    rows: Rows


def is_bad(rows: Rows) -> jax.Array:
    """Tell, per datum, whether its loss or a norm of its δ is NaN or Inf."""
    return ~(jnp.isfinite(rows.loss) & jnp.all(jnp.isfinite(rows.norms), 1))


def most_to_blame(rows: Rows, counts: jax.Array, bad: jax.Array, top: int) -> TopK:
    """Return the `top` data of largest loss, of those that count; those that are `bad` count as largest."""
    index = jnp.cumsum(counts, dtype=COUNT) - 1
    key = jnp.where(counts, jnp.where(bad, jnp.inf, rows.loss), -jnp.inf)
    return merge_top_k(no_data(rows, top), TopK(key, index, rows))


def merge_top_k(a: TopK, b: TopK) -> TopK:
    """Return as many of the largest of both as `a` has."""
    both = jax.tree.map(lambda x, y: jnp.concatenate([x, y]), a, b)
    key, among = lax.top_k(both.key, len(a.key))
    return TopK(key, *jax.tree.map(lambda leaf: leaf[among], both[1:]))


def no_data(rows: Rows, top: int) -> TopK:
    none = jax.tree.map(lambda leaf: jnp.zeros((top, *leaf.shape[1:]), leaf.dtype), rows)
    return TopK(jnp.full(top, -jnp.inf, rows.loss.dtype), jnp.zeros(top, COUNT), none)
