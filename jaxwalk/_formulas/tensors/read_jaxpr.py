"""Reading a jaxpr as terms: one rule a primitive; what has no notation keeps its name."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from ..._jax.jaxpr import jaxprs, kinds, primitives
from ..._jax.jaxpr.jaxprs import Closed, is_literal
from ..._jax.jaxpr.types import type_of
from ..conversions import is_rounding, is_shortening, wraps
from . import read_windows
from .builder import TermBuilder
from .primitive_call import PrimitiveCall
from .read_windows import is_float
from .term import Shape, Term, is_number, unspread

if TYPE_CHECKING:
    from jax.extend.core import JaxprEqn, Literal, Var

FOLDED = 1_000_000  # entries of a constant that is computed here


def read_terms(terms: TermBuilder, closed: Closed, args: Sequence[Term]) -> list[Term]:
    """Return the results of a jaxpr as terms of its inputs."""
    return _Reader(terms).jaxpr(closed, args)


class _Reader:
    def __init__(self, terms: TermBuilder):
        self.terms = terms
        self.kind_of, self.name_of = kinds.kinds(), primitives.names()

    def jaxpr(self, closed: Closed, args: Sequence[Term]) -> list[Term]:
        jaxpr = closed.jaxpr
        env: dict[Var, Term] = dict(zip(jaxpr.invars, args, strict=True))
        env |= {v: self.terms.constant(c) for v, c in zip(jaxpr.constvars, closed.consts, strict=True)}

        def read(v: Var | Literal) -> Term:
            return self.terms.constant(jaxprs.literal_array(v)) if is_literal(v) else env[v]

        for eqn in jaxpr.eqns:
            env.update(zip(eqn.outvars, self.equation(eqn, list(map(read, eqn.invars))), strict=True))
        return list(map(read, jaxpr.outvars))

    def equation(self, eqn: JaxprEqn, args: list[Term]) -> list[Term]:
        kind = self.kind_of(eqn)
        if kind == "name":
            return args
        if kind == "custom_jvp" and primitives.is_bell(eqn):
            shape = type_of(eqn.outvars[0]).shape
            square = self.terms.power(args[0], 2, shape)
            return [self.terms.each("function", [self.terms.negative(square)], shape, "exp")]
        if kind in ("jit", "checkpoint", "custom_jvp", "custom_vjp") or jaxprs.calls_a_jaxpr(eqn):
            (body,) = jaxprs.jaxprs_of(eqn)
            return self.jaxpr(body, args)
        return (self.operation(eqn, args) if kind is None else None) or [
            self.terms.make("primitive", args, type_of(v).shape, PrimitiveCall(eqn, i))
            for i, v in enumerate(eqn.outvars)
        ]

    def operation(self, eqn: JaxprEqn, args: list[Term]) -> list[Term] | None:
        """Return the results of an equation by its rule, or as constants if its operands are; else None."""
        if any(a.op == "constant" for a in args) and (constants := self.constants(eqn, args)) is not None:
            return constants
        rule, types = _RULES.get(self.name_of(eqn) or ""), map(type_of, (*eqn.invars, *eqn.outvars))
        if rule is not None and not any(jnp.issubdtype(t.dtype, jnp.complexfloating) for t in types):
            found = rule(self.terms, eqn, args, type_of(eqn.outvars[0]).shape)
            if isinstance(found, Term):
                wrapped = wraps(self.name_of(eqn), type_of(eqn.outvars[0]).dtype)
                found = self.terms.converted(found, type_of(eqn.outvars[0]).dtype, found.shape) if wrapped else found
            if found is not None:
                return found if isinstance(found, list) else [found]
        return self.constants(eqn, args)

    def constants(self, eqn: JaxprEqn, args: Sequence[Term]) -> list[Term] | None:
        """Compute the results of an equation that depends on no variable."""
        values = [self.value(a) for a in args]
        if any(v is None for v in values) or eqn.effects:
            return None
        if sum(math.prod(type_of(v).shape) for v in eqn.outvars) > FOLDED:
            return None
        typed = [jnp.asarray(value, type_of(v).dtype) for value, v in zip(values, eqn.invars, strict=True)]
        with jax.ensure_compile_time_eval():
            return [self.terms.constant(result) for result in jaxprs.apply(eqn, typed)]

    def value(self, x: Term) -> Any:
        """Return the numbers of a term without variables, if they are at hand."""
        if x.op == "number":
            return float(x.detail) if isinstance(x.detail, Fraction) else x.detail
        if x.op == "constant":
            return self.terms.constants[x.detail - 1]
        if x.op == "spread" and (inner := self.value(x.args[0])) is not None:
            return np.broadcast_to(inner, x.shape)
        return None


# Rules: (terms, equation, operands, shape of the result) -> a term, or None where there is no notation ------

Rule: TypeAlias = "Callable[[TermBuilder, JaxprEqn, Sequence[Term], Shape], Term | list[Term] | None]"


def _function(name: str) -> Rule:
    return lambda t, eqn, args, shape: t.each("function", args, shape, name) if is_float(eqn.invars[0]) else None


def _compare(sign: str) -> Rule:
    return lambda t, eqn, args, shape: t.each("compare", args, shape, sign)


def _is_truth(v: Var | Literal) -> bool:
    return type_of(v).dtype == jnp.bool_


def _logical(make: Rule) -> Rule:
    return lambda t, eqn, args, shape: make(t, eqn, args, shape) if _is_truth(eqn.outvars[0]) else None


def _div(t: TermBuilder, eqn: JaxprEqn, args: Sequence[Term], shape: Shape) -> Term | None:
    if not is_float(eqn.invars[0]):
        return None
    mean = read_windows.mean_of_windows(t, args[0], args[1]) if args[0].shape == shape else None
    return t.divided(args[0], args[1], shape) if mean is None else mean


def _max(t: TermBuilder, eqn: JaxprEqn, args: Sequence[Term], shape: Shape) -> Term:
    for one, other in (args, args[::-1]):
        if is_number(one, float("-inf")) and other.shape == shape:
            return other
    return t.each("function", args, shape, "max")


def _convert(t: TermBuilder, eqn: JaxprEqn, args: Sequence[Term], shape: Shape) -> Term | None:
    (x,), before, after = args, type_of(eqn.invars[0]).dtype, eqn.params["new_dtype"]
    if before == jnp.bool_ and after != jnp.bool_:
        return t.masked(t.number(Fraction(1)), x, shape)
    if after == before or unspread(x).op == "number":
        return x if jnp.issubdtype(after, jnp.floating) or after == before else None
    if not jnp.issubdtype(after, jnp.floating):
        return t.converted(x, after, shape) if jnp.issubdtype(before, jnp.integer) and after != jnp.bool_ else None
    if jnp.issubdtype(before, jnp.integer) or is_rounding(before, after, t.digits(x)):
        return t.converted(x, after, shape)
    return x


def _reduce_precision(t: TermBuilder, eqn: JaxprEqn, args: Sequence[Term], shape: Shape) -> Term | None:
    return None if is_shortening(type_of(eqn.invars[0]).dtype, **eqn.params) else args[0]


def _select_n(t: TermBuilder, eqn: JaxprEqn, args: Sequence[Term], shape: Shape) -> Term | None:
    which, *cases = args
    if not _is_truth(eqn.invars[0]) or len(cases) != 2:
        return None
    no, yes = cases
    if _is_truth(eqn.outvars[0]):
        return which if is_number(no, 0) and is_number(yes, 1) and which.shape == shape else None
    if is_number(no, 0):
        return t.masked(yes, which, shape)
    if is_number(yes, 0):
        return t.masked(no, t.negated(which), shape)
    return t.each("where", (which, yes, no), shape)


def _clamp(t: TermBuilder, eqn: JaxprEqn, args: Sequence[Term], shape: Shape) -> Term:
    low, x, high = args
    return t.each("function", (t.each("function", (x, low), shape, "max"), high), shape, "min")


def _integer_pow(t: TermBuilder, eqn: JaxprEqn, args: Sequence[Term], shape: Shape) -> Term | None:
    return t.power(args[0], eqn.params["y"], shape) if is_float(eqn.invars[0]) or eqn.params["y"] > 0 else None


def _broadcast_in_dim(t: TermBuilder, eqn: JaxprEqn, args: Sequence[Term], shape: Shape) -> Term:
    (x,), places = args, tuple(eqn.params["broadcast_dimensions"])
    if places == tuple(range(len(shape) - len(places), len(shape))):
        return t.spread(x, shape)
    new = tuple(i for i in range(len(shape)) if i not in places)
    ones = tuple(x.shape[places.index(i)] if i in places else 1 for i in range(len(shape)))
    return t.spread(t.expanded(x, new, ones), shape)


def _reshape(t: TermBuilder, eqn: JaxprEqn, args: Sequence[Term], shape: Shape) -> Term:
    order = eqn.params.get("dimensions")
    return t.reshaped(t.transposed(args[0], tuple(map(int, order))) if order else args[0], shape)


def _reduce(kind: str) -> Rule:
    return lambda t, eqn, args, shape: t.reduced(kind, args[0], tuple(sorted(map(int, eqn.params["axes"]))))


def _slice(t: TermBuilder, eqn: JaxprEqn, args: Sequence[Term], shape: Shape) -> Term:
    p = eqn.params
    limits = zip(p["start_indices"], p["limit_indices"], p["strides"] or (1,) * len(shape), strict=True)
    parts = tuple(tuple(map(int, part)) for part in limits)
    return args[0] if args[0].shape == shape else t.make("slice", args, shape, parts)


def _cumulative(name: str) -> Rule:
    def rule(t: TermBuilder, eqn: JaxprEqn, args: Sequence[Term], shape: Shape) -> Term | None:
        return None if eqn.params["reverse"] else t.make("along", args, shape, (name, int(eqn.params["axis"])))

    return rule


def _dot_general(t: TermBuilder, eqn: JaxprEqn, args: Sequence[Term], shape: Shape) -> Term | None:
    x, y = args
    (over_x, over_y), (batch_x, batch_y) = eqn.params["dimension_numbers"]
    if not is_float(eqn.outvars[0]):
        return None
    if x.shape == () or y.shape == ():
        return t.times(args, shape)
    names = iter("abcdefghijklmnopqrstuvwxyz")
    a = [next(names) for _ in x.shape]
    shared = dict(zip((*over_y, *batch_y), (a[i] for i in (*over_x, *batch_x)), strict=True))
    b = [shared.get(i) or next(names) for i in range(len(y.shape))]
    out = [a[i] for i in batch_x] + [c for c in a if c not in shared.values()]
    out += [c for c in b if c not in shared.values()]
    return t.product(x, y, ("".join(a), "".join(b), "".join(out)), shape)


_FUNCTIONS = """
    exp log tanh sin cos tan asin acos atan sinh cosh asinh acosh atanh sqrt rsqrt cbrt erf erfc logistic log1p expm1
    exp2 log2 sign floor ceil abs atan2 pow
