"""Regions: sets of points, each all that some conditions hold at, and where an expression is zero or negative."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, TypeAlias

import sympy
from sympy.core.relational import Relational

from .bounds import bounds_of
from .cases import branches_of

Region: TypeAlias = frozenset  # of conditions that all hold; of none: everywhere
EVERYWHERE: Region = frozenset()
_SIGNS = {"==": {0}, "!=": {1, -1}, ">": {1}, ">=": {0, 1}, "<": {-1}, "<=": {-1, 0}}  # of lhs - rhs


def joined(region: Region, *conditions: Any) -> Region | None:
    """Return the part of a region where conditions hold too, or None if they hold nowhere in it."""
    for condition in conditions:
        holds = decided(condition, region)
        if holds is False:
            return None
        if holds is None:
            implied = {c for c in region if decided(c, frozenset([condition]))}
            region = (region - implied) | {condition}
    return region


def decided(condition: Any, region: Region) -> bool | None:
    """Tell whether a condition holds in all of a region, or nowhere in it; None: neither is known."""
    if condition in (True, sympy.true, sympy.false, False) or condition in region:
        return bool(condition in region or condition == True)  # noqa: E712 (SymPy's true is no bool)
    if isinstance(condition, sympy.Not):
        holds = decided(condition.args[0], region)
        return None if holds is None else not holds
    if isinstance(condition, (sympy.And, sympy.Or)):
        parts = [decided(c, region) for c in condition.args]
        decisive = isinstance(condition, sympy.Or)
        return decisive if decisive in parts else None if None in parts else not decisive
    if sympy.Not(condition) in region:
        return False
    if not isinstance(condition, Relational):
        return None
    base, signs = compared(condition)
    for other in region:
        if isinstance(other, Relational) and compared(other)[0] == base:
            possible = compared(other)[1]
            if possible <= signs or not possible & signs:
                return possible <= signs
    return None


@functools.lru_cache(maxsize=100_000)
def compared(relation: Any) -> tuple[Any, frozenset[int]]:
    """Return what a relation compares with 0, less a positive factor, and the signs that it may have."""
    content, base = (relation.lhs - relation.rhs).primitive()
    signs = _SIGNS[relation.rel_op]
    if (content < 0) != base.could_extract_minus_sign():
        return (base if content < 0 else -base), frozenset(-s for s in signs)
    return (-base if content < 0 else base), frozenset(signs)


def as_condition(regions: Iterable[Region]) -> Any:
    """Return the condition of being in one of several regions; less than 0, or 0, is written as at most 0."""
    regions = list(regions)
    found: list[Region] = []
    for region in [r for r in regions if not any(other < r for other in regions)]:
        for other in found:
            rest = {c for c in region ^ other if isinstance(c, Relational)}
            if len(region ^ other) == 2 == len(rest) and len({compared(c)[0] for c in rest}) == 1:
                found[found.index(other)] = (region & other) | {_either(*sorted(rest, key=sympy.default_sort_key))}
                break
        else:
            found.append(region)
    return sympy.Or(*(sympy.And(*region) for region in found))


def _either(one: Any, other: Any) -> Any:
    signs = compared(one)[1] | compared(other)[1]
    base, kind = compared(one)[0], {frozenset({0, 1}): sympy.Ge, frozenset({0, -1}): sympy.Le}.get(frozenset(signs))
    return sympy.Or(one, other) if kind is None else kind(base, 0, evaluate=False)


def sign_of(e: Any) -> frozenset[int]:
    """Return the signs that an expression may have, at real values of its symbols."""
    return frozenset([1 if e == sympy.oo else -1]) if e in (sympy.oo, -sympy.oo) else bounds_of(e).signs


@functools.lru_cache(maxsize=100_000)
def where_zero(e: Any) -> tuple[Region, ...]:
    """Return the regions where an expression is 0."""
    return _where(e, 0)


@functools.lru_cache(maxsize=100_000)
def where_negative(e: Any) -> tuple[Region, ...]:
    """Return the regions where an expression is less than 0."""
    return _where(e, -1)


def _where(e: Any, sign: int) -> tuple[Region, ...]:
    possible = sign_of(e)
    if sign not in possible:
        return ()
    if possible == {sign}:
        return (EVERYWHERE,)
    if branches := branches_of(e):
        found, others = [], EVERYWHERE
        for value, condition in branches:
            inside = None if others is None else joined(others, condition)
            parts = [] if inside is None else [joined(inside, *region) for region in _where(value, sign)]
            found += [part for part in parts if part is not None]
            others = None if others is None else joined(others, sympy.Not(condition))
        return tuple(found)
    if sign == 0 and e.is_Mul:
        return tuple(dict.fromkeys(region for a in e.args for region in _where(a, 0)))
    if sign == 0 and e.is_Pow and e.args[1].is_negative:
        return ()
    if sign == 0 and (isinstance(e, sympy.Abs) or e.is_Pow):
        return _where(e.args[0], 0)
    if sign < 0 and e.is_Mul:  # positive factors leave the sign as it is
        e = sympy.Mul(*(a for a in e.args if sign_of(a) != {1}))
    if sign < 0 and e.is_Pow and e.exp.is_Integer:  # odd, as it may be negative
        return _where(e.base, -1)
    base, signs = compared((sympy.Eq if sign == 0 else sympy.Lt)(e, 0, evaluate=False))
    kind = sympy.Eq if sign == 0 else sympy.Lt if signs == {-1} else sympy.Gt
    return (frozenset([_moved(base, kind)]),)


def _moved(base: Any, kind: Any) -> Any:
    """Write x + 1 < 0 as x < -1."""
    number, rest = base.as_independent(*base.free_symbols, as_Add=True)
    return kind(rest, -number, evaluate=False) if number.is_Number and number != 0 else kind(base, 0, evaluate=False)
