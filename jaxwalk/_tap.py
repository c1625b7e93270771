"""The tap: an identity through which a point's δ leaves the backward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from . import _compat
from ._compat import Closed
from ._errors import ArgumentError, shown
from ._points import Point
from ._reach import Reach
from ._stage import is_value

WITNESS = jnp.float32  # the dtype of the witness of a tap


@jax.custom_jvp
def tap(x: jax.Array, slot: jax.Array) -> jax.Array:
    """x. Its derivative is ẋ + ṡlot, so the cotangent of `slot` is that of x: δ.

    A `custom_jvp` and not a `custom_vjp`: forward mode over it works too.
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
    """The tap of one point.

    Attributes:
        slots: zeros whose cotangents are what leaves the backward pass.
        through: (x, slots) -> (x, witness). The witness is None, or a scalar 0 that must be a result of what is
            differentiated, with a cotangent of its own.
        collect: from the cotangents of the slots to what they stand for.
    """

    slots: Any
    through: Callable[[Any, Any], tuple[Any, Any]]
    collect: Callable[[Any], Any]


def delta_tap(point: Point) -> Tap:
    """A tap whose slot's cotangent is δ.

    The slot is made inside the traced function, as zeros: as an argument it would cost memory.
    """
    slot = _compat.zeros(_compat.struct(point.type, _loops(point)))
    through = _staged_tap if _compat.is_staging() else tap
    return Tap(slot, lambda x, slot: (through(x, slot), None), lambda delta: delta)


def keep_tap(point: Point, keep: Callable[[Any, Any], Any]) -> Tap:
    """A tap whose slots' cotangents are what `keep(output, δ)` returns, run inside the backward pass.

    A cotangent is of floating dtype, so an integer is carried as its two halves, each of which a float holds
    exactly. What `keep` closes over is made an argument of the tap, as JAX asks of custom rules. The output is
    saved for the backward pass only if `keep` looks at it.

    Where no δ arrives (the loss does not depend on the value, or only through a comparison), JAX would not run the
    rule of the tap, and nothing would be kept of the output either. The witness, a second result of the tap to which
    a cotangent always arrives, makes it run; δ is then zeros.
    """
    arrays = lambda x, ct: jax.tree.map(lambda leaf: _as_kept(leaf, point), keep(x, ct))
    leaves, tree = jax.tree.flatten(jax.eval_shape(arrays, point.type, point.type))
    if not leaves:
        raise ArgumentError(f"`keep` returned no array at `{point.name}`; return what to keep of (output, delta).")
    closed, _ = _compat.trace(
        lambda x, ct: [_carry(leaf) for leaf in jax.tree.leaves(arrays(x, ct))], *[point.type] * 2
    )
    slots = [_compat.zeros(_compat.struct(v.aval, _loops(point))) for v in closed.jaxpr.outvars]
    through = _keeping(closed, needs_output=bool(Reach().into(closed.jaxpr, [1] * len(leaves))[0][0]))

    def collect(cotangents: Any) -> Any:
        return jax.tree.unflatten(tree, [_uncarry(c, leaf.dtype) for c, leaf in zip(cotangents, leaves, strict=True)])

    return Tap(slots, lambda x, slots: through(x, slots, list(closed.consts)), collect)


def _as_kept(leaf: Any, point: Point) -> jax.Array:
    if not is_value(leaf):
        raise ArgumentError(f"`keep` returned {shown(leaf)} at `{point.name}`, which is not an array; return arrays.")
    return jnp.asarray(leaf)


def _loops(point: Point) -> tuple[int, ...]:
    return tuple(axis.length for axis in point.axes)


def _keeping(closed: Closed, needs_output: bool) -> Callable[[Any, Any, Any], Any]:
    @jax.custom_vjp
    def through(x, slots, consts):
        return x, jnp.zeros((), WITNESS)

    def forward(x, slots, consts):
        return through(x, slots, consts), (x if needs_output else None, consts)

    def backward(residual, cts):
        x, consts = residual
        ct, _ = cts
        kept = _compat.evaluate(closed._replace(consts=consts), (jnp.zeros_like(ct) if x is None else x, ct))
        return ct, kept, [None] * len(consts)

    through.defvjp(forward, backward)
    return through


def _carry(value: jax.Array) -> jax.Array:
    """A floating array that holds `value` exactly: itself, or the halves of an integer along a new last axis."""
    if jnp.issubdtype(value.dtype, jnp.inexact):
        return value
    if value.dtype == jnp.bool_ or jnp.iinfo(value.dtype).bits <= 16:
        return value.astype(jnp.float32)
    half = jnp.iinfo(value.dtype).bits // 2
    float_dtype = jnp.float32 if half == 16 else jnp.float64
    low = value & ((1 << half) - 1)
    return jnp.stack([(value >> half).astype(float_dtype), low.astype(float_dtype)], -1)


def _uncarry(carried: jax.Array, dtype: Any) -> jax.Array:
    if jnp.issubdtype(dtype, jnp.inexact) or dtype == jnp.bool_ or jnp.iinfo(dtype).bits <= 16:
        return carried.astype(dtype)
    half = jnp.iinfo(dtype).bits // 2
    return (carried[..., 0].astype(dtype) << half) | carried[..., 1].astype(dtype)
