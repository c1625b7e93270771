"""`exact`: a function in rational arithmetic, without rounding."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from fractions import Fraction
from numbers import Number
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import KeyPath

from ..._errors import ArgumentError, FormulaError, shown
from ..._jax.leaves import is_array, renamed_after
from .arithmetic import Arithmetic, Refused, Unsupported, entrywise, holds_entries
from .fractions import is_short, shortest_decimal, simplest
from .interpreter import run_at_leaves


def exact(fun: Callable) -> Callable:
    """Return the same function in exact rational arithmetic: nothing is rounded.

    A float constant in the function, and a float argument, becomes the number that a person would have written: the
    fraction of smallest denominator that rounds to it in its dtype, if it is a short one (0.1 is 1/10), else its
    shortest decimal (1e-8 is 1/100000000). It works on what JAX traces: `jw.exact(jax.grad(f))` and
    `jw.exact(jw.walk(f))` are exact too. Conversions between float dtypes do nothing; `lax.reduce_precision` is
    refused.

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
        entries = {i: (_type_of(x), _entries(x, path)) for i, (path, x) in enumerate(leaves) if not _is_static(x)}

        def at(leaves: list[Any]) -> Any:
            args, kwargs = jax.tree.unflatten(tree, leaves)
            return fun(*args, **kwargs)

        at.__wrapped__ = fun  # type: ignore[unresolved-attribute]
        structure, results = run_at_leaves(at, [leaf for _, leaf in leaves], entries, RATIONAL)
        return jax.tree.unflatten(structure, list(map(_plain, results)))

    return exactly


def _is_static(leaf: Any) -> bool:
    """Tell whether the function gets a leaf as it is, as under `jax.grad`: a truth value, a string, a function."""
    return isinstance(leaf, bool) or not (isinstance(leaf, (Number, np.ndarray)) or is_array(leaf))


def _type_of(leaf: Any) -> jax.ShapeDtypeStruct:
    is_machine = hasattr(leaf, "dtype") and not holds_entries(leaf)
    return jax.ShapeDtypeStruct(np.shape(leaf), leaf.dtype if is_machine else jnp.result_type(float))


def _entries(leaf: Any, path: KeyPath) -> Any:
    where = f"args{jax.tree_util.keystr(path[1:])}"
    if isinstance(leaf, jax.ShapeDtypeStruct):
        raise ArgumentError(f"`{where}` is a shape without numbers; `jw.exact` computes, so give it numbers.")
    if _is_python_number(leaf):
        alone = np.empty((), object)
        alone[()] = _entry(leaf, where)
        return alone
    if holds_entries(leaf):
        return entrywise(lambda number: _entry(number, where), leaf)
    if jnp.issubdtype(leaf.dtype, jnp.complexfloating):
        raise ArgumentError(f"`{where}` is of complex numbers; give fractions, integers, and object arrays of these.")
    return leaf


def _is_python_number(leaf: Any) -> bool:
    return isinstance(leaf, Number) and not isinstance(leaf, np.generic)


def _entry(number: Any, where: str) -> Any:
    if isinstance(number, float) and not isinstance(number, np.floating):
        return _constant(number, np.dtype(float))
    if isinstance(number, np.generic):
        return _constant(number.item(), number.dtype)
    if isinstance(number, (int, Fraction)) and not isinstance(number, bool):
        return Fraction(number)
    raise ArgumentError(f"`{where}` holds {shown(number)}; give fractions, integers, and object arrays of these.")


def _plain(result: Any) -> Any:
    """Return a result as the caller gets it."""
    return entrywise(_plain_entry, result)[()] if isinstance(result, np.ndarray) else result


def _plain_entry(entry: Any) -> Any:
    if isinstance(entry, Refused):
        raise FormulaError(entry.reason)
    if isinstance(entry, float):
        raise FormulaError(_refusal(f"{entry}", "it is among the results"))
    return entry.item() if isinstance(entry, np.generic) else entry


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
    if isinstance(value, complex):
        return Refused(_refusal("A complex number", "it is a constant of the function"))
    if math.isnan(value):
        return Refused(_refusal("A NaN", "it is a constant of the function, or read outside an array"))
    if not math.isfinite(value):
        return value
    fraction = simplest(value, dtype)
    is_told = fraction.denominator == 1 or is_short(fraction, value, dtype)
    return fraction if is_told else Fraction(shortest_decimal(value, dtype))


def _rational(function: Callable) -> Callable:
    """Return a function of fractions that refuses infinities."""

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
    """Return the root, where it is rational."""
    parts = [(n, _integer_root(n, degree)) for n in (abs(x.numerator), x.denominator)]
    if any(root**degree != n for n, root in parts) or (x < 0 and degree % 2 == 0):
        of = x if len(str(x)) <= 40 else f"a number of {len(str(x))} digits"
        raise Unsupported(f"the root of {of} is not rational")
    (_, above), (_, below) = parts
    return Fraction(above if x >= 0 else -above, below)


def _integer_root(n: int, degree: int) -> int:
    """Return the largest integer whose power is not more than n, by Newton's method."""
    root = 1 << -(-n.bit_length() // degree)
    while (smaller := ((degree - 1) * root + n // root ** (degree - 1)) // degree) < root:
        root = smaller
    return root


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


HALF = Fraction(1, 2)
_OPERATIONS: dict[str, Callable] = {
    name: _rational(function)
    for name, function in {
        **{name: getattr(operator, name) for name in ("add", "sub", "mul", "neg", "abs")},
        "add_any": operator.add,
        "div": lambda a, b: Fraction(a) / b,
        "sign": _sign,
        "square": lambda a: a * a,
        "integer_pow": _integer_pow,
        "pow": _pow,
        "rem": lambda x, y: x - y * math.trunc(x / y),
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
        "log2": _only_at({1: 0, 2: 1, 4: 2, 8: 3, HALF: -1}),
        "logistic": _only_at({0: HALF}),
        **dict.fromkeys(("exp", "cos", "cosh", "erfc", "bessel_i0e", "bell"), _only_at({0: 1})),
        **dict.fromkeys(("log", "acosh", "acos"), _only_at({1: 0})),
        **dict.fromkeys(("log1p", "expm1", "erf", "erf_inv", "bessel_i1e"), _only_at({0: 0})),
        **dict.fromkeys(("tanh", "sin", "tan", "asin", "atan", "sinh", "asinh", "atanh"), _only_at({0: 0})),
        "lgamma": _only_at({1: 0, 2: 0}),
    }.items()
} | {
    **{name: getattr(operator, name) for name in ("eq", "ne", "lt", "le", "gt", "ge")},
    **dict.fromkeys(("bitwise_and", "and"), lambda *entries: all(entries)),
    **dict.fromkeys(("bitwise_or", "or"), lambda *entries: any(entries)),
    "is_finite": lambda a: not isinstance(a, float),
    "max": lambda *entries: max(entries),
    "min": lambda *entries: min(entries),
    "bitwise_not": operator.not_,
    "bitwise_xor": operator.ne,
}

RATIONAL = Arithmetic(
    constant=_constant,
    operations=_OPERATIONS,
    is_known=lambda entry: not isinstance(entry, Refused),
    select=lambda which, cases: cases[int(which)],
    refusal=_refusal,
    defers=True,
)
