"""`Measure`: what is measured of one array, and merges over data; of the output and of δ, it makes a `Statistic`."""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ._numerics.quick import Quick, TwoWays, quick_or
from ._statistic import Of, State, Statistic, union
from ._unit_axes import of_units


class Measure(NamedTuple):
    """As of a `Statistic`, of one array.

    Attributes:
        of: array -> state.
        merge, finish, merge_all: as of `Statistic`.
        quick: array -> (state, whether it is right): in fewer passes over the array, where its numbers allow it.
    """

    of: Callable[[jax.Array], State]
    merge: Callable[[State, State], State]
    finish: Callable[[State], dict[str, Any]]
    merge_all: Callable[[State, Any], State]
    quick: Quick | None = None


def joined(**measures: Measure) -> Measure:
    """Join measures to one, quick if all of them are. The state is a dict of theirs, by name."""

    def quick(x: jax.Array) -> tuple[State, jax.Array]:
        found = {name: measure.quick(x) for name, measure in measures.items() if measure.quick}
        states = {name: state for name, (state, _) in found.items()}
        return states, functools.reduce(operator.and_, [is_right for _, is_right in found.values()])

    return Measure(
        lambda x: {name: measure.of(x) for name, measure in measures.items()},
        lambda a, b: {name: measure.merge(a[name], b[name]) for name, measure in measures.items()},
        lambda state: functools.reduce(operator.or_, [m.finish(state[name]) for name, m in measures.items()]),
        lambda states, which: {name: measure.merge_all(states[name], which) for name, measure in measures.items()},
        quick if all(measure.quick for measure in measures.values()) else None,
    )


def two_sided(name: str, measure: Measure, doc: str, by_unit: bool = False) -> Statistic:
    """Make the statistic of a measure of the output and of δ; the side precedes the names of results.

    `by_unit`: whether results are per unit.
    """

    def on(side: str, chosen: Callable) -> Statistic:
        named = lambda state: {f"{side}_{key}": value for key, value in measure.finish(state).items()}
        of_side = _of(measure, lambda *sides: jnp.asarray(chosen(*sides)))
        merging = measure.merge, named, side, (), measure.merge_all
        one = Statistic(f"{side}_{name}", of_side, *merging, doc=doc, by_entry=True)
        return of_units(one) if by_unit else one

    both = union(name, [on("output", lambda output, delta: output), on("delta", lambda output, delta: delta)])
    return dataclasses.replace(both, doc=doc)


def _of(measure: Measure, chosen: Callable[[Any, Any], jax.Array]) -> Of:
    """Return the `of` of a statistic that measures one array of (output, δ)."""
    if not (quick := measure.quick):
        return lambda *sides: measure.of(chosen(*sides))
    both = quick_or(measure.of, quick)
    return TwoWays(lambda *sides: both(chosen(*sides)), lambda *sides: quick(chosen(*sides)))
