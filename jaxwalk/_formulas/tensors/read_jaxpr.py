"""Reading a jaxpr as terms: one rule a primitive; what has no notation keeps its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..._jax import jaxprs, kinds, primitives
from ..._jax.jaxprs import Closed, is_literal
from . import read_windows
from .builder import TermBuilder
from .primitive_call import PrimitiveCall
from .term import Term, is_number

FOLDED = 1_000_000  # entries of a constant that is computed here


def read_terms(terms: TermBuilder, closed: Closed, args: Sequence[Term]) -> list[Term]:
    """The results of a jaxpr as terms of its inputs."""
    return _Reader(terms).jaxpr(closed, args)


class _Reader:
    def __init__(self, terms: TermBuilder):
        self.terms = terms
        self.kind_of, self.name_of = kinds.kinds(), primitives.names()

    def jaxpr(self, closed: Closed, args: Sequence[Term]) -> list[Term]:
        jaxpr = closed.jaxpr
        env: dict[Any, Term] = dict(zip(jaxpr.invars, args, strict=True))
        env |= {v: self.terms.constant(c) for v, c in zip(jaxpr.constvars, closed.consts, strict=True)}
        read = lambda v: self.terms.constant(jaxprs.literal_array(v)) if is_literal(v) else env[v]
        for eqn in jaxpr.eqns:
            env.update(zip(eqn.outvars, self.equation(eqn, [read(v) for v in eqn.invars]), strict=True))
        return [read(v) for v in jaxpr.outvars]

    def equation(self, eqn: Any, args: list[Term]) -> list[Term]:
        kind, name = self.kind_of(eqn), self.name_of(eqn)
        if kind == "name":
            return args
        if kind == "custom_jvp" and primitives.is_bell(eqn):
            shape = eqn.outvars[0].aval.shape
            square = self.terms.power(args[0], 2, shape)
            return [self.terms.each("function", [self.terms.negative(square)], shape, "exp")]
        if kind in ("jit", "checkpoint", "custom_jvp", "custom_vjp") or jaxprs.calls_a_jaxpr(eqn):
            (body,) = jaxprs.jaxprs_of(eqn)
            return self.jaxpr(body, args)
        shapes = [v.aval.shape for v in eqn.outvars]
        if kind is None and any(a.op == "constant" for a in args) and (found := self.constants(eqn, args)) is not None:
            return found
        if kind is None and name in _RULES and not _is_complex(eqn):
            found = _RULES[name](self.terms, eqn, args, shapes[0])
            if found is not None:
                return found if isinstance(found, list) else [found]
        if kind is None and (constants := self.constants(eqn, args)) is not None:
            return constants
        return [self.terms.make("primitive", args, shape, PrimitiveCall(eqn, i)) for i, shape in enumerate(shapes)]

    def constants(self, eqn: Any, args: Sequence[Term]) -> list[Term] | None:
        """The results of a step that depends on no variable, computed."""
        values = [self.value(a) for a in args]
        if any(v is None for v in values) or eqn.effects:
            return None
        if sum(int(np.prod(v.aval.shape)) for v in eqn.outvars) > FOLDED:
            return None
        typed = [jnp.asarray(v, x.aval.dtype) for v, x in zip(values, eqn.invars, strict=True)]
        with jax.ensure_compile_time_eval():
            return [self.terms.constant(result) for result in jaxprs.apply(eqn, typed)]

    def value(self, x: Term) -> Any:
        """The numbers of a term without variables, if they are at hand."""
        if x.op == "number":
            return float(x.detail) if isinstance(x.detail, Fraction) else x.detail
        if x.op == "constant":
            return self.terms.constants[x.detail - 1]
        if x.op == "spread" and (inner := self.value(x.args[0])) is not None:
            return np.broadcast_to(inner, x.shape)
        return None


def _is_complex(eqn: Any) -> bool:
    return any(jnp.issubdtype(v.aval.dtype, jnp.complexfloating) for v in (*eqn.invars, *eqn.outvars))


def _is_float(eqn: Any) -> bool:
    return jnp.issubdtype(eqn.invars[0].aval.dtype, jnp.floating)


# Rules: (terms, equation, operands, shape of the result) -> a term, or None where there is no notation ------

Rule = Callable[[TermBuilder, Any, Sequence[Term], tuple[int, ...]], "Term | list[Term] | None"]


def _same(t: TermBuilder, eqn: Any, args: Sequence[Term], shape: tuple[int, ...]) -> Any:
    return list(args)


def _function(name: str) -> Rule:
    return lambda t, eqn, args, shape: t.each("function", args, shape, name) if _is_float(eqn) else None


def _compare(sign: str) -> Rule:
    return lambda t, eqn, args, shape: t.each("compare", args, shape, sign)


def _logical(name: str) -> Rule:
    def rule(t: TermBuilder, eqn: Any, args: Sequence[Term], shape: tuple[int, ...]) -> Any:
        return t.each(name, args, shape) if eqn.outvars[0].aval.dtype == jnp.bool_ else None

    return rule


def _div(t: TermBuilder, eqn: Any, args: Sequence[Term], shape: tuple[int, ...]) -> Any:
    if not _is_float(eqn):
        return None
    mean = read_windows.mean_of_windows(t, args[0], args[1]) if args[0].shape == shape else None
    return t.divided(args[0], args[1], shape) if mean is None else mean


def _max(t: TermBuilder, eqn: Any, args: Sequence[Term], shape: tuple[int, ...]) -> Any:
    lowest = float("-inf")
    for one, other in (args, args[::-1]):
        if is_number(one, lowest) and other.shape == shape:  # type: ignore[arg-type]
            return other
    return t.each("function", args, shape, "max")


def _convert(t: TermBuilder, eqn: Any, args: Sequence[Term], shape: tuple[int, ...]) -> Any:
    (x,), before, after = args, eqn.invars[0].aval.dtype, eqn.params["new_dtype"]
    if before == jnp.bool_ and after != jnp.bool_:
        return t.masked(t.number(Fraction(1)), x, shape)
    if after == before or (jnp.issubdtype(after, jnp.floating) and before != jnp.bool_):
        return x
    return None


def _select_n(t: TermBuilder, eqn: Any, args: Sequence[Term], shape: tuple[int, ...]) -> Any:
    which, *cases = args
    if eqn.invars[0].aval.dtype != jnp.bool_ or len(cases) != 2:
        return None
    no, yes = cases
    if eqn.outvars[0].aval.dtype == jnp.bool_:
        return which if is_number(no, 0) and is_number(yes, 1) and which.shape == shape else None
    if is_number(no, 0):
        return t.masked(yes, which, shape)
    if is_number(yes, 0):
        return t.masked(no, t.negated(which), shape)
    return t.each("where", (which, yes, no), shape)


def _clamp(t: TermBuilder, eqn: Any, args: Sequence[Term], shape: tuple[int, ...]) -> Any:
    low, x, high = args
    return t.each("function", (t.each("function", (x, low), shape, "max"), high), shape, "min")


def _integer_pow(t: TermBuilder, eqn: Any, args: Sequence[Term], shape: tuple[int, ...]) -> Any:
    return t.power(args[0], eqn.params["y"], shape) if _is_float(eqn) or eqn.params["y"] > 0 else None


def _broadcast_in_dim(t: TermBuilder, eqn: Any, args: Sequence[Term], shape: tuple[int, ...]) -> Any:
    x, *more = args
    places = tuple(eqn.params["broadcast_dimensions"])
    if more:
        return None
    if places == tuple(range(len(shape) - len(places), len(shape))):
        return t.spread(x, shape)
    new = tuple(i for i in range(len(shape)) if i not in places)
    ones = tuple(x.shape[places.index(i)] if i in places else 1 for i in range(len(shape)))
    return t.spread(t.expanded(x, new, ones), shape)


def _reshape(t: TermBuilder, eqn: Any, args: Sequence[Term], shape: tuple[int, ...]) -> Any:
    order = eqn.params.get("dimensions") if eqn.primitive is primitives.primitive("reshape") else None
    return t.reshaped(t.transposed(args[0], tuple(map(int, order))) if order else args[0], shape)


def _transpose(t: TermBuilder, eqn: Any, args: Sequence[Term], shape: tuple[int, ...]) -> Any:
    return t.transposed(args[0], tuple(int(i) for i in eqn.params["permutation"]))


def _reduce(kind: str) -> Rule:
    return lambda t, eqn, args, shape: t.reduced(kind, args[0], tuple(sorted(int(i) for i in eqn.params["axes"])))


def _slice(t: TermBuilder, eqn: Any, args: Sequence[Term], shape: tuple[int, ...]) -> Any:
    p = eqn.params
    strides = p["strides"] or (1,) * len(shape)
    parts = tuple(map(tuple, np.array([p["start_indices"], p["limit_indices"], strides]).T.tolist()))
    return args[0] if args[0].shape == shape else t.make("slice", args, shape, parts)


def _concatenate(t: TermBuilder, eqn: Any, args: Sequence[Term], shape: tuple[int, ...]) -> Any:
    return t.make("concatenate", args, shape, int(eqn.params["dimension"]))


def _cumulative(name: str) -> Rule:
    def rule(t: TermBuilder, eqn: Any, args: Sequence[Term], shape: tuple[int, ...]) -> Any:
        return None if eqn.params["reverse"] else t.make("along", args, shape, (name, int(eqn.params["axis"])))

    return rule


def _dot_general(t: TermBuilder, eqn: Any, args: Sequence[Term], shape: tuple[int, ...]) -> Any:
    x, y = args
    (over_x, over_y), (batch_x, batch_y) = eqn.params["dimension_numbers"]
    if not jnp.issubdtype(eqn.outvars[0].aval.dtype, jnp.floating):
        return None
    if x.shape == () or y.shape == ():
        return t.times(args, shape)
    names = iter("abcdefghijklmnopqrstuvwxyz")
    a: list[str] = [next(names) for _ in x.shape]
    b: list[str] = [""] * len(y.shape)
    for i, j in zip((*over_x, *batch_x), (*over_y, *batch_y), strict=True):
        b[j] = a[i]
    b = [letter or next(names) for letter in b]
    out = [a[i] for i in batch_x]
    out += [letter for i, letter in enumerate(a) if i not in (*over_x, *batch_x)]
    out += [letter for i, letter in enumerate(b) if i not in (*over_y, *batch_y)]
    return t.product(x, y, ("".join(a), "".join(b), "".join(out)), shape)


_FUNCTIONS = """
    exp log tanh sin cos tan asin acos atan sinh cosh asinh acosh atanh sqrt rsqrt cbrt erf erfc logistic log1p expm1
    exp2 log2 sign floor ceil abs
