"""What a function must return for a result to be explained: one real number."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from .._errors import ArgumentError, argument


def check_result(method: str, shapes: Any) -> None:
    """Refuse what is no real scalar, and say how to get one of it.

    Arguments:
        method: who asks for it, in words of its own.
        shapes: what the function returns, as shapes and dtypes.
    """
    said = _said(shapes)
    if said is not None:
        what, fix = said
        raise ArgumentError(
            f"For `{method}`, `{argument('fun')}` must return a real scalar, and it returns {what}; {fix}."
        )


def _said(shapes: Any) -> tuple[str, str] | None:
    """Return what a result is, and what to return in its place; None of a real scalar."""
    if not isinstance(shapes, jax.ShapeDtypeStruct):
        return _kind(shapes), _part(shapes)
    if shapes.shape:
        first = ", ".join("0" for _ in shapes.shape)
        one = "" if 0 in shapes.shape else f"one entry of it, as `lambda *args: fun(*args)[{first}]`, or "
        return f"an array of shape {shapes.shape}", f"give {one}its sum; of a batch, `jax.vmap` what explains one datum"
    if jnp.issubdtype(shapes.dtype, jnp.complexfloating):
        return (
            f"a number of {shapes.dtype}",
            "give its real part or its modulus, as `lambda *args: jnp.abs(fun(*args))`",
        )
    if not jnp.issubdtype(shapes.dtype, jnp.floating):
        return f"a number of {shapes.dtype}", "give what it is made of, a float: no derivative comes through integers"
    return None


def _part(shapes: Any) -> str:
    """Return which part of a pytree can be explained: the first that is a real scalar."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(shapes):
        if _said(leaf) is None:
            return f"give one part of it, as `lambda *args: fun(*args){jax.tree_util.keystr(path)}`"
    return "return one float, or an array of no axes"


def _kind(shapes: Any) -> str:
    size = f" of {len(shapes)}" if hasattr(shapes, "__len__") else ""
    return "None" if shapes is None else f"a {type(shapes).__name__}{size}"
