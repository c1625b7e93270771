"""Σx² and the largest entry of an array in one pass, and whether they are right.

They are where the largest is neither very large nor very small. It is compared by its bits, as subnormal numbers have
to be. Of a sum of floats together with a largest of integers XLA makes fast code on CPUs; of two sums of floats it does
not, nor of a largest alone.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .subnormal import bits_of, scale_of


class QuickSquares(NamedTuple):
    """What is known of an array of real numbers.

    Attributes:
        squares: Σx².
        largest: size of an entry.
        is_right: whether all entries are finite, none is so large that a million such sums could not be added, and
            none that matters beside the largest is subnormal, nor is its square.
    """

    squares: jax.Array
    largest: jax.Array
    is_right: jax.Array

    @property
    def scale(self) -> jax.Array:
        """1, or for nothing but zeros the smallest scale, so that zeros do not raise a common scale."""
        return jnp.where(self.largest > 0, 1, scale_of(jnp.zeros_like(self.largest)))


def quick_squares(x: jax.Array) -> QuickSquares:
    """Return what is known of an array of real numbers."""
    bits = bits_of(x) << 1
    merge = lambda a, b: (lax.max(a[0], b[0]), a[1] + b[1])
    zeros = np.zeros((), bits.dtype), np.zeros((), x.dtype)
    most, squares = lax.reduce((bits, x * x), zeros, merge, tuple(range(x.ndim)))
    largest = lax.bitcast_convert_type(most >> 1, x.dtype)
    return QuickSquares(squares, largest, (most == 0) | ((largest >= 2.0**-40) & (largest <= 2.0**40)))
