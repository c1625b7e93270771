"""The arguments that `argnums` names, each of whose leaves must be differentiable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import ArgumentError, counted, shown
from .leaves import is_value


def positions_of(args: tuple, argnums: int | Sequence[int] | None) -> list[int]:
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


def leaves_of(args: tuple, positions: Sequence[int]) -> list[int]:
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
