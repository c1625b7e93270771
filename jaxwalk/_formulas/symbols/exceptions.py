"""Entries that are no finite number everywhere: what JAX gives there, whatever becomes of their formulas.

A symbol stands for a finite number, but log(x) is NaN where x < 0, and exp(log(x)), which SymPy makes x, is so too.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import sympy

from .cases import branches_of, replaced, truth
from .regions import EVERYWHERE, Region, as_condition, decided, joined, sign_of, where_negative, where_zero

UNDEFINED = sympy.Symbol("undefined")  # the function meets a NaN or an infinity, and what it makes of it is not told
ASKED = sympy.Symbol("undefined", real=True)  # the same, and what is left of the formula does not show it
NAN, INFINITY, UNSIGNED = sympy.nan, sympy.oo, sympy.zoo
MANY = 8  # operands with exceptions of their own
INFINITE = {INFINITY, -INFINITY, UNSIGNED}
COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")
Exceptions = Sequence[tuple[Region, Any]]


@dataclasses.dataclass(frozen=True, slots=True)
class Guarded:
    """An expression, and regions where JAX gives something else, in order: of two that overlap the first counts."""

    expression: Any
    exceptions: tuple[tuple[Region, Any], ...]

    def at(self, region: Region) -> Any:
        """Return what is given in a region, or None if that differs in parts of it."""
        for where, value in self.exceptions:
            if where <= region:
                return value
        is_elsewhere = all(joined(region, *where) is None for where, _ in self.exceptions)
        return restricted(self.expression, region) if is_elsewhere else None


def expression_of(entry: Any) -> Any:
    return entry.expression if isinstance(entry, Guarded) else entry


def exceptions_of(entry: Any) -> Exceptions:
    return entry.exceptions if isinstance(entry, Guarded) else ()


def guarded(expression: Any, exceptions: Iterable[tuple[Region | None, Any]]) -> Any:
    """Return an entry; of a truth value the exceptions become part of the condition, where all are known."""
    found: dict[Region, Any] = {}
    for region, value in exceptions:
        is_known = region is None or region in found or any(frozenset([c]) in found for c in region)
        if EVERYWHERE not in found and not is_known:
            found[region] = value  # type: ignore[invalid-assignment]
    if EVERYWHERE in found:
        expression = found.pop(EVERYWHERE)
    if expression in (sympy.true, sympy.false):
        told = {r: found.pop(r) for r in list(found) if found[r] in (sympy.true, sympy.false)}
        for value, group in reversed([(v, list(g)) for v, g in itertools.groupby(told, told.get)]):
            inside = as_condition(group)
            expression = sympy.Or(inside, expression) if value else sympy.And(sympy.Not(inside), expression)
    return Guarded(expression, tuple(found.items())) if found else expression


def restricted(expression: Any, region: Region) -> Any:
    """Return an expression as it is in a region: of its cases those that apply, numbers for parts that are one."""
    if not expression.args:
        return _numbers(region).get(expression, expression)
    chosen = {}
    for node in expression.atoms(sympy.Piecewise):
        for value, condition in branches_of(node):
            holds = decided(condition, region)
            if holds is not False:
                if holds:
                    chosen[node] = restricted(value, region)
                break
    expression = replaced(expression, chosen) if chosen else expression
    numbers = _numbers(region)
    found = replaced(expression, numbers) if numbers else expression
    return expression if found.has(NAN, UNSIGNED) else found


def _numbers(region: Region) -> dict[Any, Any]:
    return {c.lhs: c.rhs for c in region if isinstance(c, sympy.Eq) and c.rhs.is_Number}


# What is no number where: of the operands, regions and what JAX gives there, in order -------------------------


def _everywhere(regions: Iterable[Region], value: Any) -> list[tuple[Region, Any]]:
    return [(region, value) for region in regions]


def _log(a: Any) -> Exceptions:
    return _everywhere(where_negative(a), NAN) + _everywhere(where_zero(a), -INFINITY)


def _div(a: Any, b: Any) -> Exceptions:
    zeros = where_zero(b)
    of_both = [joined(r, *other) for r in zeros for other in where_zero(a)]
    signs = sign_of(a)
    is_signed = len(signs) == 1 and (b.is_Symbol or -1 not in sign_of(b))  # the zero of a symbol is +0
    infinity = UNSIGNED if not is_signed else INFINITY * next(iter(signs)) if signs != {0} else NAN
    return [*((r, NAN) for r in of_both if r is not None), *_everywhere(zeros, infinity)]


def _pow(a: Any, b: Any) -> Exceptions:
    negative = [] if b.is_Integer else _everywhere(where_negative(a), NAN if b.is_Number else UNDEFINED)
    is_signed = a.is_Symbol or -1 not in sign_of(a) or b.is_even
    zeros = [joined(r, *other) for r in where_zero(a) for other in where_negative(b)]
    return [*negative, *((r, INFINITY if is_signed else UNSIGNED) for r in zeros if r is not None)]


def _outside(a: Any, at_ends: bool) -> Exceptions:
    """Return what is given where |a| > 1, and at -1 and 1 if that is infinite."""
    found = _everywhere([*where_negative(1 - a), *where_negative(1 + a)], NAN)
    ends = _everywhere(where_zero(1 - a), INFINITY) + _everywhere(where_zero(1 + a), -INFINITY)
    return found + ends if at_ends else found


def _gamma(*args: Any) -> Exceptions:
    return _everywhere([*where_negative(args[-1]), *where_zero(args[-1])], UNDEFINED)


def _times(*factors: Any) -> Exceptions:
    """Return what becomes of an infinity among factors: NaN where another is 0."""
    if not any(f in INFINITE for f in factors):
        return ()
    return _everywhere([r for f in factors if f not in INFINITE for r in where_zero(f)], NAN)


PARTIAL: dict[str, Callable[..., Exceptions]] = {
    **dict.fromkeys(("log", "log2"), _log),
    "log1p": lambda a: _log(1 + a),
    "sqrt": lambda a: _everywhere(where_negative(a), NAN),
    "rsqrt": lambda a: _everywhere(where_negative(a), NAN) + _everywhere(where_zero(a), INFINITY),
    "div": _div,
    **dict.fromkeys(("pow", "integer_pow"), _pow),
    **dict.fromkeys(("asin", "acos"), lambda a: _outside(a, at_ends=False)),
    **dict.fromkeys(("atanh", "erf_inv"), lambda a: _outside(a, at_ends=True)),
    "acosh": lambda a: _everywhere(where_negative(a - 1), NAN),
    **dict.fromkeys(("lgamma", "digamma"), _gamma),
    "rem": lambda a, b: _everywhere(where_zero(b), NAN),
    **dict.fromkeys(("mul", "prod"), _times),
}


# Operations on entries that have exceptions --------------------------------------------------------------------


def with_exceptions(name: str, function: Callable) -> Callable:
    """Return an operation of expressions as one of entries, some of which have exceptions."""
    of_operands = PARTIAL.get(name, lambda *_: ())

    def apply(*entries: Any) -> Any:
        entries = tuple(sympy.Integer(e) if type(e) is int else e for e in entries)
        expressions = [expression_of(e) for e in entries]
        result = function(*expressions)
        exceptions = [*_inherited(name, at_values, entries), *of_operands(*expressions)]
        if result in (sympy.true, sympy.false):  # the formula does not show what was asked
            exceptions = [(region, ASKED if value is UNDEFINED else value) for region, value in exceptions]
        return guarded(result, exceptions) if exceptions else result

    def at_values(*values: Any) -> Any:
        """Compute at NaN and infinities."""
        if UNDEFINED in values or ASKED in values:
            return ASKED if ASKED in values else UNDEFINED
        if name in COMPARISONS:
            return _compared(name, function, *values)
        if name == "is_finite":
            return sympy.false if values[0] in (NAN, INFINITY, -INFINITY, UNSIGNED) else sympy.true
        if NAN in values:
            return NAN
        own = () if UNSIGNED in values else of_operands(*values)
        return guarded(_computed(name, function, values), own)

    return apply


def _computed(name: str, function: Callable, values: Sequence[Any]) -> Any:
    """Return what an operation gives where some operands are infinite, and none is NaN."""
    infinite = [v for v in values if v in INFINITE]
    if name in ("add", "add_any", "sum", "sub") and infinite:
        signed = [-v if name == "sub" and i else v for i, v in enumerate(values) if v in INFINITE]
        return signed[0] if len(signed) == 1 else NAN if UNSIGNED not in signed and len(set(signed)) > 1 else UNDEFINED
    if infinite and (name in ("mul", "prod") or (name == "div" and values[1] not in INFINITE)):
        signs = [sign_of(v) for v in values if v != UNSIGNED]
        is_known = UNSIGNED not in values and all(len(s) == 1 for s in signs)
        return sympy.prod([INFINITY, *(next(iter(s)) for s in signs)]) if is_known else UNSIGNED
    if UNSIGNED in values:
        return {"neg": UNSIGNED, "abs": INFINITY, "square": INFINITY}.get(name, UNDEFINED)
    found = function(*values)
    is_told = found in (INFINITY, -INFINITY, NAN) or not found.has(*INFINITE, NAN, sympy.I, sympy.AccumBounds)
    return found if is_told else UNDEFINED


def _compared(name: str, function: Callable, a: Any, b: Any) -> Any:
    if NAN in (a, b):
        return sympy.true if name == "ne" else sympy.false
    if a == b:
        return sympy.true if name in ("eq", "le", "ge") else sympy.false
    if UNSIGNED in (a, b):
        is_equal = None if {INFINITY, -INFINITY} & {a, b} or name not in ("eq", "ne") else name == "ne"
        return UNDEFINED if is_equal is None else sympy.true if is_equal else sympy.false
    return function(a, b)


def _inherited(name: str, at_values: Callable, entries: Sequence[Any]) -> list[tuple[Region | None, Any]]:
    """Return the exceptions of a result that come of those of its operands."""
    found: list[tuple[Region | None, Any]] = []
    tables = [dict(exceptions_of(e)) for e in entries]
    are_many = sum(map(bool, tables)) > MANY
    for region in dict.fromkeys(r for table in tables for r in table):
        own = [table.get(region) for table in tables]
        if NAN in own and name not in COMPARISONS and name != "is_finite":
            found.append((region, NAN))
            continue
        if are_many:  # each pair of them would be looked at
            found.append((region, UNDEFINED))
            continue
        values = [e.at(region) if isinstance(e, Guarded) else restricted(e, region) for e in entries]
        value = UNDEFINED if None in values else at_values(*values)
        found += [(joined(region, *where), v) for where, v in exceptions_of(value)]
        found.append((region, expression_of(value)))
    return sorted(found, key=lambda pair: pair[1] != NAN) if len(entries) > 1 else found


def select_with_exceptions(select: Callable) -> Callable:
    def apply(which: Any, values: Sequence[Any]) -> Any:
        condition = expression_of(which)
        if not isinstance(which, Guarded) and (condition in (sympy.true, sympy.false) or condition.is_Integer):
            return _taken(condition, values)
        found: list[tuple[Region | None, Any]] = []
        for region, taken in exceptions_of(which):
            value = taken if taken in (UNDEFINED, ASKED) else _taken(taken, values)
            found += [(joined(region, *where), v) for where, v in exceptions_of(value)]
            found.append((region, restricted(expression_of(value), region)))
        for i, value in enumerate(values):
            is_two = len(values) == 2
            condition = truth(condition) if is_two else condition
            inside = (condition if i else sympy.Not(condition)) if is_two else sympy.Eq(condition, i, evaluate=False)
            found += [(joined(region, inside), v) for region, v in exceptions_of(value)]
        return guarded(select(condition, [expression_of(v) for v in values]), found)

    return apply


def _taken(which: Any, values: Sequence[Any]) -> Any:
    return values[which == sympy.true] if which in (sympy.true, sympy.false) else values[int(which)]
