"""The leaves of a user's arguments: which of them are arrays, and how they become some."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import ArgumentError


def opened_leaves(tree: Any) -> tuple[list[Any], Callable[[Sequence[Any]], Any]]:
    """Return the arrays among the leaves, and the way back; the other leaves (functions, names) stay in place."""
    leaves, structure = jax.tree.flatten(tree)
    places = [i for i, leaf in enumerate(leaves) if is_array(leaf)]
    closed = lambda arrays: jax.tree.unflatten(structure, replaced(leaves, places, arrays))
    return [as_input(leaves[i]) for i in places], closed


def flatten(tree: Any, said: str = "An argument") -> tuple[list[Any], Any]:
    """Return the leaves of some arguments, or of what is `said` to be a tree, and the structure.

    Raises:
        ArgumentError: in a dict are keys that JAX cannot sort, as 1 and "L1".
    """
    try:
        return jax.tree.flatten(tree)
    except (ValueError, TypeError):
        for keys in _keys_in(tree):
            kinds = {type(key): key for key in keys}
            if len(kinds) > 1:
                first, second, *_ = kinds.values()
                raise ArgumentError(
                    f"{said} has a dict with the keys {first!r} and {second!r}, which JAX cannot sort;"
                    " give keys of one type."
                ) from None
        raise


def _keys_in(tree: Any) -> Iterator[list[Any]]:
    if isinstance(tree, dict):
        yield list(tree)
    if isinstance(tree, (dict, list, tuple)):
        for item in tree.values() if isinstance(tree, dict) else tree:
            yield from _keys_in(item)


def replaced(values: Sequence[Any], places: Sequence[int], others: Sequence[Any]) -> list[Any]:
    """Return `values` with `others` at these places."""
    found = list(values)
    for place, other in zip(places, others, strict=True):
        found[place] = other
    return found


def is_array(leaf: Any) -> bool:
    """Tell whether a leaf is traced: an array, a NumPy number, or a stand-in with a shape and a dtype."""
    if isinstance(leaf, (np.ndarray, np.generic)):
        return leaf.dtype.kind not in "SUM"
    return isinstance(leaf, jax.Array) or (hasattr(leaf, "shape") and hasattr(leaf, "dtype"))


def is_value(leaf: Any) -> bool:
    """Tell whether a leaf can become an array: it is one already, or a Python number."""
    return is_array(leaf) or isinstance(leaf, (bool, int, float, complex))


def becomes_array(leaf: Any) -> bool:
    """Tell whether a leaf becomes an array of JAX's: it is a value, of a dtype that JAX has."""
    try:
        return is_value(leaf) and jnp.result_type(leaf) is not None
    except TypeError:
        return False


def as_arrays(args: tuple) -> tuple:
    """Return `args` with every leaf an array; refuses, by its place, a leaf that is none."""
    for place, leaf in other_leaves(args):
        fix = "fix it with `functools.partial` or a lambda"
        raise ArgumentError(f"`args{place}` is a {type(leaf).__name__}, not an array; {fix}.")
    return jax.tree.map(as_input, args)


def other_leaves(tree: Any) -> Iterator[tuple[str, Any]]:
    """Yield the leaves that cannot become arrays, each with its place."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return ((jax.tree_util.keystr(path), leaf) for path, leaf in leaves if not is_value(leaf))


def as_input(leaf: Any) -> Any:
    """Return a leaf as an array, or as the stand-in that it is.

    Raises:
        ArgumentError: it is an array of a dtype that JAX does not have.
    """
    if isinstance(leaf, (jax.Array, jax.ShapeDtypeStruct)):
        return leaf
    try:
        return jnp.asarray(leaf)
    except TypeError:
        if not isinstance(leaf, (np.ndarray, np.generic)):
            raise
        fix = "give numbers of one that it has"
        raise ArgumentError(f"An array has dtype {leaf.dtype}, which JAX does not have; {fix}.") from None


def renamed_after(fun: Callable, transform: str) -> Callable[[Callable], Callable]:
    """Return a decorator that names a transformed function after `fun`, as `jax.grad` does."""

    def rename(transformed: Callable) -> Callable:
        transformed.__name__ = f"{transform}_{getattr(fun, '__name__', type(fun).__name__)}"
        transformed.__doc__ = f"`jaxwalk.{transform}` of:\n\n{getattr(fun, '__doc__', None) or fun}"
        return transformed

    return rename
