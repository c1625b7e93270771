"""Which data are most to blame: those of largest loss, those with a NaN or Inf first."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

COUNT = jnp.int32  # of the data of one group: totals go to the host after each group, and are added up there in 64 bits


class Rows(NamedTuple):
    """What is found of each datum of a batch, as JAX's arrays or as NumPy's: loss, (data,); ℓ2 norms of δ, or with a
    method of attribution totals, and last its gap, (data, points); `Batch.counts`, (data,); whether its own numbers are
    finite, as `kind_of` says it, (data,)."""

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


def is_bad(rows: Rows) -> np.ndarray:
    """Tell, per datum, whether its loss, or a norm of its δ or a total, is NaN or Inf."""
    return ~(np.isfinite(rows.loss) & np.isfinite(rows.norms).all(1))


def most_to_blame(rows: Rows, bad: np.ndarray, top: int) -> TopK:
    """Return the data of largest loss, `top` of them or as many rows as there are; those that are `bad` count as
    largest. Of equal ones the first come first."""
    return _largest(TopK(np.where(bad, np.inf, rows.loss), np.arange(len(bad)), rows), top)


def merge_top_k(a: TopK, b: TopK, top: int) -> TopK:
    """Return the `top` largest of both; of equal ones, those of `a` come first."""
    return _largest(jax.tree.map(lambda x, y: np.concatenate([x, y]), a, b), top)


def _largest(data: TopK, top: int) -> TopK:
    order = np.argsort(-data.key, kind="stable")[:top]
    return jax.tree.map(lambda leaf: leaf[order], data)


def no_data(rows: Rows) -> TopK:
    none = jax.tree.map(lambda leaf: jnp.zeros((0, *leaf.shape[1:]), leaf.dtype), rows)
    return TopK(jnp.zeros(0, rows.loss.dtype), jnp.zeros(0, COUNT), none)
