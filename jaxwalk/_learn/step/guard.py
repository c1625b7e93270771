"""An optimizer that refuses what is not finite: the compiled step itself leaves the params as they are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from ..._errors import ArgumentError, first_line, shown

WAYS = ("stop", "skip", "ignore")


class Guarded(NamedTuple):
    """The state of an optimizer, and whether it still moves.

    Attributes:
        inner: the state.
        is_bad: whether the loss or a gradient of the last step was not finite.
        is_halted: whether no step counts any more, since one was refused and the run is to stop.
    """

    inner: Any
    is_bad: jax.Array
    is_halted: jax.Array


def check_on_nonfinite(way: object) -> None:
    """Raise an ArgumentError for what is none of WAYS."""
    if way not in WAYS:
        raise ArgumentError(
            f'`on_nonfinite` is {shown(way)}; it must be "stop", "skip" (leave such a step out) or "ignore".'
        )


def guarded(optimizer: optax.GradientTransformation, way: str) -> optax.GradientTransformationExtraArgs:
    """Return the optimizer, which moves nothing where the loss or a gradient is not finite.

    The loss is the argument `value` of its `update`. With "stop" it moves nothing in any later step either, so that the
    host may look at a step while the next is computed; with "ignore" it only says what it saw.
    """
    inner = optax.with_extra_args_support(optimizer)

    def init(params: Any) -> Guarded:
        with _said_of_optimizer():
            state = inner.init(params)
        return Guarded(state, jnp.bool_(False), jnp.bool_(False))

    def update(grads: Any, state: Guarded, params: Any = None, **extra: Any) -> tuple[Any, Guarded]:
        with _said_of_optimizer():
            updates, after = inner.update(grads, state.inner, params, **extra)
        is_bad = ~_are_finite((extra.get("value"), grads))
        is_halted = state.is_halted | (is_bad & (way == "stop"))
        if way != "ignore":
            refused = is_bad | is_halted
            # -0.0 and not 0.0: any number plus it is that very number, -0.0 too.
            updates = jax.tree.map(lambda u: jnp.where(refused, jnp.full_like(u, -0.0), u), updates)
            after = jax.tree.map(lambda new, old: jnp.where(refused, old, new), after, state.inner)
        return updates, Guarded(after, is_bad, is_halted)

    return optax.GradientTransformationExtraArgs(init, update)  # type: ignore[arg-type]


@contextlib.contextmanager
def _said_of_optimizer() -> Iterator[None]:
    """Say in a sentence where an optimizer fails, as one whose masks or labels are not of these params."""
    try:
        yield
    except ArgumentError:
        raise
    except Exception as error:  # what optimizers raise is of many kinds
        said = f"{type(error).__name__}: {first_line(error)}"
        raise ArgumentError(
            f"`optimizer` fails on these `params`: {said}; give one of optax that fits them, as `optax.adam(1e-3)`."
        ) from error


def _are_finite(tree: Any) -> jax.Array:
    floats = [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)]
    return jnp.all(jnp.stack([jnp.bool_(True), *(jnp.all(jnp.isfinite(leaf)) for leaf in floats)]))
