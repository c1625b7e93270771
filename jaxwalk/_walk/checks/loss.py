"""What a loss is, that a walk can be led back from: a real scalar, with something beside it or not."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from ..._errors import ArgumentError
from ..._jax.tracing import Staged


def loss_only(staged: Staged, has_aux: bool) -> list[bool]:
    """Return which of the results (loss, aux...) is walked: the first, if it is a loss."""
    _check_loss(staged.shapes, has_aux)
    return [i == 0 for i in range(len(jax.tree.leaves(staged.shapes)))]


def _check_loss(shapes: Any, has_aux: bool) -> None:
    if has_aux and not (isinstance(shapes, tuple) and len(shapes) == 2):
        raise ArgumentError(f"With `has_aux=True`, `fun` must return a pair (loss, aux); it returns {_kind(shapes)}.")
    if (said := why_no_loss(shapes[0] if has_aux else shapes)) is not None:
        what, fix = said
        raise ArgumentError(f"The loss must be a real scalar, but {what}; {fix}.")


def why_no_loss(loss: Any) -> tuple[str, str] | None:
    """Return what a result, in shapes, is that is no real scalar, and what to do about it in a walk; None of one."""
    if not isinstance(loss, jax.ShapeDtypeStruct):
        fix = "return the loss alone, or (loss, aux) with `has_aux=True`; for other results use `jw.vjp`"
        return f"`fun` returns {_kind(loss)}", fix
    if loss.shape != ():
        fix = "sum or mean it, or `jax.vmap` the walk for one walk per datum, or use `jw.vjp`"
        return f"it has shape {loss.shape}", fix
    if not jnp.issubdtype(loss.dtype, jnp.floating):
        is_complex = jnp.issubdtype(loss.dtype, jnp.complexfloating)
        fix = "take its real part or its modulus" if is_complex else "make it a float"
        return f"its dtype is {loss.dtype}", f"{fix}, or use `jw.vjp`"
    return None


def _kind(shapes: Any) -> str:
    if isinstance(shapes, jax.ShapeDtypeStruct):
        return f"one array of shape {shapes.shape}"
    size = f" of {len(shapes)}" if hasattr(shapes, "__len__") else ""
    return f"a {type(shapes).__name__}{size}"
