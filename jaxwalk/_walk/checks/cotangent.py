"""The cotangent that a pullback is given, checked against the value that it is of."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from ..._errors import ArgumentError, shown
from ..._jax.leaves import is_value


def check_cotangent(ct: Any, value: Any) -> None:
    """Refuse a cotangent whose structure, shapes or dtypes are not those of the value.

    Raises:
        ArgumentError: it has others.
    """
    theirs, ours = jax.tree.structure(ct), jax.tree.structure(value)
    if theirs != ours:
        fix = "give one of the structure of the value"
        raise ArgumentError(f"The cotangent is {_shown(theirs)}, and the value {_shown(ours)}; {fix}.")
    leaves = zip(jax.tree.leaves(ct), jax.tree_util.tree_leaves_with_path(value), strict=True)
    for leaf, (path, of) in leaves:
        if jnp.issubdtype(jnp.result_type(of), jnp.inexact):
            _check(leaf, of, f" of `value{jax.tree_util.keystr(path)}`" if path else "")


def _shown(structure: Any) -> str:
    text = str(structure).removeprefix("PyTreeDef(").removesuffix(")")
    return "one array" if text == "*" else text if len(text) <= 40 else f"a pytree of {structure.num_leaves} arrays"


def _check(leaf: Any, of: Any, where: str) -> None:
    if not is_value(leaf):
        raise ArgumentError(f"The cotangent{where} is {shown(leaf)}, which is not an array; give one.")
    array = jnp.asarray(leaf)
    if array.shape != jnp.shape(of):
        fix = "give it that shape (`jnp.broadcast_to` says so aloud)"
        raise ArgumentError(f"The cotangent{where} has shape {array.shape}, and the value {jnp.shape(of)}; {fix}.")
    if array.dtype != jnp.result_type(of) and not isinstance(leaf, float):
        fix = f"cast it with `.astype({str(jnp.result_type(of))!r})`"
        raise ArgumentError(
            f"The cotangent{where} has dtype {array.dtype}, and the value {jnp.result_type(of)}; {fix}."
        )
