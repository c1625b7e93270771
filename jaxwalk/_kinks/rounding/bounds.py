"""A value and a bound on its rounding error; what a rule for one primitive takes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from ..._jax.jaxpr.types import widened

if TYPE_CHECKING:
    from jax.extend.core import JaxprEqn


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Relative:
    """An error of at most `share` of the value, entry by entry; none where it is `but_integers` and an integer."""

    share: float
    but_integers: bool = False


Error: TypeAlias = Any  # None: exact; a Relative; or an array of the value's shape, in the dtype of `wide`


Moves: TypeAlias = Any  # whether a small change of the inputs moves an entry: by entry; False: none; None: maybe all


class Rounded(NamedTuple):
    """A value as computed, a bound on its distance from the value in exact arithmetic, and what of it moves."""

    value: Any
    error: Error = None
    moves: Moves = None


def unit(dtype: Any) -> float:
    """Return the unit roundoff, the largest relative error of one rounding; a bit more, as bounds are rounded too."""
    return 1.02 * float(jnp.finfo(dtype).eps) / 2


def gamma(n: int, u: float) -> float:
    """Return the largest relative error of n roundings one after the other."""
    return n * u / (1 - n * u) if n * u < 1 else math.inf


def wide(dtype: Any) -> Any:
    """Return the real dtype in which the error of values of `dtype` is held."""
    return jnp.dtype(jnp.finfo(widened(dtype)).dtype)


def size(value: Any) -> jax.Array:
    """Return |value|, in the dtype of its error."""
    return jnp.abs(value).astype(wide(jnp.result_type(value)))


def rounded_size(value: Any) -> jax.Array:
    """Return |value|, to multiply by a share of it; 0 of infinities, which nothing rounds (overflow is not counted)."""
    found = size(value)
    return jnp.where(jnp.isinf(found), jnp.zeros_like(found), found)


def bound(x: Rounded) -> jax.Array:
    """Return the bound as an array of the value's shape."""
    if x.error is None:
        return jnp.zeros(jnp.shape(x.value), wide(jnp.result_type(x.value)))
    if not isinstance(x.error, Relative):
        return x.error
    error = x.error.share * rounded_size(x.value)
    if not x.error.but_integers:
        return error
    exact = (x.value == jnp.round(x.value)) & (error < 0.5)
    return jnp.where(exact, jnp.zeros_like(error), error)


class Application(NamedTuple):
    """What a rule takes: an equation, its operands with their errors, and its results as computed.

    `z` and `u` are the size of the first result, 0 where it is infinite, and its unit roundoff.
    """

    eqn: JaxprEqn
    xs: Sequence[Rounded]
    zs: Sequence[Any]

    @property
    def z(self) -> jax.Array:
        return rounded_size(self.zs[0])

    @property
    def u(self) -> float:
        return unit(self.zs[0].dtype)

    def share(self) -> float | None:
        """Return the largest share, if all errors are shares of their values; None else."""
        shares = shares_of(*self.xs)
        return None if shares is None else max(shares, default=0.0)


def shares_of(*xs: Rounded) -> list[float] | None:
    """Return the error of each as a share of its value; None if one is known entry by entry."""
    if not all(x.error is None or isinstance(x.error, Relative) for x in xs):
        return None
    return [0.0 if x.error is None else x.error.share for x in xs]
