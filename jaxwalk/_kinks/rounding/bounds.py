"""A value and a bound on its rounding error; what a rule for one primitive is given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ..._jax import jaxprs
from ..._jax.types import widened


class Relative(NamedTuple):
    """An error of at most `share` of the value, entry by entry; none where it is `but_integers` and an integer."""

    share: float
    but_integers: bool = False


Error: TypeAlias = Any  # None: exact; a Relative; or an array of the value's shape, in the dtype of `wide`


class Rounded(NamedTuple):
    """A value as computed, and a bound on its distance from the value in exact arithmetic."""

    value: Any
    error: Error = None


def unit(dtype: Any) -> float:
    """The unit roundoff: the largest relative error of one rounding; a little more, for the bounds are rounded too."""
    return 1.02 * float(jnp.finfo(dtype).eps) / 2


def wide(dtype: Any) -> Any:
    """The real dtype in which the error of values of `dtype` is held."""
    return jnp.dtype(jnp.finfo(widened(dtype)).dtype)


def size(value: Any) -> jax.Array:
    """|value|, in the dtype of its error."""
    return jnp.abs(value).astype(wide(jnp.result_type(value)))


def rounded_input(value: Any) -> Rounded:
    """An input that stands for a real number: off by half an ulp, unless it is an integer."""
    return Rounded(value, Relative(unit(value.dtype), True) if is_inexact(value) else None)


def constant(value: Any) -> Rounded:
    """A constant: exact if it is a number of few digits, as 0.5 is; 0.1 is not."""
    if not is_inexact(value) or np.ndim(value) > 0 or isinstance(value, Tracer):
        return rounded_input(value if hasattr(value, "dtype") else jnp.asarray(value))
    number = complex(value)
    few = all(abs(math.frexp(p)[0]) * 2**10 % 1 == 0 for p in (number.real, number.imag) if math.isfinite(p))
    return Rounded(jnp.asarray(value), None if few else Relative(unit(jnp.result_type(value))))


def bound(x: Rounded) -> jax.Array:
    """The bound as an array of the value's shape."""
    if x.error is None:
        return jnp.zeros(jnp.shape(x.value), wide(jnp.result_type(x.value)))
    if not isinstance(x.error, Relative):
        return x.error
    error = x.error.share * size(x.value)
    if not x.error.but_integers:
        return error
    exact = (x.value == jnp.round(x.value)) & (size(x.value) * unit(x.value.dtype) < 0.5)
    return jnp.where(exact, jnp.zeros_like(error), error)


class Step(NamedTuple):
    """What a rule is given: an equation, its operands with their errors, its results as computed.

    `z` and `u` are the size of the first result and its unit roundoff.
    """

    eqn: Any
    xs: Sequence[Rounded]
    zs: Sequence[Any]

    @property
    def z(self) -> jax.Array:
        return size(self.zs[0])

    @property
    def u(self) -> float:
        return unit(self.zs[0].dtype)

    def again(self, values: Sequence[Any]) -> list[Any]:
        """The results at other operands."""
        return jaxprs.apply(self.eqn, values)

    def share(self) -> float | None:
        """The largest share, if all errors are shares of their values; None else."""
        errors = [x.error for x in self.xs if is_inexact(x.value)]
        if not all(e is None or isinstance(e, Relative) for e in errors):
            return None
        return max((e.share for e in errors if e is not None), default=0.0)


def is_inexact(value: Any) -> bool:
    """Whether a value is real or complex: all else is exact."""
    return jnp.issubdtype(jnp.result_type(value), jnp.inexact)


def shares_of(*xs: Rounded) -> list[float] | None:
    """The error of each as a share of its value; None if one is known entry by entry."""
    if not all(x.error is None or isinstance(x.error, Relative) for x in xs):
        return None
    return [0.0 if x.error is None else x.error.share for x in xs]
