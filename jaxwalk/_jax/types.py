"""What a dtype can hold."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp


def widened(dtype: Any) -> Any:
    """The dtype in which to compare and to sum values of `dtype`: at least float32, and for integers float32."""
    if not jnp.issubdtype(dtype, jnp.inexact) or jnp.finfo(dtype).bits < 32:
        return jnp.dtype(jnp.float32)
    return jnp.dtype(dtype)


def holds(dtype: Any, number: complex) -> bool:
    """Whether an array of `dtype` takes a Python number without losing its kind: no 1.5 among integers."""
    if isinstance(number, bool):
        return dtype == jnp.bool_
    kinds = {int: jnp.number, float: jnp.inexact, complex: jnp.complexfloating}
    return jnp.issubdtype(dtype, kinds[type(number)])
