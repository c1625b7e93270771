"""The survey of a model over data: per point the size of output and δ, and the data of largest loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ._dtypes import widened
from ._find import find
from ._kinks import counted_over
from ._points import Point, Points
from ._walk import walk

BATCH = 256  # data walked at once: bounds the memory


class Sizes(NamedTuple):
    """Of one array over the data: mean and maximum of |.|, share of zeros, and the first datum with a NaN or Inf."""

    mean: float
    max: float
    zeros: float
    nonfinite: int | None


class Line(NamedTuple):
    """A point and the sizes there; None where there is no such array. `kinks`: the entries, over the data, of choices
    that feed it and are ties or rounding's."""

    point: Point
    output: Sizes | None
    delta: Sizes | None
    kinks: int = 0


class Survey(NamedTuple):
    """The loss of each datum, and a line per point in forward order; `kinks`: those at no point."""

    loss: np.ndarray
    lines: list[Line]
    kinks: int = 0

    def largest(self, k: int) -> list[tuple[int, float]]:
        """The `k` data of largest loss, NaN first: (index, loss)."""
        order = np.argsort(-np.where(np.isnan(self.loss), np.inf, self.loss), kind="stable")[:k]
        return [(int(i), float(self.loss[i])) for i in order]


def survey(fun: Callable, params: Any, x: Any, y: Any) -> Survey:
    """Walks `fun(params, x, y)` through every datum, keeping only statistics, in one compiled pass.

    Arguments:
        fun: the objective of one datum.
        params: its weights.
        x, y: arrays with one row per datum.
    """
    found = _points_of(fun, params, x, y)
    silent = [p.name for p in found.values() if p.opaque is None and not p.has_delta and _is_number(p)]
    felt = [p.name for p in found.values() if p.has_delta]

    def one(datum: tuple[Any, Any]):
        whole = walk(fun, silent)(params, *datum) if silent else None
        said = {} if whole is None else {name: (_measure(value), None) for name, value in whole.outputs.items()}
        if whole is not None and not felt:
            return whole.value, said
        walked = walk(fun, felt or None, keep=lambda o, d: (_measure(o), _measure(d)))(params, *datum)
        return walked.value, said | dict(walked.kept)

    batch = min(BATCH, len(x))
    losses, measured = jax.jit(lambda data: jax.lax.map(one, data, batch_size=batch))((jnp.asarray(x), jnp.asarray(y)))
    kinks = counted_over(fun, params, x, y, batch)
    sizes = {name: [_sizes(m) for m in pair] for name, pair in measured.items()}
    lines = [Line(p, *sizes.get(p.name, [None, None]), kinks=kinks.get(p.name, 0)) for p in found.values()]
    return Survey(np.asarray(losses), lines, sum(kinks.values()) - sum(line.kinks for line in lines))


def _points_of(fun: Callable, params: Any, x: Any, y: Any) -> Points:
    return find(fun, (params, x[0], y[0]), {}, by=None, source=None)[1]


def _is_number(point: Point) -> bool:
    """Whether there is a size to speak of: a random key has none."""
    return point.dtype == jnp.bool_ or jnp.issubdtype(point.dtype, jnp.number)


def _measure(values: jax.Array) -> dict[str, jax.Array]:
    size = jnp.abs(values.astype(widened(values.dtype)))
    return {
        "ran": jnp.bool_(True),  # in a branch not taken nothing runs, and all of this is zero
        "mean": jnp.sum(size) / max(size.size, 1),
        "max": jnp.max(size, initial=0),
        "zeros": jnp.sum(size == 0, dtype=jnp.float32) / max(size.size, 1),
        "nonfinite": ~jnp.all(jnp.isfinite(size)),
    }


def _sizes(measured: dict[str, Any] | None) -> Sizes | None:
    """Over the data (and over the steps of loops), from the measures of each."""
    if measured is None:
        return None
    m: dict[str, np.ndarray] = {name: np.asarray(v) for name, v in measured.items()}
    zeros = np.where(m["ran"], m["zeros"], 1)  # there output and δ are zeros
    bad = m["nonfinite"].reshape(len(m["nonfinite"]), -1).any(1)
    first = int(np.argmax(bad)) if bad.any() else None
    return Sizes(float(m["mean"].mean()), float(m["max"].max()), float(zeros.mean()), first)
