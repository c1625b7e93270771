"""The arguments of `learn`, checked before anything is compiled."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._callables import check_takes
from .._errors import ArgumentError, check_count, shown
from .._evaluate.arguments import check_untraced
from .._jax.leaves import becomes_array
from .._points.find import check_by
from .._points.name_patterns import check_at
from .step.asked import Asked
from .step.guard import check_on_nonfinite
from .trained import is_transformation


def check(asked: Asked, params: Any, epochs: Any, log: Any) -> None:
    """Check what can be told without the data.

    Raises:
        ArgumentError: an argument is not what it should be; there are several processes; arrays are being traced.
    """
    check_untraced(params, who="learn")
    if not callable(asked.fun):
        raise ArgumentError(f"`fun` is {shown(asked.fun)}; it must be the loss of one datum, a function.")
    if jax.process_count() > 1:
        raise ArgumentError(
            f"`learn` trains in one process, and JAX runs in {jax.process_count()} (`jax.process_count()`); take the"
            " steps of `jw.watch`, which run in several, in a loop of your own."
        )
    check_by(asked.by, asked.source)
    check_at(asked.at)
    _check_params(params)
    _check_optimizer(asked.optimizer)
    for name, value in (("epochs", epochs), ("every", asked.every)):
        check_count(name, value)
    if log is not None:
        _check_log(log)
    check_on_nonfinite(asked.on_nonfinite)


def _check_params(params: Any) -> None:
    leaves = jax.tree_util.tree_leaves_with_path(params)
    if not leaves:
        raise ArgumentError(f"`params` is {shown(params)}, which holds no array; there is nothing to learn.")
    for path, leaf in leaves:
        is_array = isinstance(leaf, (jax.Array, np.ndarray, np.generic))
        is_floating = jnp.issubdtype(leaf.dtype, jnp.inexact) if is_array else isinstance(leaf, (float, complex))
        if not is_floating:
            what = f"an array of dtype {leaf.dtype}" if is_array else _named(leaf)
            raise ArgumentError(
                f"`params` holds {what} at `params{jax.tree_util.keystr(path)}`, which no gradient moves; give arrays"
                " of floats alone, and let `fun` close over the rest."
            )
        if not becomes_array(leaf):
            raise ArgumentError(
                f"`params` holds an array of dtype {leaf.dtype} at `params{jax.tree_util.keystr(path)}`, which JAX does"
                " not have; give one that it has, as float32."
            )


def _named(leaf: Any) -> str:
    """Return what a leaf is that is no array, though it may have a shape, as `jax.eval_shape` returns it."""
    return f"a {type(leaf).__name__}" if hasattr(leaf, "shape") else shown(leaf)


def _check_optimizer(optimizer: Any) -> None:
    if not is_transformation(optimizer):
        fix = "give one of optax, such as `optax.adam(1e-3)`"
        if name := callable(optimizer) and getattr(optimizer, "__name__", None):
            raise ArgumentError(f"`optimizer` is the function `{name}`; {fix}, which is what such a function returns.")
        raise ArgumentError(f"`optimizer` is {shown(optimizer)}; {fix}.")


def _check_log(log: Any) -> None:
    if not callable(log):
        raise ArgumentError(f"`log` is {shown(log)}; it must be a function (step, {{name: number}}), or None.")
    check_takes(log, "`log`", "step", "numbers")
