"""From a function and its arguments to a jaxpr: which arguments are traced, and where they go."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import ArgumentError, counted, shown
from . import jaxprs
from .jaxprs import Closed
from .leaves import as_input, is_array, is_value, other_leaves, replaced


class Staged(NamedTuple):
    """A traced function at its arguments."""

    closed: Closed
    args: list[Any]  # the values of its inputs
    shapes: Any  # the pytree of its results, as shapes and dtypes
    chosen: list[int]  # which of the inputs belong to the arguments that `argnums` names
    rebuild: Callable[[Sequence[Any]], Any]  # from the leaves of those to what `jax.grad` would return for `argnums`

    def with_chosen(self, values: Sequence[Any]) -> list[Any]:
        """Return the inputs, with those of `chosen` replaced."""
        return replaced(self.args, self.chosen, values)

    def results(self, leaves: Sequence[Any]) -> Any:
        """Return the results as the function does."""
        return jax.tree.unflatten(jax.tree.structure(self.shapes), leaves)


def stage(fun: Callable, args: tuple, kwargs: dict[str, Any], argnums: int | Sequence[int] | None = None) -> Staged:
    """Trace `fun` once, abstractly.

    Arrays are traced, as by `jax.jit`: Python's own `if` cannot look at their values. What `jax.grad` would leave as it
    is, is left as it is: Python numbers outside `argnums`, booleans, strings, functions.
    """
    if not callable(fun):
        raise ArgumentError(f"`fun` is {shown(fun)}, which cannot be called; give a function of arrays.")
    leaves, tree = jax.tree.flatten((args, kwargs))
    positions = _positions(args, argnums)
    named = _leaves_of(args, positions)
    traced = [i for i, leaf in enumerate(leaves) if i in named or is_array(leaf)]

    @functools.wraps(fun, (), ())  # JAX's errors name it, its line and its arguments
    def whole(*args, **kwargs):
        args, kwargs = jax.tree.unflatten(tree, replaced(leaves, traced, jax.tree.leaves((args, kwargs))))
        return _checked(fun(*args, **kwargs))

    values = [as_input(leaves[i]) for i in traced]
    positional, by_name = _without_others(tree, replaced([None] * len(leaves), traced, values), values)
    closed, shapes = jaxprs.trace(whole, *positional, **by_name)
    chosen = [args[position] for position in positions]
    structure = jax.tree.structure(chosen[0] if isinstance(argnums, int) else tuple(chosen))
    rebuild = lambda leaves: None if argnums is None else jax.tree.unflatten(structure, leaves)
    return Staged(closed, values, shapes, [traced.index(i) for i in named], rebuild)


def _without_others(tree: Any, leaves: list[Any], values: list[Any]) -> tuple[Any, dict[str, Any]]:
    """Return the arguments with None for what is not traced; where a container refuses None, the values alone."""
    try:
        args, kwargs = jax.tree.unflatten(tree, leaves)
        found = jax.tree.leaves((args, kwargs))
    except Exception:  # whatever the constructor of a user's container raises
        return values, {}
    is_same = len(found) == len(values) and all(a is b for a, b in zip(found, values, strict=True))
    return (args, kwargs) if is_same else (values, {})


def _checked(results: Any) -> Any:
    """Return what the function returned; refuse what is neither an array nor a number."""
    for place, leaf in other_leaves(results):
        fix = "return arrays, numbers, and pytrees of them"
        raise ArgumentError(f"`fun` returns {shown(leaf)} at `result{place}`, which is not an array; {fix}.")
    return results


def _positions(args: tuple, argnums: int | Sequence[int] | None) -> list[int]:
    if argnums is not None and not isinstance(argnums, (int, Sequence)):
        raise ArgumentError(f"`argnums` is {shown(argnums)}; it must be an integer or several, as of `jax.grad`.")
    numbers = [] if argnums is None else [argnums] if isinstance(argnums, int) else list(argnums)
    for number in numbers:
        if not isinstance(number, int) or not -len(args) <= number < len(args):
            raise ArgumentError(
                f"`argnums` names argument {number!r}, but the function was called with"
                f" {counted(len(args), 'positional argument')}; name one of these, from 0."
            )
    return [number % len(args) for number in numbers]


def _leaves_of(args: tuple, positions: Sequence[int]) -> list[int]:
    """Return the numbers of the leaves of the arguments at `positions`, each of which must be differentiable."""
    starts = np.cumsum([0, *(len(jax.tree.leaves(arg)) for arg in args)])
    found = []
    for position in positions:
        for offset, (path, leaf) in enumerate(jax.tree_util.tree_leaves_with_path(args[position])):
            _check_differentiable(leaf, f"`args[{position}]{jax.tree_util.keystr(path)}`")
            found.append(int(starts[position]) + offset)
    return found


def _check_differentiable(leaf: Any, where: str) -> None:
    dtype = jnp.result_type(leaf) if is_value(leaf) else None
    if dtype is None or not jnp.issubdtype(dtype, jnp.inexact):
        what = f"of dtype {dtype}" if dtype is not None else f"a {type(leaf).__name__}"
        raise ArgumentError(f"`argnums` asks for the gradient of {where}, which is {what}; make it a float array.")
