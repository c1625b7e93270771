"""Making terms, formulas of whole tensors as a graph of small records, by the rules that make them recognisable.

A term of shape () may stand where NumPy would broadcast it; `spread` marks a value that was broadcast, and is dropped
where NumPy broadcasts by itself. Axes are counted from 0, as NumPy does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..conversions import digits
from ..entries.fractions import is_short, shortest_decimal, simplest
from .patterns import conjugates, softmax_axes, softmax_back, softmax_in
from .shapes import relabelled, unit_axes, without
from .term import Shape, Term, is_finite, is_number, unspread
from .windows import Convolution


class TermBuilder:
    """Makes terms; two that say the same are one object."""

    def __init__(self, constants: list[Any] | None = None) -> None:
        self._known: dict[Any, Term] = {}
        self.constants = [] if constants is None else constants  # arrays that have no short way to be written
        self.replaced: dict[Term, Term] = {}  # values that have a name of their own
        self._digits: dict[Term, int] = {}  # binary digits of a term that are those of an input

    def make(self, op: str, args: Sequence[Term], shape: Sequence[int], detail: Any = None) -> Term:
        shape = tuple(int(n) for n in shape)
        term = self._known.setdefault((op, tuple(map(id, args)), shape, detail), Term(op, tuple(args), shape, detail))
        return self.replaced.get(term, term)

    def variable(self, name: Any, type: jax.ShapeDtypeStruct) -> Term:
        term = self.make("variable", (), type.shape, name)
        self._digits[term] = digits(type.dtype)
        return term

    def number(self, value: Any) -> Term:
        return self.make("number", (), (), value)

    def constant(self, array: Any) -> Term:
        """Return an array as one number that was spread, if it is that, and else under a name of its own."""
        if not jnp.issubdtype(array.dtype, jax.dtypes.extended):  # as random keys are
            array = np.asarray(array)
            if array.size and array.dtype.kind != "c" and np.all(array == array.flat[0]):
                return self.spread(self.number(_number(array.flat[0])), array.shape)
            for i, known in enumerate(self.constants, 1):
                if known.shape == array.shape and known.dtype == array.dtype and np.array_equal(known, array):
                    return self.make("constant", (), array.shape, i)
        self.constants.append(array)
        return self.make("constant", (), array.shape, len(self.constants))

    # Shapes

    def spread(self, x: Term, shape: Sequence[int]) -> Term:
        x = unspread(x)
        return x if x.shape == tuple(shape) else self.make("spread", (x,), shape)

    def expanded(self, x: Term, axes: Shape, shape: Sequence[int]) -> Term:
        """Put in axes of length 1; a sum that left them out keeps them instead."""
        shape = tuple(shape)
        if x.shape == shape:
            return x
        if _is_spread_number(x):
            return self.spread(x, shape)
        if x.op == "reduce" and not x.detail[2] and x.detail[1] == axes:
            return self.make("reduce", x.args, shape, (x.detail[0], axes, True))
        if x.op == "negative" and (inner := self.expanded(x.args[0], axes, shape)).op != "expand":
            return self.negative(inner)
        if x.op == "reshape" and x.args[0].shape == shape:  # axes of length 1 taken out and put in again
            return x.args[0]
        return self.make("expand", (x,), shape, axes)

    def reshaped(self, x: Term, shape: Sequence[int]) -> Term:
        shape = tuple(shape)
        if x.shape == shape:
            return x
        if _is_spread_number(x):
            return self.spread(x, shape)
        if x.op == "negative":
            return self.negative(self.reshaped(x.args[0], shape))
        if x.op == "expand" and x.args[0].shape == shape:
            return x.args[0]
        if x.op == "reduce" and x.detail[2] and shape == without(x.shape, x.detail[1]):
            return self.make("reduce", x.args, shape, (*x.detail[:2], False))
        new = unit_axes(x.shape, shape)
        if new is not None:
            return self.expanded(x, new, shape)
        return self.make("reshape", (x,), shape)

    def transposed(self, x: Term, permutation: Shape) -> Term:
        shape = tuple(x.shape[i] for i in permutation)
        if permutation == tuple(range(len(shape))):
            return x
        if _is_spread_number(x):
            return self.spread(x, shape)
        if x.op == "transpose":
            return self.transposed(x.args[0], tuple(x.detail[i] for i in permutation))
        if x.op == "einsum":
            a, b, out = x.detail
            return self.make("einsum", x.args, shape, relabelled(a, b, "".join(out[i] for i in permutation)))
        if x.op == "windows" and isinstance(x.detail, Convolution):
            return self.make("windows", x.args, shape, x.detail.transposed(permutation))
        return self.make("transpose", (x,), shape, permutation)

    def product(self, x: Term, y: Term, letters: tuple[str, str, str], shape: Sequence[int]) -> Term:
        """Make a sum of products over shared axes; a transposition of an operand goes into the letters."""
        a, b, out = letters
        x, a = self._turned(x, a)
        y, b = self._turned(y, b)
        return self.make("einsum", (x, y), shape, relabelled(a, b, out))

    def _turned(self, x: Term, letters: str) -> tuple[Term, str]:
        """Return an operand of a product, as it was before it was transposed, and its letters."""
        if x.op == "transpose":
            return x.args[0], "".join(letters[x.detail.index(i)] for i in range(len(letters)))
        if x.op == "einsum":
            a, b, out = x.detail
            natural = [c for c in a if c in out] + [c for c in b if c in out and c not in a]
            natural = [c for c in natural if c in a and c in b] + [c for c in natural if not (c in a and c in b)]
            order = [out.index(c) for c in natural]
            if order != sorted(order):
                shape = tuple(x.shape[i] for i in order)
                turned = self.make("einsum", x.args, shape, relabelled(a, b, "".join(natural)))
                return turned, "".join(letters[i] for i in order)
        return x, letters

    def reduced(self, kind: str, x: Term, axes: Shape) -> Term:
        shape = without(x.shape, axes)
        if all(x.shape[i] == 1 for i in axes):
            return self.reshaped(x, shape)
        if kind == "sum" and _is_spread_number(x):
            count = math.prod(x.shape[i] for i in axes)
            return self.spread(self.times([self.number(Fraction(count)), x.args[0]], ()), shape)
        if kind == "sum" and x.op == "reduce" and x.detail[::2] == ("sum", False) and len(axes) == len(x.shape):
            return self.reduced("sum", x.args[0], tuple(range(len(x.args[0].shape))))
        if kind == "sum" and x.op == "negative":
            return self.negative(self.reduced(kind, x.args[0], axes))
        if kind in ("max", "min") and _is_spread_number(x):
            return self.spread(x, shape)
        return self.make("reduce", (x,), shape, (kind, axes, False))

    # Conversions

    def converted(self, x: Term, dtype: Any, shape: Sequence[int]) -> Term:
        """Convert entries to a dtype, which is written: some do not stay what they are. Numbers are of any dtype."""
        if unspread(x).op == "number":
            return self.spread(x, shape)
        return self.each("convert", (x,), shape, jnp.dtype(dtype))

    def digits(self, x: Term) -> int:
        """Return how many binary digits of a term are those of an input: the most of all that it is made of."""
        if x not in self._digits:
            known = max(map(self.digits, x.args), default=0)
            if x.op == "constant":
                known = digits(self.constants[x.detail - 1].dtype)
            elif x.op == "convert":
                known = min(known, digits(x.detail))
            self._digits[x] = known
        return self._digits[x]

    # Entry by entry

    def each(self, op: str, args: Sequence[Term], shape: Sequence[int], detail: Any = None) -> Term:
        """Make an operation entry by entry; where all operands were broadcast, it is done first and broadcast then."""
        inner = list(map(unspread, args))
        found = np.broadcast_shapes(*(a.shape for a in inner))
        return self.spread(self.make(op, inner, found, detail), shape)

    def times(self, factors: Sequence[Term], shape: Sequence[int]) -> Term:
        flat: list[Term] = []
        coefficient, is_decimal = Fraction(1), False
        for factor in map(unspread, factors):
            for part in factor.args if factor.op == "times" else [factor]:
                if part.op == "number" and not isinstance(part.detail, bool) and math.isfinite(part.detail):
                    coefficient *= part.detail if isinstance(part.detail, Fraction) else Fraction(str(part.detail))
                    is_decimal |= isinstance(part.detail, float)
                elif part.op == "negative":
                    coefficient, flat = -coefficient, [*flat, part.args[0]]
                else:
                    flat.append(part)
        if coefficient == 0 and all(map(is_finite, flat)):
            return self.spread(self.number(Fraction(0)), shape)
        flat = softmax_in(self, conjugates(self, flat))
        if (found := softmax_back(self, flat)) is not None:
            flat = [found]
        negative, coefficient = coefficient < 0, abs(coefficient)
        if coefficient != 1 or not flat:
            flat = [self.number(float(coefficient) if is_decimal else coefficient), *flat]
        whole = flat[0]
        if len(flat) > 1:
            whole = self.make("times", flat, np.broadcast_shapes(*(f.shape for f in flat)))
        return self.spread(self.negative(whole) if negative else whole, shape)

    def negative(self, x: Term) -> Term:
        if x.op == "negative":
            return x.args[0]
        if x.op == "number" and not isinstance(x.detail, bool):
            return self.number(-x.detail)
        if x.op == "spread":
            return self.spread(self.negative(x.args[0]), x.shape)
        return self.make("negative", (x,), x.shape)

    def plus(self, a: Term, b: Term, shape: Sequence[int]) -> Term:
        for one, other in ((a, b), (b, a)):
            if is_number(one, 0):
                return self.spread(other, shape) if other.shape != tuple(shape) else other
        inner = unspread(b)
        if inner.op == "negative":
            return self.each("minus", (a, inner.args[0]), shape)
        return self.each("plus", (a, b), shape)

    def minus(self, a: Term, b: Term, shape: Sequence[int]) -> Term:
        if is_number(b, 0) and a.shape == tuple(shape):
            return a
        if is_number(a, 0):
            return self.spread(self.negative(b), shape)
        inner = unspread(b)
        if inner.op == "negative":
            return self.each("plus", (a, inner.args[0]), shape)
        return self.each("minus", (a, b), shape)

    def gathered(self, a: Term, b: Term, shape: Sequence[int]) -> Term:
        """Add what flows back from two uses: a + a ⊙ b is a ⊙ (1 + b)."""
        for one, other in ((a, b), (b, a)):
            parts = list(other.args) if other.op == "times" else []
            own = list(one.args) if one.op == "times" else [one]
            if parts and all(p in parts for p in own) and one.shape == other.shape == tuple(shape):
                rest = [p for p in parts if p not in own]
                if rest and len(rest) == len(parts) - len(own):
                    times = self.times(rest, np.broadcast_shapes(*(r.shape for r in rest)))
                    factor = self.plus(self.number(Fraction(1)), times, times.shape)
                    return self.times([*own, factor], shape)
        return self.plus(a, b, shape)

    def divided(self, a: Term, b: Term, shape: Sequence[int]) -> Term:
        if is_number(b, 1):
            return self.spread(a, shape)
        inner_a, inner_b = unspread(a), unspread(b)
        if inner_a.op == inner_b.op == "number" and isinstance(inner_a.detail, Fraction) and inner_b.detail:
            return self.spread(self.number(inner_a.detail / inner_b.detail), shape)
        if inner_a.op == "negative":
            return self.spread(self.negative(self.divided(inner_a.args[0], inner_b, shape)), shape)
        if (axes := softmax_axes(inner_a, inner_b)) is not None:
            return self.spread(self.make("softmax", inner_a.args[0].args[:1], inner_a.shape, axes), shape)
        return self.each("divide", (a, b), shape)

    def power(self, x: Term, n: int, shape: Sequence[int]) -> Term:
        return x if n == 1 else self.each("power", (x,), shape, n)

    def masked(self, x: Term, condition: Term, shape: Sequence[int]) -> Term:
        """Make x where a condition holds, and 0 elsewhere."""
        return self.each("masked", (x, condition), shape)

    def negated(self, condition: Term) -> Term:
        opposite = {"≥": "<", "<": "≥", ">": "≤", "≤": ">", "=": "≠", "≠": "="}
        if condition.op == "compare" and condition.detail in ("=", "≠"):  # of the others a NaN makes neither true
            return self.make("compare", condition.args, condition.shape, opposite[condition.detail])
        return self.make("not", (condition,), condition.shape)


def _number(value: Any) -> Any:
    """Return a number as a term holds it: a fraction where it is a short one."""
    dtype = value.dtype
    if dtype.kind == "b":
        return bool(value)
    if dtype.kind in "iu":
        return Fraction(int(value))
    number = float(value)
    if not np.isfinite(number):
        return number
    fraction = simplest(number, dtype)
    return fraction if is_short(fraction, number, dtype) else float(shortest_decimal(number, dtype))


def _is_spread_number(x: Term) -> bool:
    return x.op == "spread" and x.args[0].shape == ()
