"""The totals of all the data so far, on the host: those of groups of batches, merged in 64 bits, and kept on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from .._points.ordered_mapping import by_point
from .._points.point import Points
from .._walk.nonfinite import KINDS
from ..stats import Statistic
from ..stats._fold import Partial, either_on_host, finished, on_host
from ..stats._sums import merge_means
from .batches import COUNTS
from .device_totals import Totals
from .result.datum import Data, Datum
from .result.evaluation import Evaluation
from .result.ranking import Rows, TopK
from .step import CompiledStep


def totals_on_host(totals: Totals, before: int) -> Totals:
    """Return a group's totals as NumPy arrays of 64 bits; `before`: how many data came before the group."""
    wide: Any = on_host(totals)
    largest: TopK = jax.tree.map(lambda leaf: leaf[wide.largest.key > -np.inf], wide.largest)
    return wide._replace(largest=largest._replace(index=largest.index + before))


def merge_totals(statistic: Statistic | None, a: Totals | None, b: Totals, top: int) -> Totals:
    """Return the totals of the data of both, with `top` culprits at most; `b` came after `a`."""
    if a is None:
        return b
    pairs = zip(a.states, b.states, strict=True)
    states = [] if statistic is None else [either_on_host(statistic.merge, mine, other) for mine, other in pairs]
    loss = either_on_host(merge_means, a.loss, b.loss)
    return Totals(a.data + b.data, a.nonfinite + b.nonfinite, loss, states, _merge_top_k(a.largest, b.largest, top))


def _merge_top_k(a: TopK, b: TopK, top: int) -> TopK:
    both = jax.tree.map(lambda x, y: np.concatenate([x, y]), a, b)
    order = np.argsort(-both.key, kind="stable")[:top]
    return jax.tree.map(lambda leaf: leaf[order], both)


def evaluation_of(totals: Totals, statistic: Statistic | None, points: Points, step: CompiledStep) -> Evaluation:
    """Return what the totals come to, under all the names of each point."""
    loss = float(totals.loss.state["mean"]) if totals.loss.seen else float("nan")
    states = dict(_by_name(totals.states, step.alike))
    kept = {} if statistic is None else {name: finished(statistic.finish, states[name]) for name in states}
    seen = {name: np.asarray(partial.seen) for name, partial in states.items()}
    nothing = "Nothing was kept: `evaluate` was called with `keep=None`." if statistic is None else None
    kept, seen = (by_point(values, points, nothing) for values in (kept, seen))
    culprits = Data(_data(totals.largest, points, step.names))
    return Evaluation(int(totals.data), loss, int(totals.nonfinite), points, kept, seen, culprits)


def _by_name(states: Sequence[Partial], alike: Sequence[Sequence[str]]) -> Iterator[tuple[str, Partial]]:
    for partial, names in zip(states, alike, strict=True):
        for i, name in enumerate(names):
            yield name, jax.tree.map(lambda leaf, i=i: leaf[i], partial)


def _data(largest: TopK, points: Points, names: Sequence[str]) -> list[Datum]:
    there = np.flatnonzero(largest.key > -np.inf)
    norms = [by_point(dict(zip(names, map(float, largest.rows.norms[i]), strict=True)), points) for i in there]
    rows = largest.rows
    each = zip(there, norms, strict=True)
    return [Datum(int(largest.index[i]), float(rows.loss[i]), n, KINDS[int(rows.inputs[i])]) for i, n in each]


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


def columns(rows: Rows, names: Sequence[str], before: int) -> dict[str, np.ndarray]:
    """Return the rows of a group as columns: index, loss, and the norms by point."""
    found = jax.device_get(rows)
    losses, norms = (values[found.counts == COUNTS] for values in (found.loss, found.norms))
    index = np.arange(before, before + len(losses), dtype=np.int64)
    return {"index": index, "loss": losses} | {f"delta_l2/{name}": norms[:, i] for i, name in enumerate(names)}
