"""How far off the inputs and the constants of a function are before anything is computed."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ..._jax.jaxpr.types import is_float
from .bounds import Relative, Rounded, unit


def rounded_input(value: Any) -> Rounded:
    """Return an input that stands for a real number: off by half an ulp, unless it is an integer."""
    return exact_input(value)._replace(error=Relative(unit(value.dtype), True) if is_float(value) else None)


def exact_input(value: Any) -> Rounded:
    """Return an input that is what it is."""
    return Rounded(value, None, None if is_float(value) else False)


def constant(value: Any) -> Rounded:
    """Return a constant: exact if it is a number of few digits, as 0.5 is; 0.1 is not."""
    value = value if hasattr(value, "dtype") else np.asarray(value, jnp.result_type(value))
    if not is_float(value) or np.ndim(value) > 0 or isinstance(value, Tracer):
        return rounded_input(value)._replace(moves=False)
    number = complex(value)
    few = all(abs(math.frexp(p)[0]) * 2**10 % 1 == 0 for p in (number.real, number.imag) if math.isfinite(p))
    return Rounded(jnp.asarray(value), None if few else Relative(unit(jnp.result_type(value))), False)
