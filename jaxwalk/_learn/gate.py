"""A `keep` that runs in some steps alone, as a condition says that is not known while the step is traced."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax import lax

from .._jax.jaxpr import jaxprs, types
from .._jax.jaxpr.jaxprs import Closed
from .._rewrite.sides import sides_of
from ..stats import Statistic, Units, Value
from ..stats._statistic import Of, union

T = TypeVar("T")
Keep = Callable[[Any, Any], Any]


def gated(keep: Keep, now: Any) -> Keep:
    """Return what keeps the same where `now` is true, and else runs nothing. Where it is None, it is the same `keep`.

    The condition is at each point. Around the whole backward pass it would have each convolution in a branch, where
    XLA's on a CPU is many times as slow as elsewhere.
    """
    if now is None:
        return keep
    if not isinstance(keep, Statistic):
        return gate(keep, now)
    if keep.parts:
        return union(keep.name, [gated(part, now) for part in keep.parts])  # type: ignore[misc]

    def at(value: Value) -> tuple[Of, Units | None] | None:
        found = None if keep.at is None else keep.at(value)
        return None if found is None else (gate(found[0], now), found[1])

    return dataclasses.replace(keep, of=gate(keep.of, now), at=keep.at and at)


def gate(keep: Keep, now: Any) -> Keep:
    """Return a function of (output, δ) that is run where `now` is true, and gives zeros elsewhere.

    What depends on the output alone has a condition of its own, and so is still computed in the forward pass.
    """
    if now is None:
        return keep

    def kept(output: Any, delta: Any) -> Any:
        closed, like = jaxprs.trace(keep, output, delta)
        sides = sides_of(closed)
        nothing = functools.partial(jnp.zeros, output.shape, output.dtype)  # for what is not looked at
        early = _if(now, sides.early, lambda output: (output, nothing()), output)
        if sides.needs_output:
            late = _if(now, sides.late, lambda *both: both, output, delta)
        else:
            late = _if(now, sides.late, lambda delta: (nothing(), delta), delta)
        return jax.tree.unflatten(jax.tree.structure(like), sides.joined(early, late))

    return kept


def _if(now: Any, closed: Closed, both: Callable[..., tuple[Any, Any]], *given: Any) -> list[jax.Array]:
    """Evaluate one side where `now` is true. Its operands are those that it reads: others are not there in time."""
    kinds = [types.struct(v.aval) for v in closed.jaxpr.outvars]
    if not kinds:
        return []
    do = lambda *given: jaxprs.evaluate(closed, both(*given))
    return lax.cond(now, do, lambda *given: list(map(types.zeros, kinds)), *given)


def or_zeros(now: Any, found: T) -> T:
    """Return what was found, or zeros where `now` is not true."""
    return found if now is None else jax.tree.map(lambda leaf: jnp.where(now, leaf, jnp.zeros_like(leaf)), found)
