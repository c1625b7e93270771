"""The loss of a batch: the mean of that of each datum, with a sentence where the function fails, or is no loss."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from ..._errors import ArgumentError, first_line

LISTED = 4  # arrays whose shapes are told
FIX = "`learn` gives `fun` one datum at a time, without the axis of the batch: return one float for it"


def mean_loss(fun: Callable) -> Callable[..., tuple[jax.Array, jax.Array]]:
    """Return (params, *batch) -> the mean loss of a batch, and the loss of each datum; `fun` is that of one datum."""
    of_datum = loss_of_datum(fun)

    def loss_of_batch(params: Any, *batch: Any) -> tuple[jax.Array, jax.Array]:
        losses = jax.vmap(of_datum, in_axes=(None, *(0 for _ in batch)))(params, *batch)
        return jnp.mean(losses), losses

    return loss_of_batch


def loss_of_datum(fun: Callable) -> Callable[..., Any]:
    """Return `fun`, which says in a sentence what it was given where it fails, and refuses a loss that is none."""

    @functools.wraps(fun, updated=())
    def of_datum(params: Any, *datum: Any) -> Any:
        with _saying_what_was_given(params, datum):
            loss = fun(params, *datum)
        _check(loss)
        return loss

    return of_datum


@contextlib.contextmanager
def _saying_what_was_given(params: Any, datum: tuple) -> Iterator[None]:
    """Make a sentence of what Python and JAX raise where shapes do not fit; errors of other kinds get a note."""
    try:
        yield
    except ArgumentError:
        raise
    except Exception as error:
        data = ", ".join(_written(part, "a number") for part in datum)
        given = f"`learn` gave `fun` `params` of {_written(params, 'no array')} and one datum, a row of a batch: {data}"
        if type(error) not in (TypeError, ValueError):
            error.add_note(f"{given}.")
            raise
        raise ArgumentError(
            f"`fun` fails on what it is given: {first_line(error).rstrip(':')}; {given}; give it what fits."
        ) from error


def _written(tree: Any, nothing: str) -> str:
    """Return the arrays of a pytree as "['a'] float32[3, 2]", the first few of them."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    each = [
        f"{jax.tree_util.keystr(path)} {jnp.result_type(leaf)}{list(jnp.shape(leaf))}".strip() for path, leaf in leaves
    ]
    more = f" and {len(each) - LISTED} more" if len(each) > LISTED else ""
    return ", ".join(each[:LISTED]) + more if each else nothing


def _check(loss: Any) -> None:
    what = None
    if not isinstance(loss, (int, float, complex)) and not hasattr(loss, "dtype"):
        what = f"`fun` returns {'None' if loss is None else f'a {type(loss).__name__}'}"
    elif jnp.ndim(loss):
        what = f"it has shape {jnp.shape(loss)}"
    elif not jnp.issubdtype(jnp.result_type(loss), jnp.floating):
        what = f"its dtype is {jnp.result_type(loss)}"
    if what is not None:
        raise ArgumentError(f"The loss of one datum must be a real scalar, but {what}; {FIX}.")
