"""Data gone through forward only, batch by batch: kinks, and the outputs of points that have no δ."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import _signals
from .._jax.leaves import opened_leaves
from .._kinks.decisions.decisions import Key
from .._kinks.kinks import analyse, count_kinks
from .._points.point import Point
from .._show.progress import progress as shown_progress
from .._source.user_files import Source
from .._walk.walk import outputs
from ..stats import Statistic
from ..stats._batched import of_datum, over_data
from ..stats._fold import Partial, either_on_host, finished, on_host
from .batches import COUNTS, Batches, open_batches
from .loop import one_behind
from .placement import placement


def kinks_over(
    fun: Callable,
    params: Any,
    batches: Iterable[Any],
    by: str | None,
    source: Source = None,
    mesh: Any = None,
    progress: bool = False,
) -> dict[str | None, int]:
    """Count the entries over the data, per point, that are kinks of `fun(params, x, y)`; None: at no point.

    Compiles once. Arguments as of `evaluate`.
    """
    data = open_batches(batches)
    analysis, _, _ = analyse(fun, params, *data.datum, by=by, source=source)

    def step(arrays: list[Any], leaves: Sequence[Any], counts: jax.Array) -> dict[Key, jax.Array]:
        found = jax.vmap(lambda leaves: count_kinks(analysis, [*arrays, *leaves]))(leaves)
        return {key: jnp.where(counts == COUNTS, count, 0).sum() for key, count in found.items()}

    add = lambda a, b: jax.tree.map(operator.add, a, b)
    total = _totals(data, opened_leaves(params)[0], step, add, mesh, progress, "kinks")
    kinks: dict[str | None, int] = {}
    for key, count in total.items():
        point = analysis.decisions[key.path].point
        kinks[point] = kinks.get(point, 0) + int(count)
    return kinks


def outputs_over(
    fun: Callable,
    params: Any,
    batches: Iterable[Any],
    points: Sequence[Point],
    statistic: Statistic,
    by: str | None,
    source: Source = None,
    mesh: Any = None,
    progress: bool = False,
) -> dict[str, dict[str, np.ndarray]]:
    """Compute a statistic of the outputs alone, by point; at a point in a loop with a leading axis for the steps.

    Arguments as of `evaluate`; `statistic` is one of the output.
    """
    data, (given, closed) = open_batches(batches), opened_leaves(params)
    loops = {point.name: len(point.axes) for point in points}

    def one(arrays: list[Any], leaves: Sequence[Any], counts: jax.Array) -> dict[str, Partial]:
        _, found = outputs(fun, list(loops), by=by, source=source)(closed(arrays), *data.arguments(leaves))
        return {name: _at_each_step(statistic, axes)(found[name], counts) for name, axes in loops.items()}

    def step(arrays: list[Any], leaves: Sequence[Any], counts: jax.Array) -> dict[str, Partial]:
        found = jax.vmap(one, (None, 0, 0))(arrays, leaves, counts == COUNTS)
        return {name: over_data(statistic, partial) for name, partial in found.items()}

    def add(a: dict[str, Partial], b: dict[str, Partial]) -> dict[str, Partial]:
        return {name: either_on_host(statistic.merge, a[name], b[name], statistic.by_entry) for name in a}

    total = _totals(data, given, step, add, mesh, progress, "outputs")
    return {name: finished(statistic.finish, total[name], statistic.by_entry) for name in loops}


def _at_each_step(statistic: Statistic, axes: int) -> Callable[[Any, Any], Partial]:
    datum = of_datum(statistic)
    each = lambda output, counts: datum(output, output, counts)[0]
    for _ in range(axes):
        each = jax.vmap(each, (0, None))
    return each


def _totals(
    data: Batches, params: list[Any], step: Callable, add: Callable, mesh: Any, progress: bool, what: str
) -> Any:
    """Add up what `step(params, leaves, counts)` finds in all batches, on the host in 64 bits."""
    placed = placement(mesh, data.size)
    with placed.context(), _signals.held_back(), shown_progress(data.total, progress, what=what) as bar:
        compiled, arrays = jax.jit(step, out_shardings=placed.whole), placed.params(params)

        def sent() -> Iterator[Any]:
            for batch in data:
                _signals.check()
                *leaves, counts = placed.batch([*batch.leaves, batch.counts])
                yield compiled(arrays, leaves, counts), int((batch.counts == COUNTS).sum())

        total = None
        for found, count in one_behind(sent()):
            found = on_host(found)
            total = found if total is None else add(total, found)
            bar.advance(count)
    return total
