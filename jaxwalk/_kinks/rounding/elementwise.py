"""Rounding errors of arithmetic and of functions, entry by entry."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ..._jax.jaxpr.jaxprs import function_of
from ..._jax.jaxpr.types import is_float
from .bounds import Application, Error, Relative, bound, gamma, rounded_size, shares_of, size

TRANSCENDENTAL = 16  # half ulps that an exp, a tanh, a sin of XLA may be off


def add(op: Application) -> Error:
    return sum((bound(x) for x in op.xs if x.error is not None), start=op.u * op.z)


def mul(op: Application) -> Error:
    a, b = op.xs
    factor = _factor(op, 4)
    if a.error is None and b.error is None:
        return jnp.where(_is_exact(a.value, b.value), 0, factor * op.u * op.z)
    if (shares := shares_of(a, b)) is not None:
        return Relative((1 + shares[0]) * (1 + shares[1]) * (1 + factor * op.u) - 1)
    total = factor * op.u * op.z
    if b.error is not None:
        total = total + rounded_size(a.value) * bound(b)
    if a.error is not None:
        total = total + bound(a) * (rounded_size(b.value) + bound(b))
    return total


def _factor(op: Application, of_complex: int) -> int:
    """Return how many roundings an operation on complex numbers is charged for one on real numbers."""
    return of_complex if jnp.iscomplexobj(op.zs[0]) else 1


def _is_exact(a: Any, b: Any) -> Any:
    """Return where a product needs no rounding, by the digits of its factors: one is a power of 2, or both short."""
    if jnp.iscomplexobj(a):
        return False
    info = jnp.finfo(a.dtype)
    has = lambda v, digits: lax.reduce_precision(v, info.nexp, digits - 1) == v
    half = (info.nmant + 1) // 2
    return has(a, 1) | has(b, 1) | (has(a, half) & has(b, half))


def div(op: Application) -> Error:
    a, b = op.xs
    factor = 2 * _factor(op, 4)
    if (shares := shares_of(a, b)) is not None:
        return Relative((1 + shares[0]) / (1 - shares[1]) * (1 + factor * op.u) - 1)
    left = size(b.value) - bound(b)
    moved = bound(a) + op.z * (1 + factor * op.u) * bound(b)
    exact = (bound(a) == 0) & (bound(b) == 0)
    spread = jnp.where(left > 0, moved / jnp.where(left > 0, left, 1), jnp.where(exact, 0, jnp.inf))
    return spread + factor * op.u * op.z


def largest(op: Application) -> Error:
    """Bound a max or min by the error of the operand that it is; if both may be, by the larger."""
    if op.share() == 0:
        return None
    a, b = op.xs
    one, other = bound(a), bound(b)
    apart = jnp.abs(a.value - b.value).astype(one.dtype) > 2 * (one + other)  # twice, as this is rounded too
    taken = jnp.where(op.zs[0] == a.value, one, other)
    return jnp.where(apart, taken, jnp.maximum(one, other))


def clamped(op: Application) -> Error:
    """Bound a clamp, which moves by no more than the operand that moves most."""
    return None if op.share() == 0 else functools.reduce(jnp.maximum, [bound(x) for x in op.xs])


def same(op: Application) -> list[Error]:
    return [x.error for x in op.xs]


def absolute(op: Application) -> Error:
    """Bound |x|, of complex numbers a root of a sum of squares."""
    (x,) = op.xs
    return bound(x) + TRANSCENDENTAL * op.u * op.z if jnp.iscomplexobj(x.value) else x.error


def sign(op: Application) -> Error:
    """Bound the sign of a real number by nothing; that of a complex number is x / |x|."""
    (x,) = op.xs
    if not jnp.iscomplexobj(x.value):
        return None
    e, v = bound(x), size(x.value)
    return jnp.where(2 * e < v, 2 * e / jnp.where(2 * e < v, v, 1), jnp.where(e > 0, 2, 0)) + TRANSCENDENTAL * op.u


def polynomial(op: Application) -> Error:
    """Bound a polynomial by Horner's rule: by what it is of larger operands, and 2n roundings of that, n its degree.

    Six are charged, as the two that are subtracted here are rounded too.
    """
    sizes = [rounded_size(x.value) for x in op.xs]
    largest_possible = _horner([size + bound(x) for size, x in zip(sizes, op.xs, strict=True)])
    charge = gamma(6 * len(op.xs), _factor(op, 4) * op.u)
    return largest_possible - _horner(sizes) + charge * largest_possible


def _horner(operands: Sequence[Any]) -> Any:
    x, *coefficients = operands
    return functools.reduce(lambda total, a: total * x + a, reversed(coefficients))


def integer_pow(op: Application) -> Error:
    """Bound xⁿ: however it is multiplied out, its error is no more than that of n - 1 products one after the other."""
    n = op.eqn.params.get("y", 2)
    (x,) = op.xs
    charge = gamma(max(abs(n) - 1, 0) + 2 * (n < 0), _factor(op, 4) * op.u)
    if (shares := shares_of(x)) is not None:
        moved = (1 + shares[0]) ** n if n >= 0 else (1 - shares[0]) ** n if shares[0] < 1 else math.inf
        return Relative(moved * (1 + charge) - 1)
    e, v = bound(x), rounded_size(x.value)
    if n >= 0:
        return n * (v + e) ** max(n - 1, 0) * e + charge * op.z
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
    return jnp.where(r < 1, z * r / (2 * jnp.where(r < 1, 1 - r, 1)), jnp.where(e > 0, jnp.inf, 0))


def _log(x, z, e):
    r = e / jnp.abs(x)
    return jnp.where(r < 1, -jnp.log1p(-jnp.where(r < 1, r, 0)), jnp.where(e > 0, jnp.inf, 0))


SMOOTH = {
    # Where exp(x) is 0 it would be 0·∞ behind a mask of -1e38, which is off by more than expm1 can take.
    "exp": lambda x, z, e: jnp.where(z > 0, z * jnp.expm1(e), jnp.exp(x + e)),
    "exp2": lambda x, z, e: jnp.where(z > 0, z * jnp.expm1(e * math.log(2)), jnp.exp2(x + e)),
    "expm1": lambda x, z, e: jnp.where(jnp.exp(x) > 0, jnp.exp(x) * jnp.expm1(e), jnp.exp(x + e)),
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
