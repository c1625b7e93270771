"""What is known of all the data so far, on the host: groups of batches added up in 64 bits, and kept on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from .._points.point import Points
from ..stats import Statistic
from ..stats._fold import Partial, either_on_host, finished, on_host
from ..stats._sums import merge_means
from .batches import COUNTS
from .group import Carry, Largest, Rows
from .replay import Fed
from .result.datum import Data, Datum, by_point
from .result.evaluation import Evaluation
from .step import Step
from .store.store import Store


def on_host_from(carry: Carry, before: int) -> Carry:
    """What a group of batches carried, as NumPy arrays of 64 bits; places are those among all data."""
    wide: Any = on_host(carry)
    return wide._replace(largest=wide.largest._replace(place=wide.largest.place + before))


def added(statistic: Statistic | None, a: Carry | None, b: Carry) -> Carry:
    """What is known of the data of both; `b` came after `a`."""
    if a is None:
        return b
    pairs = zip(a.states, b.states, strict=True)
    states = [] if statistic is None else [either_on_host(statistic.merge, mine, other) for mine, other in pairs]
    loss = either_on_host(merge_means, a.loss, b.loss)
    return Carry(a.data + b.data, a.nonfinite + b.nonfinite, loss, states, _largest(a.largest, b.largest))


def _largest(a: Largest, b: Largest) -> Largest:
    both = jax.tree.map(lambda x, y: np.concatenate([x, y]), a, b)
    order = np.argsort(-both.key, kind="stable")[: len(a.key)]
    return jax.tree.map(lambda leaf: leaf[order], both)


def evaluation_of(total: Carry, statistic: Statistic | None, points: Points, step: Step) -> Evaluation:
    """What a total says. Another name of a point that the step has says the same."""
    loss = float(total.loss.state["mean"]) if total.loss.seen else float("nan")
    states = dict(_by_name(total.states, step.alike))
    kept = {} if statistic is None else {name: finished(statistic.finish, states[name]) for name in states}
    seen = {name: np.asarray(partial.seen) for name, partial in states.items()}
    culprits = Data(_data(total.largest, points, step.names))
    nothing = "Nothing was kept: `evaluate` was called with `keep=None`." if statistic is None else None
    kept, seen = (by_point(values, points, nothing) for values in (kept, seen))
    return Evaluation(int(total.data), loss, int(total.nonfinite), points, kept, seen, culprits)


def _by_name(states: Sequence[Partial], alike: Sequence[Sequence[str]]) -> Iterator[tuple[str, Partial]]:
    for partial, names in zip(states, alike, strict=True):
        for i, name in enumerate(names):
            yield name, jax.tree.map(lambda leaf, i=i: leaf[i], partial)


def _data(largest: Largest, points: Points, names: Sequence[str]) -> list[Datum]:
    there = np.flatnonzero(largest.key > -np.inf)
    norms = [by_point(dict(zip(names, map(float, largest.rows.norms[i]), strict=True)), points) for i in there]
    return [Datum(int(largest.place[i]), float(largest.rows.loss[i]), n) for i, n in zip(there, norms, strict=True)]


# On disk -------------------------------------------------------------------------------------------------


def packed(total: Carry) -> dict[str, np.ndarray]:
    """The arrays of a group, by name."""
    return {f"leaf {i}": leaf for i, leaf in enumerate(jax.tree.leaves(total))}


def unpacked(arrays: Mapping[str, np.ndarray], like: Callable[[], Carry]) -> Carry:
    """The group that they are of."""
    leaves = [arrays[f"leaf {i}"] for i in range(len(arrays))]
    return jax.tree.unflatten(jax.tree.structure(jax.eval_shape(like)), leaves)


def columns(rows: Rows, names: Sequence[str], before: int) -> dict[str, np.ndarray]:
    """The rows of a group as columns: index, loss, and the norms by point."""
    found = jax.device_get(rows)
    losses, norms = (values[found.counts == COUNTS] for values in (found.loss, found.norms))
    index = np.arange(before, before + len(losses), dtype=np.int64)
    return {"index": index, "loss": losses} | {f"delta_l2/{name}": norms[:, i] for i, name in enumerate(names)}


class Writer:
    """Writes parts to a store, one at a time; with no store, nothing. An error comes with the next call.

    Attributes:
        data: how many data are in the store.
    """

    def __init__(self, store: Store | None, data: int):
        self.data = data
        self._store, self._pool = store, ThreadPoolExecutor(1)
        self._pending: tuple[Future[None], int] | None = None

    @property
    def is_open(self) -> bool:
        return self._store is not None

    def write(self, rows: Mapping[str, np.ndarray], fed: Sequence[Fed], part: Carry) -> None:
        """Begins to, once the part before is there."""
        self.wait()
        if self._store is not None:
            arguments = (self._store.parts, rows, {"fed": list(fed)}, packed(part))
            self._pending = self._pool.submit(self._store.write, *arguments), len(rows["index"])

    def wait(self) -> None:
        """Until what was given is on disk.

        Raises:
            StoreError: it cannot be written.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            pending[0].result()
            self.data += pending[1]

    def finish(self, header: Mapping[str, Any]) -> None:
        """Marks the evaluation as complete, once all is there."""
        self.wait()
        if self._store is not None:
            self._store.finish(header)

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()
