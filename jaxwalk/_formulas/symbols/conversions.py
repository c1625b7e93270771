"""Conversions between dtypes that change numbers, in SymPy: what rounds is a function that has the dtype's name."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
import sympy
from jax import lax

from ..conversions import digits, is_rounding


def wrapped(entry: Any, dtype: Any) -> Any:
    """Return an integer as one that a dtype has, modulo how many it has."""
    info = jnp.iinfo(dtype)
    lowest = sympy.Integer(int(info.min))
    return sympy.Mod(entry - lowest, 2**info.bits) + lowest


def rounded(precision: Mapping[Any, int]) -> Callable[..., Any]:
    """Return the rounding of an entry that is converted to a dtype, or shortened to (exponent, mantissa) bits.

    `precision` says how many binary digits each symbol has.
    """

    @functools.cache
    def known(e: Any) -> int:
        if isinstance(e, _Rounding):
            return digits(jnp.dtype(type(e).__name__)) if len(e.args) == 1 else 0
        return precision.get(e, 64) if e.is_Symbol else max(map(known, e.args), default=0)

    def apply(entry: Any, before: Any, after: Any) -> Any:
        if isinstance(after, tuple):
            return _function("reduce_precision")(entry, *after)
        return _function(jnp.dtype(after).name)(entry) if is_rounding(before, after, known(entry)) else entry

    return apply


class _Rounding(sympy.Function):
    """A rounding. Of a number, it is the number that this is rounded to."""

    @classmethod
    def eval(cls, *args: Any) -> Any:
        x, *bits = args
        if not x.is_number or not x.is_extended_real:
            return None
        number = np.asarray(float(x))
        if bits:
            return sympy.Float(float(lax.reduce_precision(number, *map(int, bits))), 17)
        return sympy.Float(float(number.astype(jnp.dtype(cls.__name__))), 17)


@functools.cache
def _function(name: str) -> Any:
    return type(name, (_Rounding,), {})
