"""The derivative on either side of a comparison that chooses, as in a `where`: by the value that is compared."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._jax import jaxprs
from .._jax.primitives import COMPARISONS, primitive
from .choices import tolerance
from .program import Flat, Op, Ref, is_number
from .rounding.bounds import Rounded, bound

REACH = 40  # operations looked at between a comparison and what it chooses


class Sides(NamedTuple):
    """A comparison and a choice that it makes.

    Attributes:
        select: the operation that chooses.
        decided: the compared value by which the derivative is taken, and whether it is the second operand.
        second: whether it is.
        alike: the outputs of the comparisons of the same two values by the same relation.
        between: the operations from the decided value to the two cases.
        in_rule: whether it chooses among tangents, in a derivative rule: these stand for ones, so the cases are slopes.
        numbers: of the two cases, the one number that all their entries are, if that is known.
    """

    select: Op
    decided: Ref
    second: bool
    alike: frozenset[int]
    between: tuple[Op, ...] | None
    in_rule: bool
    numbers: tuple[float | None, float | None]


class Chosen(NamedTuple):
    """What a choice comes to: derivatives below, above and as used; `smooth`: where both sides agree, no jump."""

    left: Any
    right: Any
    used: Any
    smooth: Any


def sides(flat: Flat) -> dict[int, list[Sides] | None]:
    """By the number of a comparison's result: the choices it makes, less those that another covers.

    In `where(x > 0, x, f(where(x > 0, 0, x)))` the inner choice is covered by the outer. Of comparisons that are alike,
    the first has the choices of all, and the others None.
    """
    return _Finder(flat).found()


class _Finder:
    def __init__(self, flat: Flat) -> None:
        self.flat = flat
        self.made = {out: op for op in flat.ops for out in op.outs}
        self.order = {id(op): i for i, op in enumerate(flat.ops)}
        self.users: dict[int, list[Op]] = {}
        for op in flat.ops:
            for ref in op.ins:
                if is_number(ref):
                    self.users.setdefault(ref, []).append(op)
        self.select = primitive("select_n")
        self.comparisons = {primitive(name) for name in COMPARISONS}
        self.elementwise = _elementwise()
        self.tangents = set(flat.ones)
        for op in flat.ops:
            if op.kind != "cut" and any(flat.flags(op.ins, self.tangents)):
                self.tangents.update(out for out in op.outs if out in flat.active)

    def found(self) -> dict[int, list[Sides] | None]:
        groups: dict[Any, list[Op]] = {}
        for op in self.flat.ops:
            if op.kind == "op" and op.eqn.primitive in self.comparisons:
                groups.setdefault((op.eqn.primitive, *map(self.same, op.ins)), []).append(op)
        found: dict[int, list[Sides] | None] = {}
        for members in groups.values():
            alike = frozenset(op.outs[0] for op in members)
            chosen = [op for out in alike for op in self.users.get(out, ()) if self.chooses(op, out)]
            outer = [op for op in chosen if not self.covered(op, chosen)]
            for op in members:  # the first of those alike speaks for all
                found[op.outs[0]] = [self.read(op, select, alike) for select in outer] if op is members[0] else None
        return {out: sides for out, sides in found.items() if sides != []}

    def chooses(self, op: Op, out: int) -> bool:
        return op.kind == "op" and op.eqn.primitive is self.select and op.ins[0] == out and len(op.ins) == 3

    def same(self, ref: Ref) -> Any:
        """A value's own number behind cuts and conversions; a literal's value."""
        if not is_number(ref):
            return "literal", repr(ref.val)
        op = self.made.get(ref)
        return self.same(op.ins[0]) if op is not None and _is_alias(op) else ref

    def covered(self, op: Op, chosen: Sequence[Op]) -> bool:
        """Whether whatever reads this choice is, soon, another one that the same comparison makes."""
        others = [other for other in chosen if other is not op]
        ahead, seen = list(op.outs), 0
        while ahead and others:
            out = ahead.pop()
            if out in self.flat.outs or seen > REACH:
                return False
            for user in self.users.get(out, ()):
                seen += 1
                if not any(user is other for other in others):
                    if user.kind != "op":
                        return False
                    ahead.extend(user.outs)
        return bool(others)

    def read(self, op: Op, select: Op, alike: frozenset[int]) -> Sides:
        first, second = (self.same(ref) for ref in op.ins)
        active = self.flat.active
        is_second = first not in active and (second in active or (first not in self.flat.data))
        decided = op.ins[1] if is_second else op.ins[0]
        in_rule = any(self.flat.flags(select.ins[1:], self.tangents))
        no, yes = map(self.uniform, select.ins[1:])
        decided = self.same(decided)
        return Sides(select, decided, is_second, alike, self.between(decided, select, alike), in_rule, (no, yes))

    def uniform(self, ref: Ref) -> float | None:
        """The one number that all entries of a constant are, seen without running it."""
        if not is_number(ref):
            return float(ref.val) if np.ndim(ref.val) == 0 else None
        op = self.made.get(ref)
        spreads = op is not None and op.kind == "op" and op.eqn.primitive in _spreads()
        return 1.0 if ref in self.flat.ones else self.uniform(op.ins[0]) if op is not None and spreads else None

    def between(self, start: Ref, select: Op, alike: frozenset[int]) -> tuple[Op, ...] | None:
        """The operations from `start` to the cases of `select`, in order; None if they are many or mix entries."""
        shape = select.eqn.outvars[0].aval.shape
        if not isinstance(start, int) or self.flat.avals[start].shape != shape:
            return None
        depends: dict[int, bool] = {start: True}
        ops: dict[int, Op] = {}

        def visit(ref: Ref) -> bool:
            if not is_number(ref) or len(depends) > 4 * REACH:
                return False
            if ref not in depends:
                op = self.made.get(ref)
                depends[ref] = False
                reached = [visit(r) for r in op.ins if is_number(r) and r not in alike] if op is not None else []
                depends[ref] = any(reached)
                if depends[ref] and op is not None:
                    ops[self.order[id(op)]] = op
            return depends[ref]

        for ref in select.ins[1:]:
            visit(ref)
        path = [ops[i] for i in sorted(ops)]
        plain = all(op.kind == "op" and op.eqn.primitive in self.elementwise for op in path)
        same_shape = all(v.aval.shape == shape for op in path for v in op.eqn.outvars) if plain else False
        return tuple(path) if same_shape and len(depends) <= 4 * REACH else None


def chosen(
    flat: Flat, comparison: Op, sides: Sides, env: Callable[[Ref], Rounded], distance: Any, error: Any
) -> Chosen:
    """The derivatives on both sides of a choice; `distance` is that of the decided value from its threshold."""
    no, yes = (_case(flat, sides, env, taken) for taken in (False, True))
    relation = comparison.eqn.primitive
    rising = relation in (primitive("gt"), primitive("ge"))
    falling = relation in (primitive("lt"), primitive("le"))
    predicate = env(comparison.outs[0]).value
    if sides.second:
        rising, falling = falling, rising
    if rising or falling:
        left, right = (no, yes) if rising else (yes, no)
    else:
        left = right = no if relation is primitive("eq") else yes
    if left is None or right is None or no is None or yes is None:
        return Chosen(None, None, None, None)
    used = yes.slope if _is_same(no.slope, yes.slope) else jnp.where(predicate, yes.slope, no.slope)
    return Chosen(left.slope, right.slope, used, _smooth(no, yes, error, distance.dtype))


class _Case(NamedTuple):
    slope: Any  # a float where it is one and the same everywhere
    value: Any  # None in a derivative rule
    bound: Any


def _case(flat: Flat, sides: Sides, env: Callable[[Ref], Rounded], taken: bool) -> _Case | None:
    ref, number = sides.select.ins[1 + taken], sides.numbers[taken]
    if sides.in_rule:
        return _Case(env(ref).value if number is None else number, None, None)
    if sides.between is None:
        return None
    x = env(ref)
    if is_number(ref) and ref == sides.decided:
        return _Case(1.0, x.value, bound(x))
    if not is_number(ref) or ref not in flat.active:
        return _Case(0.0, x.value, bound(x))
    if not sides.between:
        return None  # it moves, but not with what is compared
    start = env(sides.decided).value
    value, slope = jax.jvp(functools.partial(_again, sides, env, ref, taken), (start,), (jnp.ones_like(start),))
    return _Case(slope, value, bound(x))


def _again(sides: Sides, env: Callable[[Ref], Rounded], ref: Ref, taken: bool, start: Any) -> Any:
    """A case at another value of what is compared, with every choice of this comparison made alike."""
    local: dict[int, Any] = {sides.decided: start}
    read = lambda r: local[r] if is_number(r) and r in local else env(r).value
    for op in sides.between or ():
        if op.eqn.primitive is primitive("select_n") and op.ins[0] in sides.alike:
            local[op.outs[0]] = jnp.asarray(read(op.ins[1 + taken]))
        else:
            local[op.outs[0]] = jaxprs.apply(op.eqn, [read(r) for r in op.ins])[0]
    return local[ref]


def _smooth(no: _Case, yes: _Case, error: Any, dtype: Any) -> Any:
    """Where both sides have one derivative, and one value to rounding: there nothing jumps."""
    if no.value is None or yes.value is None:
        return None
    if isinstance(no.slope, float) and isinstance(yes.slope, float) and no.slope != yes.slope:
        return None
    one, other = (jnp.asarray(case.slope).astype(dtype) for case in (no, yes))
    level = jnp.maximum(jnp.abs(one), jnp.abs(other))
    alike = jnp.abs(one - other) <= tolerance(no.value.dtype) * level
    gap = jnp.abs(yes.value - no.value).astype(dtype)
    return alike & (gap <= yes.bound + no.bound + 2 * level * error)


def _is_same(one: Any, other: Any) -> bool:
    return isinstance(one, float) and isinstance(other, float) and one == other


def _is_alias(op: Op) -> bool:
    if op.kind != "op":
        return op.kind == "cut"
    return op.eqn.primitive in _aliases() and op.eqn.invars[0].aval.dtype == op.eqn.outvars[0].aval.dtype


@functools.cache
def _spreads() -> frozenset[Any]:
    return frozenset(map(primitive, ("broadcast_in_dim", "convert", "copy")))


@functools.cache
def _aliases() -> frozenset[Any]:
    return frozenset(map(primitive, ("convert", "copy", "stop_gradient")))


@functools.cache
def _elementwise() -> frozenset[Any]:
    names = (
        "add", "sub", "mul", "div", "neg", "exp", "exp2", "expm1", "log", "log1p", "sqrt", "rsqrt", "tanh", "logistic",
        "sin", "cos", "tan", "erf", "erfc", "pow", "integer_pow", "square", "max", "min", "abs", "select_n", "cbrt",
        "convert", "copy",
    )  # fmt: skip
    return frozenset(map(primitive, names))
