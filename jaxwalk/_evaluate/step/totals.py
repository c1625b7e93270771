"""What a batch leaves behind, and the totals that the host makes of many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ...stats import Statistic, numpy_of
from ...stats._fold import Partial, either, where
from ..batches import COUNTS
from ..result.ranking import COUNT, Rows, TopK, no_data

NUMBERS = 32  # for each datum of a batch, at most, in states that wait for the host to merge them


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


class Found(NamedTuple):
    """What is found of a batch.

    Attributes:
        rows: of each datum. Where something is wrong, since the numbers do not allow the quick way, a norm is NaN.
        states: those of the whole batch, as one vector for each dtype; none if they are merged on the device.
    """

    rows: Rows
    states: Mapping[str, Any]


def may_be_wrong(rows: Rows) -> Any:
    """Tell whether a batch is to be taken again: where it is right, the NaN is found once more."""
    return (numpy_of(rows).isnan(rows.norms).any(1) & (rows.counts == COUNTS)).any()


def are_merged_there(statistic: Statistic | None, states: Sequence[Partial], rows: int) -> bool:
    """Tell whether states are merged on the device, batch by batch, and not on the host, those of many batches at once.

    That would take more time than the walk where a batch has few data, and about as much to compile as a small walk;
    but large states are not to be held.
    """
    numbers = sum(leaf.size for leaf in jax.tree.leaves(states))
    return statistic is not None and (not statistic.by_entry or numbers > NUMBERS * rows)


def merged_with(
    statistic: Statistic, before: list[Partial], states: list[Partial], rows: Rows, is_quick: bool
) -> list[Partial]:
    """Merge the states of a batch with those before it; what was taken the quick way, if nothing may be wrong."""
    both = [either(statistic.merge, a, b) for a, b in zip(before, states, strict=True)]
    return where(may_be_wrong(rows), before, both) if is_quick else both


def no_totals(rows: Rows, states: list[Partial]) -> Totals:
    """Return the totals of no data; `rows`, `states`: those of a batch, or shapes."""
    none = jnp.zeros((), COUNT)
    mean = Partial({"count": none, "mean": jnp.zeros((), rows.loss.dtype)}, none)
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), states)
    return Totals(none, none, mean, zeros, no_data(rows))
