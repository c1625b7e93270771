"""Conversions between dtypes, and the arithmetic of integers: what of them is part of the function that is written."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

WRAPPING = frozenset("add add_any sub mul neg abs square integer_pow dot_general conv convert".split()) | frozenset(  # noqa: SIM905
    "reduce_sum reduce_prod cumsum cumprod".split()  # noqa: SIM905
)


def digits(dtype: Any) -> int:
    """Return how many binary digits a number of a dtype has, its sign aside."""
    if jnp.issubdtype(dtype, jnp.inexact):
        return jnp.finfo(dtype).nmant + 1
    return 1 if dtype == jnp.bool_ else jnp.iinfo(dtype).bits - jnp.issubdtype(dtype, jnp.signedinteger)


def is_rounding(before: Any, after: Any, known: int) -> bool:
    """Tell whether a conversion to floats rounds a number, of which `known` digits are those of an input.

    What was float16, was summed in float32 and becomes float16 again is not rounded more than any sum in float16 is.
    Integers in float32 are not counted as rounded.
    """
    narrow = jnp.issubdtype(before, jnp.inexact) or jnp.finfo(after).bits < 32
    return bool(narrow) and digits(after) < min(digits(before), known)


def is_shortening(dtype: Any, exponent_bits: int, mantissa_bits: int) -> bool:
    """Tell whether `reduce_precision` to so many bits changes numbers; what `checkpoint` puts in does not."""
    info = jnp.finfo(dtype)
    return mantissa_bits < info.nmant or exponent_bits < info.nexp


def wraps(name: str | None, dtype: Any) -> bool:
    """Tell whether what an operation gives in a dtype of integers is to be written modulo how many there are of these.

    Integers of 32 bits and more are taken not to grow beyond them; unsigned ones fall below 0 at any size.
    """
    if not jnp.issubdtype(dtype, jnp.integer) or name not in WRAPPING:
        return False
    below = jnp.issubdtype(dtype, jnp.unsignedinteger) and name in ("sub", "neg", "convert")
    return jnp.iinfo(dtype).bits <= 16 or bool(below)
