"""From states to results, for all points at once: what a statistic is finished to, is so in few operations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from .._points.columns import Columns, Group
from .._points.ordered_mapping import Named
from .._points.point import Points
from ..stats import Statistic


def is_finished_together(keep: Any) -> bool:
    """Tell whether a `keep` has states of which those of many points can be finished as one array.

    Those of all steps of a loop are held until then: not if one has more numbers for each unit than its results have.
    """
    return isinstance(keep, Statistic) and keep.by_entry and _holds_little(keep)


def _holds_little(statistic: Statistic) -> bool:
    (state, results), (grown_state, grown_results) = _sizes(statistic, 5), _sizes(statistic, 6)
    return grown_state - state <= grown_results - results


def _sizes(statistic: Statistic, units: int) -> tuple[int, int]:
    """Return how many numbers a state, and its results, have of a value of so many units."""
    value = jax.ShapeDtypeStruct((3, units), jnp.float32)
    state = jax.eval_shape(statistic.of, value, value)
    count = lambda tree: sum(leaf.size for leaf in jax.tree.leaves(tree))
    return count(state), count(jax.eval_shape(statistic.finish, state))


def statistics_at(keep: Any, points: Points) -> dict[str, Statistic]:
    """Return by point the statistic that is taken there: of one for all, or of one by point."""
    felt = [name for name, point in points.items() if point.has_delta]
    if not isinstance(keep, Mapping):
        return {name: keep for name in felt}  # noqa: C420 - keeps its type
    return {name: keep[name] for name in felt if name in keep}


def finished(states: Named, statistics: Mapping[str, Statistic], points: Points) -> Columns:
    """Finish the states of all points: those of one shape, of the same part of the statistic, as one array."""
    groups: dict[Any, list[tuple[str, Any]]] = {}
    parts: dict[Any, Statistic] = {}
    for name in states.once():
        for path, part in _parts(statistics[name]):
            state = states[name]
            for step in path:
                state = state[step]
            leaves, tree = jax.tree.flatten(state)
            if leaves:
                key = path, tree, len(points[name].axes), tuple((leaf.shape, leaf.dtype) for leaf in leaves)
                parts.setdefault(key, part)
                groups.setdefault(key, []).append((name, state))
    each = [_together(parts[key], key[2], dict(found)) for key, found in groups.items()]
    return Columns(states, [group for group, _ in each], [arrays for _, arrays in each])


def _parts(statistic: Statistic, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Statistic]]:
    if not statistic.parts:
        yield path, statistic
    for part in statistic.parts:
        yield from _parts(part, (*path, part.name))


def _together(part: Statistic, lead: int, states: Mapping[str, Any]) -> tuple[Group, dict[str, Any]]:
    """Finish states of some points; the axes of loops are in front."""
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves, lead), *states.values())
    results = part.finish(stacked)
    return Group(tuple(states), tuple((key, value.ndim - 1 - lead) for key, value in results.items())), results
