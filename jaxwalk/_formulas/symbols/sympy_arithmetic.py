"""The arithmetic of entries that are SymPy expressions."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np
import sympy

from ..._errors import FormulaError
from ..entries.arithmetic import Arithmetic, Entries, Unsupported
from ..entries.fractions import is_short, shortest_decimal, simplest
from .cases import comparison, extreme_of, select
from .conversions import rounded, wrapped
from .exceptions import Guarded, expression_of, select_with_exceptions, with_exceptions
from .length_limit import check_length

LIMIT = 2_000  # symbols
STEPS = 200_000  # operations on entries


def _refusal(met: str, why: str) -> str:
    return (
        f"{met} has no formula: {why}; leave it out of the function, or see `jw.formulas`, which goes tensor by tensor"
        " and prints the names of such steps."
    )


TOO_MANY = (
    f"The formula takes more than {STEPS:,} operations on single entries; ask for smaller arrays, or see `jw.formulas`,"
    " which goes tensor by tensor for layers of any size."
)


def _constant(value: Any, dtype: Any) -> Any:
    """Return a number of the function: a float as the fraction it stands for if that is short, else as a decimal."""
    if isinstance(value, bool):
        return sympy.true if value else sympy.false
    if isinstance(value, int):
        return sympy.Integer(value)
    if isinstance(value, complex):
        raise Unsupported("it holds complex numbers")
    if not math.isfinite(value):
        return sympy.nan if math.isnan(value) else sympy.oo if value > 0 else -sympy.oo
    fraction = simplest(value, np.dtype(dtype))
    if is_short(fraction, value, np.dtype(dtype)):
        return sympy.Rational(fraction.numerator, fraction.denominator)
    return sympy.Float(shortest_decimal(value, np.dtype(dtype)), 17)


def _round(x: Any, to_even: bool) -> Any:
    if x.is_Rational and to_even:
        return sympy.Integer(round(Fraction(x.p, x.q)))
    if to_even:
        raise Unsupported("SymPy has no rounding of halves to even numbers")
    return sympy.sign(x) * sympy.floor(sympy.Abs(x) + sympy.Rational(1, 2))


def _gathered(a: Any, b: Any) -> Any:
    """Return a + b, what they share written once: where a value is used twice, what flows back comes from both uses.

    Without this a chain of n layers, each of which uses its input twice, has a derivative of 2ⁿ terms.
    """
    one, other = a.as_powers_dict(), b.as_powers_dict()
    shared = [base for base in one if not base.is_number and one[base] == other.get(base)]
    if a == 0 or b == 0 or not shared:
        return a + b
    rest = (sympy.Mul(*(sympy.Pow(base, e) for base, e in d.items() if base not in shared)) for d in (one, other))
    return sympy.Mul(*(sympy.Pow(base, one[base]) for base in shared), sympy.Add(*rest))


_OPERATIONS: dict[str, Callable] = {
    **{name: getattr(operator, name) for name in ("add", "sub", "mul", "neg")},
    "add_any": _gathered,
    "div": operator.truediv,
    "rem": lambda a, b: sympy.sign(a) * sympy.Mod(sympy.Abs(a), sympy.Abs(b)),
    **dict.fromkeys(("pow", "integer_pow"), operator.pow),
    "square": lambda a: a**2,
    "sum": sympy.Add,
    "prod": sympy.Mul,
    "max": extreme_of("max"),
    "min": extreme_of("min"),
    "logsumexp": lambda *entries: sympy.log(sympy.Add(*map(sympy.exp, entries))),
    "abs": sympy.Abs,
    "ceil": sympy.ceiling,
    "truncate": lambda a: sympy.sign(a) * sympy.floor(sympy.Abs(a)),
    "round": _round,
    "is_finite": lambda a: sympy.false if a in (sympy.oo, -sympy.oo, sympy.nan, sympy.zoo) else sympy.true,
    "wrapped": wrapped,
    "exp2": lambda a: 2**a,
    "log2": lambda a: sympy.log(a) / sympy.log(2),
    "bell": lambda a: sympy.exp(-(a**2)),
    "one_minus_square": lambda a: 1 - a**2,
    "log1p": lambda a: sympy.log(1 + a),
    "expm1": lambda a: sympy.exp(a) - 1,
    "logistic": lambda a: 1 / (1 + sympy.exp(-a)),
    **{name: getattr(sympy, name) for name in ("sin", "cos", "tan", "asin", "acos", "atan", "atan2")},
    **{name: getattr(sympy, name) for name in ("sinh", "cosh", "tanh", "asinh", "acosh", "atanh")},
    **{name: getattr(sympy, name) for name in ("sign", "floor", "sqrt", "exp", "log")},
    **{name: getattr(sympy, name) for name in ("erf", "erfc", "digamma", "polygamma", "zeta")},
    "erf_inv": sympy.erfinv,
    "rsqrt": lambda a: 1 / sympy.sqrt(a),
    "cbrt": lambda a: sympy.sign(a) * sympy.Pow(sympy.Abs(a), sympy.Rational(1, 3)),
    "lgamma": lambda a: sympy.log(sympy.Abs(sympy.gamma(a))),
    "igamma": lambda a, x: sympy.lowergamma(a, x) / sympy.gamma(a),
    "igammac": lambda a, x: sympy.uppergamma(a, x) / sympy.gamma(a),
    "bessel_i0e": lambda a: sympy.exp(-sympy.Abs(a)) * sympy.besseli(0, a),
    "bessel_i1e": lambda a: sympy.exp(-sympy.Abs(a)) * sympy.besseli(1, a),
    **{name: comparison(name) for name in ("eq", "ne", "lt", "le", "gt", "ge")},
    **dict.fromkeys(("bitwise_and", "and"), sympy.And),
    **dict.fromkeys(("bitwise_or", "or"), sympy.Or),
    "bitwise_not": sympy.Not,
    "bitwise_xor": sympy.Xor,
}

_GUARDED = {name: with_exceptions(name, function) for name, function in _OPERATIONS.items()}
_TRUTH = (sympy.true, sympy.false)


def symbolic(precision: Mapping[Any, int] = MappingProxyType({})) -> Arithmetic:
    """Return the arithmetic of SymPy expressions, which refuses those that become too long.

    `precision` says how many binary digits each symbol has.

    Symbols stand for finite real numbers. Comparisons and cases are left as they are written: SymPy is not asked to
    decide them.
    """
    sizes: dict[sympy.Basic, int] = {}
    return Arithmetic(
        constant=_constant,
        operations={**_GUARDED, "rounded": with_exceptions("rounded", rounded(precision))},
        is_known=lambda entry: not isinstance(entry, Guarded) and (entry.is_Integer or entry in _TRUTH),
        select=select_with_exceptions(select),
        refusal=_refusal,
        inspect=lambda entry: check_length(expression_of(entry), sizes),
        limit=STEPS,
        too_many=TOO_MANY,
    )


def symbols(name: str, shape: Sequence[int]) -> Entries:
    """Return an array of symbols. `X__2` is X², `X__2_1` its first entry: SymPy sets these as X²₁."""
    found = np.empty(shape, object)
    for index in np.ndindex(*shape):
        found[index] = sympy.Symbol("_".join([name, *(str(i + 1) for i in index)]))
    return found


def check_count(count: int) -> None:
    """Refuse more symbols than formulas are written out of."""
    if count > LIMIT:
        raise FormulaError(
            f"The arguments hold {count:,} numbers, and formulas of more than {LIMIT:,} symbols are not written out;"
            " give smaller arrays, or see `jw.formulas`, which goes tensor by tensor for layers of any size."
        )
