"""Primitives that move entries about, or combine them by where they are, on arrays of any entries at all.

What moves what to where is not worked out here a second time, but for the simplest: JAX runs the primitive on the
numbers of the entries.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ..._jax.jaxpr.types import type_of
from ..sliding_windows import padded, windows
from .arithmetic import Entries, EntryOperations, Unsupported, Value, holds_entries

if TYPE_CHECKING:
    from jax.extend.core import JaxprEqn

# Which operands are places, not entries.
PLACES = {
    "gather": slice(1, 2),
    "dynamic_slice": slice(1, None),
    "dynamic_update_slice": slice(2, None),
    "scatter": slice(1, 2),
    "scatter_add": slice(1, 2),
}


def _broadcast_in_dim(p: dict[str, Any], shape: tuple[int, ...], x: Entries) -> Entries:
    return np.broadcast_to(
        np.expand_dims(x, [i for i in range(len(shape)) if i not in p["broadcast_dimensions"]]), shape
    )


# Of the parameters, the shape of the result and the operands.
_BY_NUMPY: Mapping[str, Callable[..., Entries]] = {
    "reshape": lambda p, shape, x: (x.transpose(p["dimensions"]) if p.get("dimensions") else x).reshape(shape),
    "squeeze": lambda p, shape, x: x.reshape(shape),
    "transpose": lambda p, shape, x: x.transpose(p["permutation"]),
    "broadcast_in_dim": _broadcast_in_dim,
    "slice": lambda p, shape, x: x[
        tuple(map(slice, p["start_indices"], p["limit_indices"], p["strides"] or itertools.repeat(1)))
    ],
    "rev": lambda p, shape, x: np.flip(x, p["dimensions"]),
    "concatenate": lambda p, shape, *xs: np.concatenate(xs, p["dimension"]),
}
MOVES = {*_BY_NUMPY, *PLACES, "pad", "split", "tile", "stack", "unstack"} - {"scatter_add"}


def moved(ops: EntryOperations, name: str, eqn: JaxprEqn, operands: Sequence[Value]) -> list[Entries]:
    """Return the results of a primitive that moves entries, whose name here is one of `MOVES`."""
    places = range(len(operands))[PLACES.get(name, slice(0, 0))]
    if any(holds_entries(operands[i]) for i in places):
        raise Unsupported("where it reads depends on a symbol; give indices as constants, by a lambda")
    data = [ops.entries(x) for i, x in enumerate(operands) if i not in places]
    if name in _BY_NUMPY:
        return [_BY_NUMPY[name](eqn.params, type_of(eqn.outvars[0]).shape, *data)]
    numbers, filling = iter(_numbered(data)), eqn.params.get("fill_value")
    pool = np.empty(1 + sum(x.size for x in data), object)
    pool[:-1], pool[-1] = np.concatenate([x.ravel() for x in data]), ops.outside(filling)
    args = [jnp.asarray(x if i in places else next(numbers)) for i, x in enumerate(operands)]
    results = map(np.asarray, _bound(eqn, args, {} if filling is None else {"fill_value": -1}))
    return [pool[np.where(r < 0, len(pool) - 1, r)] for r in results]


def _bound(eqn: JaxprEqn, values: Sequence[Any], params: Mapping[str, Any] = MappingProxyType({})) -> list[Any]:
    """Return the results of a primitive at any operands, also where its own are literals."""
    results = eqn.primitive.bind(*values, **{**eqn.params, **params})
    return results if eqn.primitive.multiple_results else [results]


def _numbered(arrays: Sequence[Entries], first: int = 0) -> list[np.ndarray]:
    starts = np.cumsum([first, *(a.size for a in arrays)])
    return [np.arange(s, s + a.size, dtype=np.int32).reshape(a.shape) for s, a in zip(starts, arrays)]


# Those that combine entries: for each result, what is summed --------------------------------------------


def scatter_added(eqn: JaxprEqn, operand: Entries, places: Value, updates: Entries) -> list[list[Any]]:
    """Return for each result of a scatter-add, in order, the operand's entry and the updates that are added to it."""
    # The derivative with respect to the updates reads, for each update, where it went; 0 if nowhere.
    (numbers,) = _numbered([operand], 1)
    add = lambda u: _bound(eqn, [jnp.zeros(operand.shape), jnp.asarray(places), u])[0]
    went = jax.vjp(add, jnp.zeros(updates.shape))[1](jnp.asarray(numbers, jnp.result_type(float)))[0]
    terms = [[entry] for entry in operand.ravel()]
    for number, update in zip(np.asarray(went).ravel().astype(int), updates.ravel(), strict=True):
        if number:
            terms[number - 1].append(update)
    return terms


def convolved(eqn: JaxprEqn, image: Entries, kernel: Entries) -> list[list[tuple[Any, Any]]]:
    """Return for each result of a convolution, in order, the pairs (entry of the image, of the kernel) it sums."""
    in_floats = {"precision": lax.Precision.HIGHEST, "preferred_element_type": None}
    # With a kernel of a single 1, every result reads the one entry that this place of the kernel meets; 0 if none.
    numbers = jnp.asarray(_numbered([image], 1)[0], jnp.float32)
    ones = jnp.eye(kernel.size, dtype=jnp.float32).reshape(kernel.size, *kernel.shape)
    met = np.asarray(jax.vmap(lambda one: _bound(eqn, [numbers, one], in_floats)[0])(ones))
    met = met.round().astype(int).reshape(kernel.size, -1)
    pixels, weights = image.ravel(), kernel.ravel()
    return [[(pixels[n - 1], w) for n, w in zip(column, weights, strict=True) if n] for column in met.T]


def multiplied(eqn: JaxprEqn, a: Entries, b: Entries) -> list[list[tuple[Any, Any]]]:
    """Return for each result of a dot_general, in order, the pairs it sums."""
    over, batch = eqn.params["dimension_numbers"]
    rows, columns = (_matrices(x, over[i], batch[i]) for i, x in enumerate((a, b)))
    pairs = zip(rows, columns, strict=True)
    return [list(zip(row, column, strict=True)) for of_a, of_b in pairs for row in of_a for column in of_b]


def _matrices(x: Entries, over: Sequence[int], batch: Sequence[int]) -> Entries:
    """Return an operand of a dot_general as (batch, own axes, axes that are summed over)."""
    own = [i for i in range(x.ndim) if i not in (*over, *batch)]
    size = lambda axes: math.prod(x.shape[i] for i in axes)
    return x.transpose(*batch, *own, *over).reshape(size(batch), size(own), size(over))


def places_in_windows(eqn: JaxprEqn, shape: Sequence[int]) -> np.ndarray:
    """Return for each result of a window that slides over an array the flat places it covers, -1 for padding."""
    p, axes, ones = eqn.params, range(len(shape)), (1,) * len(shape)
    places = np.arange(1, math.prod(shape) + 1).reshape(shape)
    places = padded(places, axes, p["padding"], p.get("base_dilation") or ones)
    found = windows(places, axes, p["window_dimensions"], p["window_strides"], p.get("window_dilation") or ones)
    return found.reshape(*found.shape[: len(shape)], math.prod(p["window_dimensions"])).astype(int) - 1
