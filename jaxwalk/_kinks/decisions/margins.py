"""Margins of decisions made entry by entry: how far each entry is from its threshold."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ..._jax.jaxpr.jaxprs import function_of
from ..liveness import Use
from ..program import Operation, Program
from ..rounding.bounds import Rounded, bound, size, wide
from ..rounding.movement import any_of


class Margin(NamedTuple):
    """How far an operand is from the threshold of a decision, entry by entry."""

    distance: Any  # positive above the threshold; inf where nothing is decided
    bound: Any  # of the rounding error of the distance
    left: Any = None  # the derivative by the operand below the threshold, where it is known
    right: Any = None  # and above it
    used: Any = None  # the derivative that JAX takes at this point


SLOPES = {1: (0.0, 1.0), -1: (1.0, 0.0)}  # of max(x, threshold), and of min, below and above the threshold
Parts = dict[str, Margin]  # by the part of an operation that decides: "lower" and "upper" of a clip, else ""


def slope_tolerance(dtype: Any) -> float:
    """Return by how much of themselves two derivatives may differ that count as one."""
    return 4 * math.sqrt(float(jnp.finfo(dtype).eps))


def real(x: Rounded) -> jax.Array:
    return jnp.real(x.value).astype(wide(x.value.dtype))


def difference(a: Rounded, b: Rounded) -> tuple[jax.Array, jax.Array]:
    """Return a - b and its bound; |a - b| of complex numbers, for they can only be equal."""
    if jnp.iscomplexobj(a.value):
        return jnp.abs(a.value - b.value), bound(a) + bound(b)
    return gap(real(a), real(b)), bound(a) + bound(b)


def gap(a: jax.Array, b: jax.Array) -> jax.Array:
    """Return a - b; between equal infinities, where nothing is decided, inf."""
    return jnp.where((a == b) & jnp.isinf(a), jnp.inf, a - b)


def used_derivative(op: Operation, xs: Sequence[Rounded], which: int) -> jax.Array:
    """Compute the derivative that JAX takes by one operand, here, entry by entry."""
    x, moved = xs[which].value, function_of(op.eqn, [x.value for x in xs], [which])
    return jax.jvp(lambda v: moved(v)[0], (x,), (jnp.ones_like(x),))[1]


def comparison(program: Program, op: Operation, xs: Sequence[Rounded]) -> Parts:
    return {"": Margin(*difference(*xs))}


def extreme(sign: int, program: Program, op: Operation, xs: Sequence[Rounded]) -> Parts:
    """Measure a max (sign 1) or min (sign -1) of two; the operand that decides is the first that is no constant."""
    first, second = (number in program.literals for number in op.ins)
    which = 1 if first and not second else 0
    return {"": Margin(*difference(xs[which], xs[1 - which]), *SLOPES[sign], used_derivative(op, xs, which))}


def clamp(program: Program, op: Operation, xs: Sequence[Rounded]) -> Parts:
    low, x, high = xs
    used = used_derivative(op, xs, 1)
    return {
        "lower": Margin(*difference(x, low), *SLOPES[1], used),
        "upper": Margin(*difference(x, high), *SLOPES[-1], used),
    }


def at_zero(left: float, right: float, program: Program, op: Operation, xs: Sequence[Rounded]) -> Parts:
    (x,) = xs
    if jnp.iscomplexobj(x.value):  # there is no left and right of 0
        return {"": Margin(jnp.abs(x.value), bound(x))}
    return {"": Margin(real(x), bound(x), left, right, used_derivative(op, xs, 0))}


def steps(half: float, program: Program, op: Operation, xs: Sequence[Rounded]) -> Parts:
    """Measure a floor or ceil (half 0) or a round (half ½): the value jumps, the derivative is 0 on either side."""
    value = real(xs[0])
    distance = value - (jnp.floor(value) + half if half else jnp.round(value))
    return {"": Margin(distance, bound(xs[0]), 0.0, 0.0, 0.0)}


def remainder(program: Program, op: Operation, xs: Sequence[Rounded]) -> Parts:
    """Measure how far a dividend is from a multiple of the divisor; 0 is none, for there the remainder is x itself."""
    x, y = map(real, xs)
    times = jnp.round(x / y)
    distance = jnp.where(times == 0, jnp.inf, x - times * y)
    return {"": Margin(distance, bound(xs[0]) + jnp.abs(times) * bound(xs[1]), 1.0, 1.0, 1.0)}


def truth(program: Program, op: Operation, xs: Sequence[Rounded]) -> Parts:
    return {"": Margin(size(xs[0].value), bound(xs[0]))}


def truncation(program: Program, op: Operation, xs: Sequence[Rounded]) -> Parts:
    value = real(xs[0])
    nearest = jnp.round(value)
    return {"": Margin(jnp.where(nearest == 0, jnp.inf, value - nearest), bound(xs[0]))}


def if_it_moves(measure: Callable[..., Parts], program: Program, op: Operation, xs: Sequence[Rounded]) -> Parts:
    """Measure what decides by a jump, entry by entry."""
    return {part: where_it_moves(margin, xs) for part, margin in measure(program, op, xs).items()}


def where_it_moves(margin: Margin, xs: Sequence[Rounded]) -> Margin:
    """Return the margin of a jump: where no operand moves, it is not met."""
    moves = any_of(*(x.moves for x in xs))
    return margin if moves is None else margin._replace(distance=jnp.where(moves, margin.distance, jnp.inf))


def bits(lowest: int, program: Program, op: Operation, xs: Sequence[Rounded]) -> Parts:
    """Measure how far a float is from where its bits from `lowest` on change: the sign, or sign and exponent."""
    x, error = xs[0].value, bound(xs[0])
    unsigned = jnp.dtype(f"uint{8 * x.dtype.itemsize}")
    if lowest >= jnp.finfo(x.dtype).bits - 1:
        return {"": Margin(real(xs[0]), error)}
    size_as_bits = lax.bitcast_convert_type(jnp.abs(x), unsigned)
    below = size_as_bits & unsigned.type(~np.uint64(2**lowest - 1) & np.uint64(2 ** (8 * unsigned.itemsize) - 1))
    below, above = (lax.bitcast_convert_type(b, x.dtype) for b in (below, below + unsigned.type(2**lowest)))
    down, up = (jnp.abs(jnp.abs(x) - edge).astype(error.dtype) for edge in (below, above))
    distance = jnp.where(jnp.isfinite(up), jnp.minimum(down, up), down)
    return {"": Margin(jnp.where(jnp.isfinite(x), distance, jnp.inf), error)}


def lowest_bit(program: Program, op: Operation, uses: Mapping[int, Use]) -> int:
    """Return the lowest of the bits of a float that count as a number of their own; 0 if all count, or it is not seen.

    They are told from the shift, or the mask, by which they are read.
    """

    def lowest(reader: Operation) -> int:
        number = program.literals.get(reader.ins[-1])
        if number is None or np.ndim(number.val) > 0:
            return 0
        if reader.name in ("shift_right_logical", "shift_right_arithmetic"):
            return int(number.val)
        mask = int(number.val) if reader.name == "bitwise_and" else 0
        if mask & 1:  # digits, cut off above
            mask = ~mask
        return (mask & -mask).bit_length() - 1 if mask else 0

    used = [reader for reader in program.readers(set(op.outs)) if any(out in uses for out in reader.outs)]
    return min(map(lowest, used), default=0)
