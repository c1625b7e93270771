"""Which entries some small change of the inputs moves: relu's result at -1 is 0, and stays 0.

Known where it matters, from a relu, a `where` or a mask up to what compares its result; elsewhere an entry may move.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable

import jax.numpy as jnp

from ..._jax.jaxpr.jaxprs import apply
from ..._jax.jaxpr.primitives import COMPARISONS
from .bounds import Application, Moves, Rounded, bound, size


def moved(name: str | None, op: Application) -> list[Moves]:
    """Return which entries of an operation's results move; `name` is that of its primitive."""
    found = [x.moves for x in op.xs]
    if all(m is False for m in found):
        return [False] * len(op.zs)
    if (rule := _RULES.get(name or "")) is None or any(jnp.size(z) == 0 for z in op.zs):
        return [None] * len(op.zs)
    return [rule(op)]


def any_of(*found: Moves) -> Moves:
    """Return where one of several moves; None if it may be everywhere."""
    if any(m is None for m in found):
        return None
    arrays = [m for m in found if m is not False]
    return functools.reduce(operator.or_, arrays) if arrays else False


def _filled(x: Rounded) -> Moves:
    return jnp.broadcast_to(True if x.moves is None else x.moves, jnp.shape(x.value))


def _finite(op: Application) -> Moves:
    """Return where some operand moves: the result of each entry does, unless it is infinite."""
    found = any_of(*(x.moves for x in op.xs))
    return found if found is None or found is False else found & ~jnp.isinf(op.zs[0])


def _through(op: Application) -> Moves:
    (x,) = op.xs
    return None if x.moves is None else apply(op.eqn, [_filled(x)])[0]


def _is_close(a: Rounded, b: Rounded) -> Moves:
    return ~(size(a.value - b.value) > bound(a) + bound(b))


def _compared(op: Application) -> Moves:
    a, b = op.xs
    if not jnp.issubdtype(a.value.dtype, jnp.inexact):
        return any_of(a.moves, b.moves)
    return (_filled(a) | _filled(b)) & _is_close(a, b)


def _extreme(largest: bool) -> Callable[[Application], Moves]:
    def rule(op: Application) -> Moves:
        a, b = op.xs
        if not jnp.issubdtype(a.value.dtype, jnp.inexact):
            return any_of(a.moves, b.moves)
        first = (a.value > b.value) == largest
        either = _filled(a) | _filled(b)
        return jnp.where(_is_close(a, b), either, jnp.where(first, _filled(a), _filled(b)))

    return rule


def _selected(op: Application) -> Moves:
    which, *cases = op.xs
    taken = apply(op.eqn, [which.value, *map(_filled, cases)])[0]
    return taken | jnp.asarray(True if which.moves is None else which.moves)


def _multiplied(op: Application) -> Moves:
    a, b = op.xs
    return (_filled(a) & _is_not_zero(b)) | (_filled(b) & _is_not_zero(a))


def _divided(op: Application) -> Moves:
    a, b = op.xs
    return _filled(a) | (_filled(b) & _is_not_zero(a))


def _is_not_zero(x: Rounded) -> Moves:
    zero = x.value == 0
    return ~(zero & (bound(x) == 0)) if jnp.issubdtype(x.value.dtype, jnp.inexact) else ~zero


def _exponential(op: Application) -> Moves:
    found = op.xs[0].moves
    return (True if found is None else found) & (op.zs[0] != 0)


def _over_axes(op: Application) -> Moves:
    (x,) = op.xs
    return None if x.moves is None else jnp.any(_filled(x), axis=tuple(op.eqn.params["axes"]))


_ENTRY_BY_ENTRY = (
    "add", "sub", "neg", "abs", "sign", "floor", "ceil", "round", "square", "integer_pow", "sqrt", "rsqrt", "tanh",
    "logistic", "log", "log1p", "expm1", "sin", "cos", "erf", "bitwise_not", "bitwise_and", "bitwise_or",
    "bitwise_xor", "convert", "copy", "stop_gradient", "is_finite", "pow", "rem",
)  # fmt: skip
_RULES: dict[str, Callable[[Application], Moves]] = {
    **dict.fromkeys(_ENTRY_BY_ENTRY, _finite),
    **dict.fromkeys(("broadcast_in_dim", "reshape", "transpose", "squeeze", "slice", "rev"), _through),
    **dict.fromkeys(("reduce_max", "reduce_min", "reduce_sum", "reduce_or", "reduce_and"), _over_axes),
    **dict.fromkeys(COMPARISONS, _compared),
    "max": _extreme(True),
    "min": _extreme(False),
    "select_n": _selected,
    "mul": _multiplied,
    "div": _divided,
    "exp": _exponential,
    "exp2": _exponential,
}
