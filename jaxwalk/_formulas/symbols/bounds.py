"""Between which numbers an expression lies, at real values of its symbols."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import sympy

from .cases import branches_of, counts_the_largest


class Bounds(NamedTuple):
    """A lower and an upper bound, and whether each is attained."""

    low: Any
    high: Any
    has_low: bool = False
    has_high: bool = False

    @property
    def signs(self) -> frozenset[int]:
        """Return the signs that a number between the bounds may have."""
        below, above = self.low < 0, self.high > 0
        has_zero = (below or (self.low == 0 and self.has_low)) and (above or (self.high == 0 and self.has_high))
        return frozenset(s for s, holds in ((-1, below), (0, has_zero), (1, above)) if holds)


ZERO, ONE, MORE = sympy.S.Zero, sympy.S.One, sympy.oo
ANY = Bounds(-MORE, MORE)
POSITIVE, NONNEGATIVE = Bounds(ZERO, MORE), Bounds(ZERO, MORE, True)
_OF_FUNCTIONS = {
    sympy.exp: POSITIVE,
    sympy.cosh: Bounds(ONE, MORE, True),
    sympy.tanh: Bounds(-ONE, ONE),
    sympy.erf: Bounds(-ONE, ONE),
    sympy.erfc: Bounds(ZERO, 2 * ONE),
    sympy.sin: Bounds(-ONE, ONE, True, True),
    sympy.cos: Bounds(-ONE, ONE, True, True),
    sympy.sign: Bounds(-ONE, ONE, True, True),
}


@functools.lru_cache(maxsize=100_000)
def bounds_of(e: Any) -> Bounds:
    """Return bounds of an expression; they need not be tight."""
    if e.is_Number or e.is_NumberSymbol:
        return Bounds(e, e, True, True) if e.is_extended_real else ANY
    if e.func in _OF_FUNCTIONS:
        return _OF_FUNCTIONS[e.func]
    if branches := branches_of(e):
        return _union([bounds_of(value) for value, _ in branches])
    if e.is_Pow:
        return _of_power(bounds_of(e.args[0]), e.args[1])
    if not isinstance(e, (sympy.Add, sympy.Mul, sympy.Max, sympy.Min, sympy.Abs)):
        return ANY
    of = [bounds_of(a) for a in e.args]
    if isinstance(e, sympy.Abs):
        return NONNEGATIVE if 0 in of[0].signs else POSITIVE
    if isinstance(e, sympy.Add):
        return Bounds(ONE, MORE, True) if counts_the_largest(e) else functools.reduce(_sum, of)
    if isinstance(e, sympy.Mul):
        return functools.reduce(_product, of)
    return _extreme(of, 1 if isinstance(e, sympy.Max) else -1)


def _sum(a: Bounds, b: Bounds) -> Bounds:
    return Bounds(a.low + b.low, a.high + b.high, a.has_low and b.has_low, a.has_high and b.has_high)


def _product(a: Bounds, b: Bounds) -> Bounds:
    ends = [((a.low, a.has_low), (a.high, a.has_high)), ((b.low, b.has_low), (b.high, b.has_high))]
    products: dict[Any, bool] = {}
    for (x, has_x), (y, has_y) in itertools.product(*ends):
        is_zero = (x == 0 and has_x) or (y == 0 and has_y)
        product = ZERO if 0 in (x, y) else x * y
        products[product] = products.get(product, False) or is_zero or (has_x and has_y)
    low, high = min(products), max(products)
    return Bounds(low, high, products[low], products[high])


def _union(of: Sequence[Bounds]) -> Bounds:
    low, high = min(b.low for b in of), max(b.high for b in of)
    return Bounds(low, high, any(b.has_low for b in of if b.low == low), any(b.has_high for b in of if b.high == high))


def _extreme(of: Sequence[Bounds], sign: int) -> Bounds:
    """Return bounds of the largest of several (sign 1), or of the smallest."""
    if sign < 0:
        found = _extreme([Bounds(-b.high, -b.low, b.has_high, b.has_low) for b in of], 1)
        return Bounds(-found.high, -found.low, found.has_high, found.has_low)
    low, high = max(b.low for b in of), max(b.high for b in of)
    return Bounds(low, high, all(b.has_low for b in of if b.low == low), any(b.has_high for b in of if b.high == high))


def _of_power(base: Bounds, exponent: Any) -> Bounds:
    signs = base.signs
    if not exponent.is_Integer:
        is_positive = signs == {1} or (exponent.is_Number and exponent < 0)
        return POSITIVE if is_positive else NONNEGATIVE if exponent.is_Number else ANY
    if exponent > 0 and exponent % 2:
        return base._replace(low=base.low**exponent, high=base.high**exponent)
    if exponent > 0:
        ends = (abs(base.low), base.has_low), (abs(base.high), base.has_high)
        (low, has_low), (high, has_high) = sorted(ends, key=lambda end: (end[0], end[1]))
        crosses = {1, -1} <= signs
        return Bounds(ZERO if crosses else low**exponent, high**exponent, has_low or crosses, has_high)
    if signs == {1}:
        low, high = base.high**exponent, MORE if base.low == 0 else base.low**exponent
        return Bounds(low, high, base.has_high, base.has_low)
    if exponent % 2 == 0 or -1 not in signs:
        return POSITIVE
    return Bounds(-MORE, ZERO) if 1 not in signs else ANY
