"""SymPy's side: entries that are SymPy expressions, and what can be done with them."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from types import ModuleType
from typing import Any

import numpy as np

from ._entries import Arithmetic, Unsupported
from ._errors import FormulaError
from ._fractions import is_short, shortest_decimal, simplest

LIMIT = 2_000  # symbols
STEPS = 200_000  # operations on entries
PRINTABLE = 20_000  # parts of a formula


def sympy() -> ModuleType:
    """SymPy, or an error that says how to install it."""
    try:
        import sympy
    except ImportError as error:
        raise FormulaError("Formulas need SymPy; install it: pip install 'jaxwalk[formula]'.") from error
    return sympy


def refusal(met: str, why: str) -> str:
    return (
        f"{met} has no formula: {why}; leave it out of the function, or see `jw.formulas`, which goes tensor by tensor"
        " and prints the names of such steps."
    )


TOO_MANY = (
    f"The formula takes more than {STEPS:,} operations on single entries; ask for smaller arrays, or see `jw.formulas`,"
    " which goes tensor by tensor for layers of any size."
)


def check_length(expression: Any, sizes: dict[Any, int]) -> None:
    """Refuses an expression that is too long to print. `sizes` holds those that are known.

    Each part counts as often as it is written. What a function uses twice is written twice, so that some functions
    of few operations have formulas that no computer can hold: this must be seen while the formula grows.
    """
    stack = [expression]
    while stack:
        node = stack[-1]
        if node in sizes:
            stack.pop()
        elif missing := [a for a in node.args if a not in sizes]:
            stack += missing
        else:
            sizes[stack.pop()] = 1 + sum(sizes[a] for a in node.args)
    if sizes[expression] > PRINTABLE:
        raise FormulaError(
            f"The formula, written out, has more than {PRINTABLE:,} parts, because it repeats what it uses twice; ask"
            " for fewer layers at a time, or see `jw.formulas`, which gives each layer a formula of its own."
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


# Cases ----------------------------------------------------------------------------------------------------


def cases(*pairs: tuple[Any, Any]) -> Any:
    """A Piecewise that stays as it is written: its own constructor would rewrite conditions that hold cases."""
    s = sympy()
    kind = s.functions.elementary.piecewise.ExprCondPair
    made = [s.Tuple.__new__(kind, value, s.true if condition is True else condition) for value, condition in pairs]
    return s.Basic.__new__(s.Piecewise, *made)


def rebuilt(node: Any, args: Sequence[Any]) -> Any:
    """A node with other arguments, as it is written: no condition is decided, no cases are joined."""
    s = sympy()
    if tuple(args) == node.args:
        return node
    if isinstance(node, s.Piecewise):
        return cases(*(pair.args for pair in args))
    if isinstance(node, s.functions.elementary.piecewise.ExprCondPair):
        return s.Tuple(*args)
    if isinstance(node, (s.Max, s.Min, s.core.relational.Relational)):
        return node.func(*args, evaluate=False)
    return node.func(*args)


def replaced(node: Any, to: dict[Any, Any]) -> Any:
    """An expression with parts replaced, each different part once."""
    done = dict(to)

    def replace(part: Any) -> Any:
        if part not in done:
            done[part] = rebuilt(part, [replace(a) for a in part.args]) if part.args else part
        return done[part]

    return replace(node)


def select(which: Any, values: Sequence[Any]) -> Any:
    """`values[which]`: cases, if that is not known."""
    s = sympy()
    if which in (s.true, s.false):
        return values[which == s.true]
    if which.is_Integer:
        return values[int(which)]
    if len(values) == 2:
        condition = truth(which)
        if values[0] == values[1]:
            return values[0]
        no, yes = _within(values[0], condition, False), _within(values[1], condition, True)
        return cases((yes, condition), (no, True))
    last = len(values) - 1
    return cases(*((v, s.Eq(which, i, evaluate=False)) for i, v in enumerate(values[:last])), (values[last], True))


def truth(entry: Any) -> Any:
    """A condition; of the number that one was made into, the condition."""
    s = sympy()
    if isinstance(entry, s.Piecewise) and len(entry.args) == 2:
        (yes, condition), (no, _) = entry.args
        if (yes, no) == (1, 0):
            return condition
        if (yes, no) == (0, 1):
            return s.Not(condition)
    return entry


def _within(entry: Any, condition: Any, holds: bool) -> Any:
    """An entry inside a case: of its own cases under the same condition, the one that applies."""
    if isinstance(entry, sympy().Piecewise) and len(entry.args) == 2 and entry.args[0][1] == condition:
        return entry.args[0][0] if holds else entry.args[1][0]
    return entry


def _compare(name: str) -> Callable:
    def compare(a: Any, b: Any) -> Any:
        s = sympy()
        relation = {"eq": s.Eq, "ne": s.Ne, "lt": s.Lt, "le": s.Le, "gt": s.Gt, "ge": s.Ge}[name]
        if a == b:
            return s.true if name in ("eq", "le", "ge") else s.false
        if (a.is_Number or a.is_infinite) and (b.is_Number or b.is_infinite):
            return relation(a, b)
        if b.is_Integer and isinstance(a, s.Piecewise) and all(v.is_Number for v, _ in a.args):
            return _holding(a, lambda value: relation(value, b) == s.true)
        for one, other in ((a, b), (b, a)):
            if other in (s.oo, -s.oo):  # a symbol is finite
                below = (other == s.oo) == (one is a)
                holds = {"eq": False, "ne": True, "lt": below, "le": below}.get(name, not below)
                return s.true if holds else s.false
        if name in ("eq", "ne") and (found := _attained(a, b)) is not None:
            return found if name == "eq" else s.Not(found)
        if a.is_Number:  # X >= 0, not 0 <= X
            return relation(a, b, evaluate=False).reversed
        return relation(a, b, evaluate=False)

    return compare


def _holding(piecewise: Any, test: Callable) -> Any:
    """When cases of numbers are such that a test holds."""
    s = sympy()
    earlier, found = [], []
    for value, condition in piecewise.args:
        if test(value):
            found.append(s.And(*(s.Not(c) for c in earlier), condition))
        earlier.append(condition)
    return s.Or(*found)


def _attained(a: Any, b: Any) -> Any:
    """Whether a is the maximum b of several, one of them a: whether no other is larger."""
    s = sympy()
    for one, extreme in ((a, b), (b, a)):
        if isinstance(extreme, (s.Max, s.Min)):
            better = _compare("ge" if isinstance(extreme, s.Max) else "le")
            if one in extreme.args:
                return s.And(*(better(one, other) for other in extreme.args if other != one))
    return None


def _extreme(name: str) -> Callable:
    def extreme(*entries: Any) -> Any:
        s = sympy()
        kind = {"max": s.Max, "min": s.Min}[name]
        worst = -s.oo if name == "max" else s.oo
        flat: dict[Any, None] = {}
        for entry in entries:
            flat.update(dict.fromkeys(entry.args if isinstance(entry, kind) else [entry]))
        numbers = [e for e in flat if e.is_Number or e in (s.oo, -s.oo)]
        rest = [e for e in flat if e not in numbers]
        numbers = [] if not numbers else [n for n in [kind(*numbers)] if n != worst or not rest]
        if numbers and numbers[0] == -worst:
            return numbers[0]
        found = numbers + rest
        return found[0] if len(found) == 1 else kind(*found, evaluate=False)

    return extreme


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
        "max": _extreme("max"),
        "min": _extreme("min"),
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
        **{name: _compare(name) for name in ("eq", "ne", "lt", "le", "gt", "ge")},
        "bitwise_and": s.And,
        "bitwise_or": s.Or,
        "bitwise_not": s.Not,
        "bitwise_xor": s.Xor,
        "and": s.And,
        "or": s.Or,
    }