"""

_RULES: dict[str, Rule] = {
    **{name: _function(name) for name in _FUNCTIONS.split()},
    **dict.fromkeys(("copy", "stop_gradient", "optimization_barrier", "device_put", "reduce_precision"), _same),
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
    "pow": lambda t, eqn, args, shape: t.each("function", args, shape, "pow") if _is_float(eqn) else None,
    "atan2": _function("atan2"),
    "eq": _compare("="),
    "ne": _compare("≠"),
    "lt": _compare("<"),
    "le": _compare("≤"),
    "gt": _compare(">"),
    "ge": _compare("≥"),
    "bitwise_and": _logical("and"),
    "bitwise_or": _logical("or"),
    "bitwise_not": lambda t, eqn, a, shape: t.negated(a[0]) if eqn.outvars[0].aval.dtype == jnp.bool_ else None,
    "convert": _convert,
    "select_n": _select_n,
    "clamp": _clamp,
    "integer_pow": _integer_pow,
    "broadcast_in_dim": _broadcast_in_dim,
    "reshape": _reshape,
    "squeeze": _reshape,
    "transpose": _transpose,
    "reduce_sum": _reduce("sum"),
    "reduce_max": _reduce("max"),
    "reduce_min": _reduce("min"),
    "reduce_prod": _reduce("prod"),
    "slice": _slice,
    "concatenate": _concatenate,
    "cumsum": _cumulative("cumsum"),
    "cumprod": _cumulative("cumprod"),
    "dot_general": _dot_general,
    "conv": read_windows.convolution,
    "reduce_window_sum": read_windows.pooling("sum"),
    "reduce_window_max": read_windows.pooling("max"),
    "reduce_window_min": read_windows.pooling("min"),
    "select_and_scatter_add": read_windows.pooling_back,
    "pad": read_windows.padding,
    "rev": read_windows.flip,
}
