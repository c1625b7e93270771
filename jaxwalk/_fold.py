"""Merging the states of many data into one: over a batch, inside the backward pass; over batches; on the host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_batching import custom_vmap

Merge = Callable[[Any, Any], Any]
State = Any


class Partial(NamedTuple):
    """The states of some sets of data, and which of them are of any data at all: those of none are zeros.

    Attributes:
        state: a pytree of arrays; axes of `seen` lead.
        seen: booleans.
    """

    state: State
    seen: Any


def either(merge: Merge, a: Partial, b: Partial) -> Partial:
    """Of the union of two sets of data; where one of them is empty, the other."""
    each = merge
    for _ in range(jnp.ndim(a.seen)):
        each = jax.vmap(each)
    first = _where(a.seen, a.state, b.state)
    return Partial(_where(a.seen & b.seen, each(a.state, b.state), first), a.seen | b.seen)


def fold(merge: Merge, partial: Partial, groups: int = 1) -> Partial:
    """The union over the leading axis, by a balanced tree of merges.

    Sums over a tree have an error that grows with its depth alone (N. J. Higham, Accuracy and Stability of Numerical
    Algorithms, 2nd ed., §4.2). `groups` divide the leading axis into as many runs, folded side by side first: where the
    axis is divided among devices, each folds its own.
    """
    if groups > 1:
        runs = jax.tree.map(lambda leaf: leaf.reshape(groups, -1, *leaf.shape[1:]), partial)
        partial = jax.vmap(lambda run: fold(merge, run))(runs)
    while (length := len(partial.seen)) > 1:
        even, odd = (jax.tree.map(lambda leaf, i=i: leaf[i : length - length % 2 : 2], partial) for i in (0, 1))
        merged = either(merge, even, odd)
        left_over = jax.tree.map(lambda leaf: leaf[length - length % 2 :], partial)
        partial = jax.tree.map(lambda m, left: jnp.concatenate([m, left]), merged, left_over) if length % 2 else merged
    return jax.tree.map(lambda leaf: leaf[0], partial)


def one(of: Callable[[Any, Any], State]) -> Callable[[Any, Any, Any], Partial]:
    """(output, δ, whether this datum counts) -> its `Partial`."""

    def partial(output: Any, delta: Any, counts: Any) -> Partial:
        state = of(output, delta)
        return Partial(_where(counts, state, jax.tree.map(jnp.zeros_like, state)), counts)

    return partial


def inside(of: Callable[[Any, Any], State], merge: Merge, groups: int = 1) -> Callable[[Any, Any, Any], Partial]:
    """`one`, which under `jax.vmap` gives the `Partial` of the whole batch, unbatched.

    So what is kept of each datum is merged where it arises, at every step of the backward pass, and the states of a whole
    batch are never stacked.
    """

    merged = custom_vmap(one(of))

    @merged.def_vmap
    def over_batch(size: int, batched: Any, *args: Any):
        args = [a if b else jnp.broadcast_to(a, (size, *a.shape)) for a, b in zip(args, batched, strict=True)]
        whole = fold(merge, jax.vmap(one(of))(*args), groups)
        return whole, jax.tree.map(lambda _: False, whole)

    return merged


def _where(condition: Any, a: State, b: State) -> State:
    """Leaf by leaf; the axes of `condition` lead."""
    lead = jnp.ndim(condition)
    wide = lambda leaf: jnp.reshape(condition, jnp.shape(condition) + (1,) * (jnp.ndim(leaf) - lead))
    return jax.tree.map(lambda x, y: jnp.where(wide(x), x, y), a, b)


# On the host ---------------------------------------------------------------------------------------------


def on_host(partial: Partial) -> Partial:
    """As NumPy arrays wide enough to add up any number of data: float64, int64."""
    return jax.tree.map(_wide, jax.device_get(partial))


def _wide(leaf: np.ndarray) -> np.ndarray:
    leaf = np.asarray(leaf)
    if leaf.dtype == np.bool_:
        return leaf
    return leaf.astype(np.int64 if np.issubdtype(leaf.dtype, np.integer) else np.float64)


def either_on_host(merge: Merge, a: Partial, b: Partial) -> Partial:
    """`either`, of NumPy arrays, which stay what they are."""
    results = [_one(merge, a, b, index) for index in np.ndindex(np.shape(a.seen))]
    leaves = [jax.tree.leaves(state) for state in results]
    tree = jax.tree.structure(a.state)
    stacked = [_restacked(column, like, np.shape(a.seen)) for column, like in zip(zip(*leaves), jax.tree.leaves(a.state))]
    return Partial(jax.tree.unflatten(tree, stacked), np.asarray(a.seen | b.seen))


def _one(merge: Merge, a: Partial, b: Partial, index: tuple[int, ...]) -> State:
    mine, other = (jax.tree.map(lambda leaf: leaf[index], p.state) for p in (a, b))
    if not (a.seen[index] and b.seen[index]):
        return mine if a.seen[index] else other
    return merge(mine, other)


def _restacked(values: tuple, like: np.ndarray, lead: tuple[int, ...]) -> np.ndarray:
    return np.stack([np.asarray(v, like.dtype) for v in values]).reshape(lead + like.shape[len(lead) :])


def finished(finish: Callable[[State], dict[str, Any]], partial: Partial) -> dict[str, np.ndarray]:
    """What `finish` says at each step of the loops around a point, stacked along their axes."""
    lead = np.shape(partial.seen)
    each = [finish(jax.tree.map(lambda leaf: leaf[index], partial.state)) for index in np.ndindex(lead)]
    stacked = lambda values: np.stack([np.asarray(v) for v in values]).reshape((*lead, *np.shape(values[0])))
    return {key: stacked([one[key] for one in each]) for key in each[0]}
