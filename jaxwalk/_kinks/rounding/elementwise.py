"""Rounding errors of arithmetic and of functions, entry by entry."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ..._jax.jaxprs import function_of
from ..._jax.types import is_float
from .bounds import Application, Error, Relative, bound, shares_of, size

TRANSCENDENTAL = 16  # half ulps that an exp, a tanh, a sin of XLA may be off


def add(op: Application) -> Error:
    return sum((bound(x) for x in op.xs if x.error is not None), start=op.u * op.z)


def mul(op: Application) -> Error:
    a, b = op.xs
    factor = 4 if jnp.iscomplexobj(op.zs[0]) else 1
    if a.error is None and b.error is None:
        return Relative(factor * op.u, True)
    if (shares := shares_of(a, b)) is not None:
        return Relative((1 + shares[0]) * (1 + shares[1]) * (1 + factor * op.u) - 1)
    total = factor * op.u * op.z
    if b.error is not None:
        total = total + size(a.value) * bound(b)
    if a.error is not None:
        total = total + bound(a) * (size(b.value) + bound(b))
    return total


def div(op: Application) -> Error:
    a, b = op.xs
    factor = 8 if jnp.iscomplexobj(op.zs[0]) else 2
    if (shares := shares_of(a, b)) is not None:
        return Relative((1 + shares[0]) / (1 - shares[1]) * (1 + factor * op.u) - 1)
    left = size(b.value) - bound(b)
    moved = bound(a) + op.z * (1 + factor * op.u) * bound(b)
    spread = jnp.where(left > 0, moved / jnp.where(left > 0, left, 1), jnp.where(moved > 0, jnp.inf, 0))
    return spread + factor * op.u * op.z


def largest(op: Application) -> Error:
    """Bound a max, min or clamp, which moves by no more than the operand that moves most."""
    if op.share() == 0:
        return None
    return functools.reduce(jnp.maximum, [bound(x) for x in op.xs])


def same(op: Application) -> list[Error]:
    return [x.error for x in op.xs]


def integer_pow(op: Application) -> Error:
    n = op.eqn.params.get("y", 2)
    (x,) = op.xs
    charge = 2 * max(abs(n).bit_length(), 1) * op.u
    if (shares := shares_of(x)) is not None:
        return Relative((1 + shares[0]) ** abs(n) / (1 - abs(n) * shares[0]) * (1 + charge) - 1)
    e, v = bound(x), size(x.value)
    if n > 0:
        return n * (v + e) ** (n - 1) * e + charge * op.z
    left = v - e
    return jnp.where(left > 0, abs(n) * jnp.where(left > 0, left, 1) ** (n - 1) * e, jnp.inf) + charge * op.z


def smooth(moved: Callable[[Any, Any, Any], Any]) -> Callable[[Application], Error]:
    """Make the rule of a function of one number: `moved(x, |z|, e)` bounds how far z moves if x moves by e."""

    def rule(op: Application) -> Error:
        (x,) = op.xs
        own = TRANSCENDENTAL * op.u * op.z
        if jnp.iscomplexobj(op.zs[0]):
            return first_order(op)
        return own if x.error is None else own + moved(x.value.astype(own.dtype), op.z, bound(x))

    return rule


def _sqrt(x, z, e):
    return jnp.where(z > 0, e / jnp.where(z > 0, z, 1), jnp.sqrt(e))


def _rsqrt(x, z, e):
    r = e / x
    return jnp.where(r < 1, z * r / (2 * jnp.where(r < 1, 1 - r, 1)), jnp.inf)


def _log(x, z, e):
    r = e / jnp.abs(x)
    return jnp.where(r < 1, -jnp.log1p(-jnp.where(r < 1, r, 0)), jnp.where(e > 0, jnp.inf, 0))


SMOOTH = {
    "exp": lambda x, z, e: z * jnp.expm1(e),
    "exp2": lambda x, z, e: z * jnp.expm1(e * math.log(2)),
    "expm1": lambda x, z, e: jnp.exp(x) * jnp.expm1(e),
    "log": _log,
    "log1p": lambda x, z, e: _log(1 + x, z, e),
    "sqrt": _sqrt,
    "rsqrt": _rsqrt,
    # Half the largest second derivative times e², beside the first: a bound, and never more than the largest slope's.
    "tanh": lambda x, z, e: jnp.minimum(e, ((1 - z * z) + 0.39 * e) * e),
    "logistic": lambda x, z, e: jnp.minimum(0.25 * e, (z * (1 - z) + 0.05 * e) * e),
    "sin": lambda x, z, e: jnp.minimum(e, (jnp.abs(jnp.cos(x)) + 0.5 * e) * e),
    "cos": lambda x, z, e: jnp.minimum(e, (jnp.abs(jnp.sin(x)) + 0.5 * e) * e),
    "erf": lambda x, z, e: 1.1284 * e,
    "erfc": lambda x, z, e: 1.1284 * e,
}


def first_order(op: Application) -> Error:
    """Bound a function of one entry, to first order: Σ |∂z/∂x| e."""
    total = 2 * TRANSCENDENTAL * op.u * op.z
    for i, x in enumerate(op.xs):
        if x.error is not None and is_float(x.value):
            moved = function_of(op.eqn, [y.value for y in op.xs], [i])
            slope = jax.jvp(lambda v, moved=moved: moved(v)[0], (x.value,), (jnp.ones_like(x.value),))[1]
            total = total + size(slope) * bound(x)
    return total
