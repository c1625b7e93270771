"""Primitives that move entries about, or combine them by where they are, on arrays of any entries at all.

What moves what to where is not worked out here a second time: JAX runs the primitive on the numbers of the entries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

Entries = np.ndarray  # of dtype object

# Which operands are places, not entries.
PLACES = {
    "gather": slice(1, 2),
    "dynamic_slice": slice(1, None),
    "dynamic_update_slice": slice(2, None),
    "scatter": slice(1, 2),
    "scatter_add": slice(1, 2),
}


def moved(name: str, eqn: Any, operands: Sequence[Any], outside: Callable[[Any], Any]) -> list[Entries]:
    """The results of a primitive that moves entries.

    Arguments:
        name: what the primitive is called here.
        eqn: the equation.
        operands: entries, or, where they are places, integers.
        outside: the entry of a number that stands where an array is read outside itself.
    """
    if name in _BY_NUMPY:
        return _BY_NUMPY[name](eqn, *operands)
    places = range(len(operands))[PLACES.get(name, slice(0, 0))]
    data = [x for i, x in enumerate(operands) if i not in places]
    numbers, params = iter(_numbered(data)), dict(eqn.params)
    filling = params.get("fill_value")
    if filling is not None:
        params["fill_value"] = -1
    pool = np.concatenate([*(x.ravel() for x in data), filled((1,), outside(filling))])
    args = [jnp.asarray(x) if i in places else jnp.asarray(next(numbers)) for i, x in enumerate(operands)]
    results = eqn.primitive.bind(*args, **params)
    results = results if eqn.primitive.multiple_results else [results]
    return [pool[np.where(np.asarray(r) < 0, len(pool) - 1, np.asarray(r))] for r in results]


def _numbered(arrays: Sequence[Entries], first: int = 0) -> list[np.ndarray]:
    starts = np.cumsum([first, *(a.size for a in arrays)])
    return [np.arange(s, s + a.size, dtype=np.int32).reshape(a.shape) for s, a in zip(starts, arrays)]


def filled(shape: Sequence[int], entry: Any) -> Entries:
    """An array of one entry, whatever it is."""
    array = np.empty(shape, object)
    array.fill(entry)
    return array


def _shape(eqn: Any) -> tuple[int, ...]:
    return eqn.outvars[0].aval.shape


def _reshape(eqn, x, *_):
    return [x.reshape(_shape(eqn))]


def _transpose(eqn, x):
    return [x.transpose(eqn.params["permutation"])]


def _broadcast_in_dim(eqn, x, *_):
    shape = [1] * len(_shape(eqn))
    for axis, size in zip(eqn.params["broadcast_dimensions"], x.shape, strict=True):
        shape[axis] = size
    return [np.broadcast_to(x.reshape(shape), _shape(eqn))]


def _slice(eqn, x):
    p = eqn.params
    strides = p["strides"] or (1,) * x.ndim
    return [x[tuple(map(slice, p["start_indices"], p["limit_indices"], strides))]]


def _rev(eqn, x):
    return [np.flip(x, eqn.params["dimensions"])]


def _concatenate(eqn, *xs):
    return [np.concatenate(xs, eqn.params["dimension"])]


def _split(eqn, x):
    return np.split(x, np.cumsum(eqn.params["sizes"])[:-1], eqn.params["axis"])


_BY_NUMPY: Mapping[str, Callable[..., list[Entries]]] = {
    "reshape": _reshape,
    "squeeze": _reshape,
    "transpose": _transpose,
    "broadcast_in_dim": _broadcast_in_dim,
    "slice": _slice,
    "rev": _rev,
    "concatenate": _concatenate,
    "split": _split,
}
MOVES = {*_BY_NUMPY, *PLACES, "pad", "tile", "stack", "unstack"} - {"scatter_add"}


# Those that combine entries: for each result, what is summed --------------------------------------------


def scatter_added(eqn: Any, operand: Entries, places: Any, updates: Entries) -> list[tuple[Any, list[Any]]]:
    """For each result of a scatter-add, in order: the operand's entry and the updates that are added to it."""
    # The derivative with respect to the updates reads, for each update, where it went; 0 if nowhere.
    (numbers,) = _numbered([operand], 1)
    add = lambda u: eqn.primitive.bind(jnp.zeros(operand.shape), jnp.asarray(places), u, **eqn.params)
    went = jax.vjp(add, jnp.zeros(updates.shape))[1](jnp.asarray(numbers, jnp.result_type(float)))[0]
    terms: list[tuple[Any, list[Any]]] = [(entry, []) for entry in operand.ravel()]
    for number, update in zip(np.asarray(went).ravel().astype(int), updates.ravel(), strict=True):
        if number:
            terms[number - 1][1].append(update)
    return terms


