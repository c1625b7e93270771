"""Merging the states of sets of data two by two: on the device, and on the host in 64 bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Merge = Callable[[Any, Any], Any]
State = Any


class Partial(NamedTuple):
    """The states of some sets of data, and of how many data each is: those of none are zeros.

    Attributes:
        state: a pytree of arrays; axes of `seen` lead.
        seen: numbers of data.
    """

    state: State
    seen: Any


def either(merge: Merge, a: Partial, b: Partial) -> Partial:
    """Merge the states of two sets of data; where one of them is empty, the other is the result."""
    each = merge
    for _ in range(jnp.ndim(a.seen)):
        each = jax.vmap(each)
    first = where(a.seen > 0, a.state, b.state)
    return Partial(where((a.seen > 0) & (b.seen > 0), each(a.state, b.state), first), a.seen + b.seen)


def fold(merge: Merge, partial: Partial) -> Partial:
    """Merge over the leading axis, by a balanced tree.

    Over a tree the error of a sum grows with its depth alone (N. J. Higham, Accuracy and Stability of Numerical
    Algorithms, 2nd ed., §4.2).
    """
    while (length := len(partial.seen)) > 1:
        even, odd = (jax.tree.map(lambda leaf, i=i: leaf[i : length - length % 2 : 2], partial) for i in (0, 1))
        merged = either(merge, even, odd)
        left_over = jax.tree.map(lambda leaf: leaf[length - length % 2 :], partial)
        partial = jax.tree.map(lambda m, left: jnp.concatenate([m, left]), merged, left_over) if length % 2 else merged
    return jax.tree.map(lambda leaf: leaf[0], partial)


def where(condition: Any, a: State, b: State) -> State:
    """Choose leaf by leaf; the axes of `condition` lead."""
    lead = jnp.ndim(condition)
    wide = lambda leaf: jnp.reshape(condition, jnp.shape(condition) + (1,) * (jnp.ndim(leaf) - lead))
    return jax.tree.map(lambda x, y: jnp.where(wide(x), x, y), a, b)


# On the host ---------------------------------------------------------------------------------------------


def on_host(tree: Any) -> Any:
    """Return the arrays as NumPy's, wide enough to add up any number of data: float64, int64, complex128."""
    return jax.tree.map(_wide, jax.device_get(tree))


def _wide(leaf: np.ndarray) -> np.ndarray:
    leaf = np.asarray(leaf)
    if leaf.dtype == np.bool_:
        return leaf
    if np.issubdtype(leaf.dtype, np.complexfloating):
        return leaf.astype(np.complex128)
    return leaf.astype(np.int64 if np.issubdtype(leaf.dtype, np.integer) else np.float64)


def either_on_host(merge: Merge, a: Partial, b: Partial, by_entry: bool) -> Partial:
    """Merge as `either` does, NumPy arrays, which stay NumPy's; all at once if `merge` works `by_entry`."""
    if not by_entry:
        results = [_one(merge, a, b, index) for index in np.ndindex(np.shape(a.seen))]
        stacked = lambda like, *values: np.array([np.asarray(v, like.dtype) for v in values], like.dtype)
        state = jax.tree.map(lambda like, *values: stacked(like, *values).reshape(like.shape), a.state, *results)
        return Partial(state, np.asarray(a.seen + b.seen))

    def chosen(mine: Any, other: Any, both: Any) -> np.ndarray:
        wide = lambda condition: np.reshape(condition, np.shape(condition) + (1,) * (np.ndim(mine) - np.ndim(a.seen)))
        first = np.where(wide(a.seen > 0), mine, other)
        return np.where(wide((a.seen > 0) & (b.seen > 0)), both, first).astype(mine.dtype)

    with np.errstate(divide="ignore", invalid="ignore"):  # of states of no data
        both = merge(a.state, b.state)
    return Partial(jax.tree.map(chosen, a.state, b.state, both), np.asarray(a.seen + b.seen))


def fold_on_host(merge: Merge, partial: Partial) -> Partial:
    """Merge over the leading axis as `fold` does, NumPy arrays; `merge` works by entry."""
    while (length := len(partial.seen)) > 1:
        half, rest = length // 2, length % 2
        first, second, last = (
            jax.tree.map(lambda leaf, part=part: leaf[part], partial)
            for part in (slice(half), slice(half, 2 * half), slice(2 * half, None))
        )
        merged = either_on_host(merge, first, second, by_entry=True)
        partial = jax.tree.map(lambda m, left: np.concatenate([m, left]), merged, last) if rest else merged
    return jax.tree.map(lambda leaf: leaf[0], partial)


def _one(merge: Merge, a: Partial, b: Partial, index: tuple[int, ...]) -> State:
    mine, other = (jax.tree.map(lambda leaf: leaf[index], p.state) for p in (a, b))
    if not (a.seen[index] and b.seen[index]):
        return mine if a.seen[index] else other
    return merge(mine, other)


def finished(finish: Callable[[State], dict[str, Any]], partial: Partial, by_entry: bool) -> dict[str, np.ndarray]:
    """Finish the state of each point and of each step of the loops around it; results are stacked along their axes.

    All at once if `finish` works `by_entry`.
    """
    lead = np.shape(partial.seen)
    if by_entry:
        return {key: np.asarray(value) for key, value in finish(partial.state).items()}
    at = lambda index: jax.tree.map(lambda leaf: leaf[index], partial.state)
    each = [finish(at(index)) for index in np.ndindex(lead)]
    stacked = lambda values: np.stack([np.asarray(v) for v in values]).reshape((*lead, *np.shape(values[0])))
    return {key: stacked([one[key] for one in each]) for key in each[0]}