"""
_SAME = ("copy", "stop_gradient", "optimization_barrier", "device_put")
_COMPARISONS = {"eq": "=", "ne": "≠", "lt": "<", "le": "≤", "gt": ">", "ge": "≥"}

_RULES: dict[str, Rule] = {
    **{name: _function(name) for name in _FUNCTIONS.split()},
    **{name: _compare(sign) for name, sign in _COMPARISONS.items()},
    **{f"reduce_{kind}": _reduce(kind) for kind in ("sum", "max", "min", "prod")},
    **{name: _cumulative(name) for name in ("cumsum", "cumprod")},
    **{f"reduce_window_{kind}": read_windows.pooling(kind) for kind in ("sum", "max", "min")},
    **dict.fromkeys(_SAME, lambda t, eqn, args, shape: list(args)),
    "add": lambda t, eqn, args, shape: t.plus(args[0], args[1], shape),
    "add_any": lambda t, eqn, args, shape: t.gathered(args[0], args[1], shape),
    "sub": lambda t, eqn, args, shape: t.minus(args[0], args[1], shape),
    "mul": lambda t, eqn, args, shape: t.times(args, shape),
    "neg": lambda t, eqn, args, shape: t.negative(args[0]),
    "square": lambda t, eqn, args, shape: t.power(args[0], 2, shape),
    "one_minus_square": lambda t, eqn, a, shape: t.minus(t.number(Fraction(1)), t.power(a[0], 2, shape), shape),
    "div": _div,
    "max": _max,
    "min": lambda t, eqn, args, shape: t.each("function", args, shape, "min"),
    "bitwise_and": _logical(lambda t, eqn, args, shape: t.each("and", args, shape)),
    "bitwise_or": _logical(lambda t, eqn, args, shape: t.each("or", args, shape)),
    "bitwise_not": _logical(lambda t, eqn, args, shape: t.negated(args[0])),
    "convert": _convert,
    "reduce_precision": _reduce_precision,
    "select_n": _select_n,
    "clamp": _clamp,
    "integer_pow": _integer_pow,
    "broadcast_in_dim": _broadcast_in_dim,
    "reshape": _reshape,
    "squeeze": lambda t, eqn, args, shape: t.reshaped(args[0], shape),
    "transpose": lambda t, eqn, args, shape: t.transposed(args[0], tuple(map(int, eqn.params["permutation"]))),
    "slice": _slice,
    "concatenate": lambda t, eqn, args, shape: t.make("concatenate", args, shape, int(eqn.params["dimension"])),
    "dot_general": _dot_general,
    "conv": read_windows.convolution,
    "select_and_scatter_add": read_windows.pooling_back,
    "pad": read_windows.padding,
    "rev": read_windows.flip,
}
