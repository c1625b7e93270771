"""The totals of all the data so far, on the host: those of groups of batches, merged in 64 bits, and kept on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from ..._jax.packing import Packing
from ..._points.ordered_mapping import by_point
from ..._points.point import Points
from ..._walk.nonfinite import KINDS
from ...stats import Statistic
from ...stats._fold import Partial, either_on_host, finished, fold_on_host, on_host
from ...stats._numerics.sums import merge_means
from ..batches import COUNTS
from ..result.datum import Data, Datum, datum_of
from ..result.evaluation import Evaluation, Gap
from ..result.ranking import Rows, TopK, is_bad, merge_top_k, most_to_blame
from .alike import Form
from .attributed import GAP
from .step import CompiledStep
from .task import Task
from .totals import Found, Totals


def finish(
    found: Sequence[Found], merged: list[Partial], step: CompiledStep, task: Task, before: int
) -> tuple[Totals, Rows]:
    """Return the totals of a group of batches as NumPy arrays of 64 bits, and the rows of its data.

    Arguments:
        found: of each batch, on the host.
        merged: the states of all of them that are merged on the device.
        before: how many data came before the group.
    """
    rows: Any = jax.tree.map(lambda *leaves: np.concatenate(leaves), *(one.rows for one in found))
    is_counted = rows.counts == COUNTS
    rows = jax.tree.map(lambda leaf: leaf[is_counted], rows)
    rows = rows._replace(norms=rows.norms[:, step.places])
    ordered = lambda form, state: jax.tree.map(lambda leaf: leaf[form.places], state)
    states = merged if step.packing is None else _states(task.statistic, found, step.packing)
    states = [ordered(form, state) for form, state in zip(step.forms, on_host(states), strict=True)]
    bad = is_bad(rows)
    largest = most_to_blame(rows, bad, task.top)
    totals = Totals(len(bad), bad.sum(), _mean(rows.loss[np.isfinite(rows.loss)]), states, largest)
    wide: Any = on_host(totals)
    return wide._replace(largest=wide.largest._replace(index=wide.largest.index + before)), rows


def _states(statistic: Statistic | None, found: Sequence[Found], packing: Packing) -> list[Partial]:
    """Return the states of some batches, merged."""
    rows = {dtype: np.stack([one.states[dtype] for one in found]) for dtype in packing.sizes()}
    return [fold_on_host(statistic.merge, on_host(state)) for state in packing.unpack(rows)] if statistic else []


def _mean(losses: np.ndarray) -> Partial:
    """Return the mean of numbers, which their sum may be too large for. They are divided by a power of two first."""
    count = len(losses)
    unit = 2.0 ** max(count, 1).bit_length()
    part = losses.dtype.type(max(count, 1) / unit)
    return Partial({"count": np.array(count), "mean": (losses * losses.dtype.type(1 / unit)).sum() / part}, count)


def merge_totals(statistic: Statistic | None, a: Totals | None, b: Totals, top: int) -> Totals:
    """Return the totals of the data of both, with `top` culprits at most; `b` came after `a`."""
    if a is None:
        return b
    pairs = zip(a.states, b.states, strict=True)
    states = [] if statistic is None else [either_on_host(statistic.merge, *both, statistic.by_entry) for both in pairs]
    loss = either_on_host(merge_means, a.loss, b.loss, by_entry=True)
    return Totals(a.data + b.data, a.nonfinite + b.nonfinite, loss, states, merge_top_k(a.largest, b.largest, top))


def evaluation_of(totals: Totals, task: Task, step: CompiledStep) -> Evaluation:
    """Return what the totals come to, under all the names of each point."""
    statistic, points, method = task.statistic, task.points, task.method
    loss = float(totals.loss.state["mean"]) if totals.loss.seen else float("nan")
    states = dict(_by_name(totals.states, step.forms))
    kept = {} if statistic is None else _finished(statistic, totals.states, step.forms)
    seen = {name: np.asarray(partial.seen) for name, partial in states.items()}
    nothing = "Nothing was kept: `evaluate` was called with `keep=None`." if statistic is None else None
    of_gap = kept.get(GAP)
    gap = None if of_gap is None else Gap(*(float(of_gap[key]) for key in ("total_mean", "score_abs_max")))
    kept, seen = (by_point(values, points, nothing) for values in (kept, seen))
    culprits = Data(_data(totals.largest, points, step.names, method))
    whole = int(totals.data), loss, int(totals.nonfinite)
    return Evaluation(*whole, points, kept, seen, culprits, method=method, gap=gap)


def _finished(statistic: Statistic, states: Sequence[Partial], forms: Sequence[Form]) -> dict[str, Any]:
    if not statistic.by_entry:  # the results of two points may then be of different shapes
        return {name: finished(statistic.finish, state, False) for name, state in _by_name(states, forms)}
    found = [(form, finished(statistic.finish, state, True)) for form, state in zip(forms, states, strict=True)]
    at = lambda results, i: {key: value[i] for key, value in results.items()}  # in the order of `finish`
    return {name: at(results, i) for form, results in found for i, name in enumerate(form.names)}


def _by_name(states: Sequence[Partial], forms: Sequence[Form]) -> Iterator[tuple[str, Partial]]:
    for partial, form in zip(states, forms, strict=True):
        for i, name in enumerate(form.names):
            yield name, jax.tree.map(lambda leaf, i=i: leaf[i], partial)


def _data(largest: TopK, points: Points, names: Sequence[str], method: str | None) -> list[Datum]:
    there = np.flatnonzero(largest.key > -np.inf)
    numbers = [by_point(dict(zip(names, map(float, largest.rows.norms[i]), strict=True)), points) for i in there]
    rows = largest.rows
    each = zip(there, numbers, strict=True)
    datum = datum_of(method, points)
    return [datum(int(largest.index[i]), float(rows.loss[i]), n, KINDS[int(rows.inputs[i])]) for i, n in each]


# On disk -------------------------------------------------------------------------------------------------


def to_arrays(totals: Totals) -> dict[str, np.ndarray]:
    """Return the arrays of totals, by name."""
    return {f"leaf {i}": leaf for i, leaf in enumerate(jax.tree.leaves(totals))}


def from_arrays(arrays: Mapping[str, np.ndarray], like: Callable[[], Totals]) -> Totals:
    """Return the totals that these arrays are of; `like` gives others of the same structure."""
    leaves = [arrays[f"leaf {i}"] for i in range(len(arrays))]
    structure = jax.tree.structure(jax.eval_shape(like))
    if len(leaves) == structure.num_leaves - 1:  # an older tree did not write `Rows.inputs`, the last leaf
        leaves.append(np.zeros(leaves[-1].shape, np.int64))
    return jax.tree.unflatten(structure, leaves)


def columns(rows: Any, names: Sequence[str], before: int, method: str | None = None) -> dict[str, np.ndarray]:
    """Return the rows of a group as columns: index, loss, and by point the norms; of a method the totals, and its
    gap."""
    index = np.arange(before, before + len(rows.loss), dtype=np.int64)
    named = lambda name: f"delta_l2/{name}" if method is None else f"total/{name}" if name != GAP else "gap"
    return {"index": index, "loss": rows.loss} | {named(name): rows.norms[:, i] for i, name in enumerate(names)}
