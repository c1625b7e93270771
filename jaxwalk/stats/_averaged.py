"""Statistics of one's own, of a plain function: its mean, its sum, its largest over the data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._callables import check_keep
from .._errors import ArgumentError, listed, shown
from .._jax.leaves import flatten
from ._numerics.sums import all_means, all_sums, merge_means, real, sums
from ._statistic import State, Statistic, numpy_of

UNNAMED = "kept"
"""The name of a statistic, and of its one result, where the function has none."""


def averaged(keep: Callable[[Any, Any], Any], name: str | None = None) -> Statistic:
    """Return the statistic that is the mean over data of what a plain `keep` returns.

    Arguments:
        keep: a function (output, delta) -> pytree of arrays, of one datum. Integers and booleans are averaged too: of
            a condition, the mean is the share of data.
        name: of the statistic, and of its result if that is one array; by default the function's name. In a pytree, a
            result has the name of its path: `{"size": {"l2": ...}}` gives `size_l2`.

    Returns:
        Statistic: whose results have the shapes of the arrays that `keep` returns. Entries that are not finite are
            left out of the mean.

    Raises:
        ArgumentError: `keep` is no function of these two, or a `Statistic`; (when it sees a value) it returns no
            array, or something else, or two whose paths make one name.

    >>> import jax.numpy as jnp
    >>> from jaxwalk import stats
    >>> def largest_delta(output, delta):
    ...     return jnp.max(jnp.abs(delta))
    >>> stats.averaged(largest_delta)(jnp.ones(2), jnp.array([-3.0, 1.0]))
    {'largest_delta': Array(3., dtype=float32)}
    """

    def state(x: jax.Array) -> State:
        x = x if jnp.issubdtype(x.dtype, jnp.complexfloating) else real(x)
        finite = jnp.isfinite(x)
        return {"count": finite.astype(jnp.int32), "mean": jnp.where(finite, x, 0)}

    def finish(state: State) -> Any:
        return numpy_of(state).where(state["count"] > 0, state["mean"], np.nan)

    return _of_each(keep, name, state, merge_means, finish, all_means)


def summed(keep: Callable[[Any, Any], Any], name: str | None = None) -> Statistic:
    """Return the statistic that is the sum over data of what a plain `keep` returns; as `averaged`.

    Integers and booleans are summed as int32.
    """

    def state(x: jax.Array) -> State:
        if not jnp.issubdtype(x.dtype, jnp.inexact):
            return {"sum": x.astype(jnp.int32)}
        x = x if jnp.issubdtype(x.dtype, jnp.complexfloating) else real(x)
        return {"sum": jnp.where(jnp.isfinite(x), x, 0)}

    return _of_each(keep, name, state, sums, lambda state: state["sum"], all_sums)


def largest(keep: Callable[[Any, Any], Any], name: str | None = None) -> Statistic:
    """Return the statistic that is the largest over data of what a plain `keep` returns; as `averaged`.

    Where no entry is finite, it is -inf.
    """

    def state(x: jax.Array) -> State:
        x = real(x)
        return {"largest": jnp.where(jnp.isfinite(x), x, -jnp.inf)}

    merge = lambda a, b: {"largest": numpy_of((a, b)).maximum(a["largest"], b["largest"])}

    def merge_all(states: State, which: jax.Array) -> State:
        among = which.reshape(which.shape + (1,) * (states["largest"].ndim - 1))
        return {"largest": jnp.max(states["largest"], 0, where=among, initial=-jnp.inf)}

    return _of_each(keep, name, state, merge, lambda state: state["largest"], merge_all)


def _of_each(
    keep: Callable, name: str | None, state: Callable, merge: Callable, finish: Callable, merge_all: Callable
) -> Statistic:
    """Return a statistic whose state is a dict of states, one of each array that `keep` returns."""
    if isinstance(keep, Statistic):
        raise ArgumentError(f"`keep` is {keep}, which merges over data by itself; use it as it is.")
    check_keep(keep)
    given = name or getattr(keep, "__name__", UNNAMED).replace("<lambda>", UNNAMED)
    of = lambda output, delta: {key: state(x) for key, x in _arrays(keep(output, delta), given).items()}
    each = lambda function: lambda *states: {key: function(*(one[key] for one in states)) for key in states[0]}
    every = lambda states, which: {key: merge_all(one, which) for key, one in states.items()}
    return Statistic(given, of, each(merge), each(finish), merge_all=every, by_entry=True)


def _arrays(kept: Any, given: str) -> dict[str, jax.Array]:
    """Return the arrays that a plain function returned, by their paths; one array alone has the given name."""
    flatten(kept, f"What {_said(given)} returned")  # refuses keys that JAX cannot sort
    leaves, _ = jax.tree_util.tree_flatten_with_path(kept)
    if not leaves:
        raise ArgumentError(f"{_said(given)} returned no array; return what to keep of (output, delta).")
    arrays = {_named(path) or given: _as_array(leaf, given) for path, leaf in leaves}
    if len(arrays) < len(leaves):
        among = listed(arrays)
        raise ArgumentError(f"{_said(given)} returned two arrays of one name, of {among}; rename one of them.")
    return arrays


def _said(given: str) -> str:
    """Name the argument, and which one of several that are combined."""
    return "`keep`" if given == UNNAMED else f"`keep` of `{given}`"


def _named(path: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="_")


def _as_array(leaf: Any, given: str) -> jax.Array:
    if isinstance(leaf, jax.Array | np.ndarray | np.generic | bool | int | float | complex):
        return jnp.asarray(leaf)
    raise ArgumentError(f"{_said(given)} returned {shown(leaf)}, which is not an array; return arrays.")
