"""`exact`: a function in rational arithmetic, without rounding."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..._errors import ArgumentError, FormulaError, shown
from ..._jax import jaxprs
from ..._jax.leaves import is_array, renamed_after
from .arithmetic import Arithmetic, Refused, Unsupported, holds_entries
from .fractions import simplest
from .interpreter import run_on_entries


def exact(fun: Callable) -> Callable:
    """The same function in exact rational arithmetic: nothing is rounded.

    A float constant in the function, and a float argument, becomes the fraction of smallest denominator that rounds to
    it in its dtype: 0.1 is 1/10. It works on what JAX traces: `jw.exact(jax.grad(f))` and `jw.exact(jw.walk(f))` are
    exact too. Conversions between float dtypes do nothing.

    Arguments:
        fun: any function of arrays made of rational operations: + - * /, integer powers, comparisons, `where`, sums and
            products of arrays, indexing, `scan`, `cond`. Others (`exp`, `sqrt`) work where their value is rational.

    Returns:
        A function of the arguments of `fun`: pytrees whose leaves are `Fraction`, `int`, or NumPy object arrays of
        these, all of which stand for floats (integer and boolean arrays stay what they are). Its results are those of
        `fun`, with a `Fraction` for a float, an `int` for an integer, and object arrays of these.

    Raises:
        ArgumentError: (when called) a leaf of the arguments is none of these.
        FormulaError: (when called) a result is not a rational number; it names the operation and the source line.

    >>> from fractions import Fraction
    >>> import jax, jaxwalk as jw
    >>> jw.exact(jax.grad(lambda x: (0.1 * x - 1) ** 2))(Fraction(1, 3))
    Fraction(-29, 150)
    """
    if not callable(fun):
        raise ArgumentError(f"`fun` is {shown(fun)}, which cannot be called; give a function of arrays.")

    @renamed_after(fun, "exact")
    def exactly(*args: Any, **kwargs: Any) -> Any:
        leaves, tree = jax.tree_util.tree_flatten_with_path((args, kwargs))
        traced = [i for i, (_, leaf) in enumerate(leaves) if not _is_static(leaf)]
        values = [_entries(leaves[i][1], leaves[i][0]) for i in traced]

        def flat(*tracers: Any) -> Any:
            merged = [leaf for _, leaf in leaves]
            for i, tracer in zip(traced, tracers, strict=True):
                merged[i] = tracer
            args, kwargs = jax.tree.unflatten(tree, merged)
            return fun(*args, **kwargs)

        closed, shapes = jaxprs.trace(flat, *(_stand_in(leaves[i][1]) for i in traced))
        results = run_on_entries(closed, values, RATIONAL)
        return jax.tree.unflatten(jax.tree.structure(shapes), [_plain(r) for r in results])

    return exactly


def _is_static(leaf: Any) -> bool:
    """What the function gets as it is, as under `jax.grad`: a Python truth value, a string, a function."""
    return isinstance(leaf, bool) or not (isinstance(leaf, (int, float, Fraction, np.ndarray)) or is_array(leaf))


def _stand_in(leaf: Any) -> jax.ShapeDtypeStruct:
    is_machine = hasattr(leaf, "dtype") and not holds_entries(leaf)
    return jax.ShapeDtypeStruct(np.shape(leaf), leaf.dtype if is_machine else jnp.result_type(float))


def _entries(leaf: Any, path: tuple) -> Any:
    if isinstance(leaf, jax.ShapeDtypeStruct):
        where = f"args{jax.tree_util.keystr(path[1:])}"
        raise ArgumentError(f"`{where}` is a shape without numbers; `jw.exact` computes, so give it numbers.")
    if isinstance(leaf, (int, float, Fraction)):
        leaf = np.array(leaf, object)
    if not holds_entries(leaf):
        return leaf
    result = np.empty(leaf.shape, object)
    for index in np.ndindex(leaf.shape):
        result[index] = _entry(leaf[index], path)
    return result


def _entry(number: Any, path: tuple) -> Any:
    if isinstance(number, float) and not isinstance(number, np.floating):
        return _constant(number, np.dtype(float))
    if isinstance(number, np.generic):
        return _constant(number.item(), number.dtype)
    if isinstance(number, (int, Fraction)) and not isinstance(number, bool):
        return Fraction(number)
    where = f"args{jax.tree_util.keystr(path[1:])}"
    raise ArgumentError(f"`{where}` holds {shown(number)}; give fractions, integers, and object arrays of these.")


def _plain(result: Any) -> Any:
    """A result as the caller gets it."""
    if not isinstance(result, np.ndarray):
        return result
    for entry in result.flat if holds_entries(result) else ():
        if isinstance(entry, Refused):
            raise FormulaError(entry.reason)
        if isinstance(entry, float):
            raise FormulaError(_refusal(f"{entry}", "it is among the results"))
    plain = np.empty(result.shape, object)
    for index in np.ndindex(result.shape):
        plain[index] = result[index] if holds_entries(result) else result[index].item()
    return plain[()] if plain.ndim == 0 else plain


def _refusal(met: str, why: str) -> str:
    return (
        f"{met} leaves the rational numbers: {why}; `jw.exact` is for sums, products, quotients, integer powers,"
        " comparisons and what moves entries: leave it out, or use the function itself, in floats."
    )


# The arithmetic -------------------------------------------------------------------------------------------


def _constant(value: Any, dtype: Any) -> Any:
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, int):
        return Fraction(value)
    if math.isnan(value):
        return Refused(_refusal("A NaN", "it is a constant of the function, or read outside an array"))
    return simplest(value, dtype) if math.isfinite(value) else value


def _rational(function: Callable) -> Callable:
    """A function of fractions, which meets no infinity."""

    def checked(*entries: Any) -> Any:
        if any(isinstance(e, float) for e in entries):
            raise Unsupported("it meets an infinity")
        return function(*entries)

    return checked


def _only_at(known: dict[Any, Any]) -> Callable:
    def function(x: Fraction) -> Fraction:
        if x in known:
            return Fraction(known[x])
        raise Unsupported(f"at {x} it has no rational value, as far as is known here")

    return function


def _root(x: Fraction, degree: int) -> Fraction:
    """The root, where it is rational."""
    parts = []
    for n in (abs(x.numerator), x.denominator):
        root = math.isqrt(n) if degree == 2 else round(n ** (1 / degree))
        root = next((r for r in (root - 1, root, root + 1) if r >= 0 and r**degree == n), None)
        parts.append(root)
    if None in parts or (x < 0 and degree % 2 == 0):
        raise Unsupported(f"the root of {x} is not rational")
    return Fraction(parts[0] if x >= 0 else -parts[0], parts[1])


def _pow(x: Fraction, y: Fraction) -> Fraction:
    if y.denominator == 1:
        return _integer_pow(x, y.numerator)
    if x < 0 or y.denominator > 64:
        raise Unsupported(f"{x} to the power of {y} is not rational, as far as is known here")
    return _integer_pow(_root(x, y.denominator), y.numerator)


def _integer_pow(x: Fraction, y: int) -> Fraction:
    if abs(y) * max(x.numerator.bit_length(), x.denominator.bit_length()) > 1_000_000:
        raise Unsupported(f"the power {y} has too many digits")
    return Fraction(x) ** y


def _round(x: Fraction, to_even: bool) -> Fraction:
    return Fraction(round(x)) if to_even else _sign(x) * Fraction(math.floor(abs(x) + Fraction(1, 2)))


def _sign(x: Fraction) -> Fraction:
    return Fraction((x > 0) - (x < 0))


def _rem(x: Fraction, y: Fraction) -> Fraction:
    return x - y * math.trunc(x / y)


def _all(*entries: bool) -> bool:
    return all(entries)


def _any(*entries: bool) -> bool:
    return any(entries)


HALF = Fraction(1, 2)
_OPERATIONS: dict[str, Callable] = {
    name: _rational(function)
    for name, function in {
        "add": lambda a, b: a + b,
        "add_any": lambda a, b: a + b,
        "sub": lambda a, b: a - b,
        "mul": lambda a, b: a * b,
        "div": lambda a, b: Fraction(a) / b,
        "neg": lambda a: -a,
        "abs": abs,
        "sign": _sign,
        "square": lambda a: a * a,
        "integer_pow": _integer_pow,
        "pow": _pow,
        "rem": _rem,
        "floor": lambda a: Fraction(math.floor(a)),
        "ceil": lambda a: Fraction(math.ceil(a)),
        "truncate": lambda a: Fraction(math.trunc(a)),
        "round": _round,
        "sum": lambda *entries: sum(entries, Fraction(0)),
        "prod": lambda *entries: math.prod(entries, start=Fraction(1)),
        "sqrt": lambda a: _root(a, 2),
        "rsqrt": lambda a: 1 / _root(a, 2),
        "cbrt": lambda a: _root(a, 3),
        "exp2": lambda a: _pow(Fraction(2), a),
        "one_minus_square": lambda a: 1 - a * a,
        "bell": _only_at({0: 1}),
        "log2": _only_at({1: 0, 2: 1, 4: 2, 8: 3, HALF: -1}),
        "logistic": _only_at({0: HALF}),
        **{name: _only_at({0: 1}) for name in ("exp", "cos", "cosh", "erfc", "bessel_i0e")},
        **{name: _only_at({1: 0}) for name in ("log", "acosh", "acos")},
        **{
            name: _only_at({0: 0})
            for name in "log1p expm1 tanh sin tan asin atan sinh asinh atanh erf erf_inv bessel_i1e".split()  # noqa: SIM905
        },
        "lgamma": _only_at({1: 0, 2: 0}),
    }.items()
} | {
    "is_finite": lambda a: not isinstance(a, float),
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "max": lambda *entries: max(entries),
    "min": lambda *entries: min(entries),
    "bitwise_and": _all,
    "bitwise_or": _any,
    "bitwise_not": lambda a: not a,
    "bitwise_xor": lambda a, b: a != b,
    "and": _all,
    "or": _any,
}

RATIONAL = Arithmetic(
    constant=_constant,
    operations=_OPERATIONS,
    is_known=lambda entry: not isinstance(entry, Refused),
    select=lambda which, cases: cases[int(which)],
    refusal=_refusal,
    defers=True,
)
