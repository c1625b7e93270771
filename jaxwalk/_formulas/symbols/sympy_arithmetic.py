"""SymPy's side: entries that are SymPy expressions, and what can be done with them."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from ..._optional import sympy
from ..entries.arithmetic import Arithmetic, Unsupported
from ..entries.fractions import is_short, shortest_decimal, simplest
from .cases import check_length, comparison, extreme_of, select

LIMIT = 2_000  # symbols
STEPS = 200_000  # operations on entries


def refusal(met: str, why: str) -> str:
    return (
        f"{met} has no formula: {why}; leave it out of the function, or see `jw.formulas`, which goes tensor by tensor"
        " and prints the names of such steps."
    )


TOO_MANY = (
    f"The formula takes more than {STEPS:,} operations on single entries; ask for smaller arrays, or see `jw.formulas`,"
    " which goes tensor by tensor for layers of any size."
)


def symbolic() -> Arithmetic:
    """The arithmetic of SymPy expressions, which refuses those that become too long."""
    sizes: dict[Any, int] = {}
    return _unbounded()._replace(inspect=lambda entry: check_length(entry, sizes))


@functools.cache
def _unbounded() -> Arithmetic:
    """The arithmetic of SymPy expressions.

    Symbols stand for finite real numbers. Comparisons and cases are left as they are written: SymPy is not asked to
    decide them.
    """
    return Arithmetic(
        constant=_constant,
        operations=_operations(),
        is_known=lambda entry: entry.is_Integer or entry in (sympy().true, sympy().false),
        select=select,
        refusal=refusal,
        steps=STEPS,
        too_many=TOO_MANY,
    )


def _constant(value: Any, dtype: Any) -> Any:
    """A number of the function: a float as the fraction it stands for if that is short, else as a decimal."""
    s = sympy()
    if isinstance(value, bool):
        return s.true if value else s.false
    if isinstance(value, int):
        return s.Integer(value)
    if isinstance(value, complex):
        raise Unsupported("it holds complex numbers")
    if not math.isfinite(value):
        return s.nan if math.isnan(value) else s.oo if value > 0 else -s.oo
    fraction = simplest(value, np.dtype(dtype))
    if is_short(fraction, value, np.dtype(dtype)):
        return s.Rational(fraction.numerator, fraction.denominator)
    return s.Float(shortest_decimal(value, np.dtype(dtype)), 17)


# Functions ------------------------------------------------------------------------------------------------


def _round(x: Any, to_even: bool) -> Any:
    s = sympy()
    if x.is_Rational and to_even:
        return s.Integer(round(Fraction(x.p, x.q)))
    if to_even:
        raise Unsupported("SymPy has no rounding of halves to even numbers")
    return s.sign(x) * s.floor(s.Abs(x) + s.Rational(1, 2))


def _gathered(a: Any, b: Any) -> Any:
    """a + b, what they share written once: where a value is used twice, what flows back to it comes from both uses.

    Without this a chain of n layers, each of which uses its input twice, has a derivative of 2ⁿ terms.
    """
    s = sympy()
    one, other = a.as_powers_dict(), b.as_powers_dict()
    shared = [base for base in one if not base.is_number and one[base] == other.get(base)]
    if a == 0 or b == 0 or not shared:
        return a + b
    rest = (s.Mul(*(s.Pow(base, e) for base, e in d.items() if base not in shared)) for d in (one, other))
    return s.Mul(*(s.Pow(base, one[base]) for base in shared), s.Add(*rest))


def _rem(a: Any, b: Any) -> Any:
    s = sympy()
    return s.sign(a) * s.Mod(s.Abs(a), s.Abs(b))


def _operations() -> dict[str, Callable]:
    s = sympy()
    one = s.Integer(1)
    root = lambda x, n: s.sign(x) * s.Pow(s.Abs(x), s.Rational(1, n))
    return {
        "add": lambda a, b: a + b,
        "add_any": _gathered,
        "sub": lambda a, b: a - b,
        "mul": lambda a, b: a * b,
        "div": lambda a, b: a / b,
        "neg": lambda a: -a,
        "rem": _rem,
        "pow": lambda a, b: a**b,
        "integer_pow": lambda a, n: a**n,
        "square": lambda a: a**2,
        "sum": s.Add,
        "prod": s.Mul,
        "max": extreme_of("max"),
        "min": extreme_of("min"),
        "logsumexp": lambda *entries: s.log(s.Add(*map(s.exp, entries))),
        "sign": s.sign,
        "abs": s.Abs,
        "floor": s.floor,
        "ceil": s.ceiling,
        "truncate": lambda a: s.sign(a) * s.floor(s.Abs(a)),
        "round": _round,
        "is_finite": lambda a: s.false if a in (s.oo, -s.oo, s.nan, s.zoo) else s.true,
        "exp": s.exp,
        "exp2": lambda a: 2**a,
        "log": s.log,
        "log2": lambda a: s.log(a) / s.log(2),
        "bell": lambda a: s.exp(-(a**2)),
        "one_minus_square": lambda a: one - a**2,
        "log1p": lambda a: s.log(one + a),
        "expm1": lambda a: s.exp(a) - one,
        "logistic": lambda a: one / (one + s.exp(-a)),
        **{name: getattr(s, name) for name in ("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh")},
        **{name: getattr(s, name) for name in ("asinh", "acosh", "atanh", "atan2", "erf", "erfc", "digamma", "zeta")},
        "erf_inv": s.erfinv,
        "sqrt": s.sqrt,
        "rsqrt": lambda a: one / s.sqrt(a),
        "cbrt": lambda a: root(a, 3),
        "lgamma": lambda a: s.log(s.Abs(s.gamma(a))),
        "polygamma": s.polygamma,
        "igamma": lambda a, x: s.lowergamma(a, x) / s.gamma(a),
        "igammac": lambda a, x: s.uppergamma(a, x) / s.gamma(a),
        "bessel_i0e": lambda a: s.exp(-s.Abs(a)) * s.besseli(0, a),
        "bessel_i1e": lambda a: s.exp(-s.Abs(a)) * s.besseli(1, a),
        **{name: comparison(name) for name in ("eq", "ne", "lt", "le", "gt", "ge")},
        "bitwise_and": s.And,
        "bitwise_or": s.Or,
        "bitwise_not": s.Not,
        "bitwise_xor": s.Xor,
        "and": s.And,
        "or": s.Or,
    }
