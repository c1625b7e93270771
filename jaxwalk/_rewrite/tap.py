"""The tap: an identity through which a point's δ leaves the backward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax.custom_derivatives import SymbolicZero

from .._jax.jaxpr import jaxprs, types
from .._jax.shards import around
from .._points.point import Point
from .reads import Read


@jax.custom_jvp
def tap(x: jax.Array, slot: jax.Array) -> jax.Array:
    """Return x. Its derivative is ẋ + ṡlot, so the cotangent of `slot` is that of x: δ.

    It is a `custom_jvp` and not a `custom_vjp`, so that forward mode over it works too.
    """
    return x


def _tap_jvp(primals, tangents):
    x, _ = primals
    dx, dslot = tangents
    # Symbolic zeros: where nothing before the point is differentiated, no array of zeros is made and added.
    if isinstance(dx, SymbolicZero):
        return x, dslot
    return x, (dx if isinstance(dslot, SymbolicZero) else dx + dslot)


tap.defjvp(_tap_jvp, symbolic_zeros=True)

# The same for what is staged out: JAX then differentiates it once per shape, and not at every point.
_staged_tap = jax.jit(tap, inline=True)


class Tap(NamedTuple):
    """The tap of one point."""

    slots: Any  # zeros whose cotangents are what leaves the backward pass
    through: Callable[[Any, Any], tuple[Any, Any]]  # (x, slots) -> (x, what is noted of it; None for x itself)
    noted: Any  # the shapes and dtypes of what is noted in the forward pass; None for those of x
    collect: Callable[[Any, Any], Any]  # (cotangents of the slots, what was noted) -> what they stand for


def delta_tap(point: Point | Read) -> Tap:
    """Return a tap whose slot's cotangent is δ.

    The slot is made inside the traced function, as zeros: as an argument it would cost memory.
    """
    slot = types.zeros(around(point.type, point.type, point.loops))
    through = _staged_tap if jaxprs.is_staging() else tap
    return Tap(slot, lambda x, slot: (through(x, slot), None), None, lambda delta, output: delta)


def both_tap(point: Point) -> Tap:
    """Return a tap that stands for the output and δ, as they are."""
    return delta_tap(point)._replace(collect=lambda delta, output: {"output": output, "delta": delta})


def loops(point: Point) -> tuple[int, ...]:
    """Return the lengths of the leading axes of the value at a point."""
    return tuple(axis.length for axis in point.axes)