def convolved(eqn: Any, image: Entries, kernel: Entries) -> list[list[tuple[Any, Any]]]:
    """For each result of a convolution, in order: the pairs (entry of the image, entry of the kernel) it sums."""
    params = dict(eqn.params, precision=lax.Precision.HIGHEST, preferred_element_type=None)
    # With a kernel of a single 1, every result reads the one entry that this place of the kernel meets; 0 if none.
    numbers = jnp.asarray(_numbered([image], 1)[0], jnp.float32)
    ones = jnp.eye(kernel.size, dtype=jnp.float32).reshape(kernel.size, *kernel.shape)
    met = np.asarray(jax.vmap(lambda one: eqn.primitive.bind(numbers, one, **params))(ones))
    met = met.round().astype(int).reshape(kernel.size, -1)
    pixels, weights = image.ravel(), kernel.ravel()
    return [[(pixels[n - 1], w) for n, w in zip(column, weights, strict=True) if n] for column in met.T]


def multiplied(eqn: Any, a: Entries, b: Entries) -> list[list[tuple[Any, Any]]]:
    """For each result of a dot_general, in order: the pairs it sums."""
    (over_a, over_b), (batch_a, batch_b) = eqn.params["dimension_numbers"]
    free_a = [i for i in range(a.ndim) if i not in (*over_a, *batch_a)]
    free_b = [i for i in range(b.ndim) if i not in (*over_b, *batch_b)]
    size = lambda x, axes: int(np.prod([x.shape[i] for i in axes]))
    batch, length = size(a, batch_a), size(a, over_a)
    rows = a.transpose(*batch_a, *free_a, *over_a).reshape(batch, size(a, free_a), length)
    columns = b.transpose(*batch_b, *free_b, *over_b).reshape(batch, size(b, free_b), length)
    return [
        list(zip(row, column, strict=True))
        for rows_, columns_ in zip(rows, columns, strict=True)
        for row in rows_
        for column in columns_
    ]


def windows(eqn: Any, shape: Sequence[int]) -> np.ndarray:
    """For a window that slides over an array: (results' shape..., entries of a window) flat numbers, -1 for padding."""
    p, rank = eqn.params, len(shape)
    base, inner = p.get("base_dilation") or (1,) * rank, p.get("window_dilation") or (1,) * rank
    axes = []
    for axis, size in enumerate(shape):
        low, high = p["padding"][axis]
        extent = (size - 1) * base[axis] + 1 + low + high
        reach = (p["window_dimensions"][axis] - 1) * inner[axis] + 1
        starts = np.arange(0, extent - reach + 1, p["window_strides"][axis])
        at = starts[:, None] + np.arange(p["window_dimensions"][axis]) * inner[axis] - low
        inside = (at >= 0) & (at <= (size - 1) * base[axis]) & (at % base[axis] == 0)
        axes.append(np.where(inside, at // base[axis], -1))
    results, within = [len(a) for a in axes], [a.shape[1] for a in axes]
    found, valid = np.zeros((*results, *within), int), np.ones((*results, *within), bool)
    for axis, at in enumerate(axes):
        spread = [1] * (2 * rank)
        spread[axis], spread[rank + axis] = at.shape
        found, valid = found * shape[axis] + at.reshape(spread), valid & (at >= 0).reshape(spread)
    return np.where(valid, found, -1).reshape(*results, -1)
