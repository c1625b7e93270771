"""Rows, as the nodes of a path, several at a time: those of a batch are vmapped, and batches go one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..._jax.jaxpr.types import widened


class Batches(NamedTuple):
    """Which rows are in which batch. All batches are of one size, since each size would be compiled by itself: as many
    as `batch_size` asks for, no larger than they have to be, the last one filled up with the last row.

    Attributes:
        rows: their numbers, of shape (batches, size).
        is_there: of the same shape, False for those that fill up.
    """

    rows: np.ndarray
    is_there: np.ndarray

    @classmethod
    def of(cls, count: int, batch_size: int) -> Batches:
        number = -(-count // batch_size)
        rows = np.arange(number * -(-count // number)).reshape(number, -1)
        return cls(np.minimum(rows, count - 1), rows < count)

    def take(self, rows: Any) -> Any:
        """Return arrays of rows with the axes of batches in front."""
        return jax.tree.map(lambda x: x[self.rows], rows)

    def run(self, of: Callable[[Any], Any], batch: Any) -> Any:
        """Return what a function makes of each row of a batch. One alone is not vmapped: its program stays the same."""
        if self.rows.shape[1] > 1:
            return jax.vmap(of)(batch)
        return jax.tree.map(lambda x: x[None], of(jax.tree.map(lambda x: x[0], batch)))


def each(of: Callable[[Any], Any], rows: Any, batch_size: int) -> Any:
    """Return what a function makes of each row."""
    count = len(jax.tree.leaves(rows)[0])
    batches = Batches.of(count, batch_size)
    found = jax.lax.map(lambda batch: batches.run(of, batch), batches.take(rows))
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:count], found)


def weighted_sum(of: Callable[[Any], Any], rows: Any, weights: jax.Array, batch_size: int) -> Any:
    """Return Σ weight·of(row), in float32 at least; memory grows with `batch_size`, and not with how many there are."""
    batches = Batches.of(len(weights), batch_size)
    shapes = jax.eval_shape(lambda rows: of(jax.tree.map(lambda x: x[0], rows)), rows)

    def add(sums: Any, batch: Any) -> tuple[Any, None]:
        rows, weights, is_there = batch
        gained = lambda s, x: summed(over(weights, x).astype(s.dtype) * x.astype(s.dtype), is_there)
        return jax.tree.map(lambda s, x: s + gained(s, x), sums, batches.run(of, rows)), None

    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, widened(s.dtype)), shapes)
    return jax.lax.scan(add, zeros, (*batches.take((rows, weights)), batches.is_there))[0]


def summed(x: jax.Array, is_there: jax.Array) -> jax.Array:
    """Return the sum over the rows of a batch that count; others may be NaN or Inf."""
    return jnp.sum(jnp.where(over(is_there, x), x, jnp.zeros_like(x)), 0)


def over(numbers: jax.Array, x: jax.Array) -> jax.Array:
    """Return numbers, one for each row, with as many axes as what each is of."""
    return numbers.reshape(-1, *[1] * (x.ndim - 1))
