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
    """Return the data of largest loss, of those that count, `top` of them or as many rows as there are; those that are
    `bad` count as largest."""
    index = jnp.cumsum(counts, dtype=COUNT) - 1
    key = jnp.where(counts, jnp.where(bad, jnp.inf, rows.loss), -jnp.inf)
    largest, among = lax.top_k(key, min(top, len(key)))
    return TopK(largest, index[among], jax.tree.map(lambda leaf: leaf[among], rows))


def no_data(rows: Rows) -> TopK:
    none = jax.tree.map(lambda leaf: jnp.zeros((0, *leaf.shape[1:]), leaf.dtype), rows)
    return TopK(jnp.zeros(0, rows.loss.dtype), jnp.zeros(0, COUNT), none)
