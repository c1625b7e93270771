"""Flattening a traced function: calls inlined, loops and branches kept, derivative rules beside the functions that
they belong to."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from .._jax import jaxprs, kinds, origin
from .._jax.jaxprs import Closed, is_literal
from .._jax.origin import source_of
from .._jax.primitives import primitive
from .._jax.types import struct
from .._points.point import Points


def flatten(closed: Closed, points: Points) -> Flat:
    """A traced function, flat; its float inputs are what it is differentiated by."""
    floats = [is_float(v.aval) for v in closed.jaxpr.invars]
    return _Flattener(points).body(closed, floats, floats, Place())


class _Flattener:
    def __init__(self, points: Points) -> None:
        self.names: dict[tuple[Any, int, int | None], list[str]] = {}
        for name, point in points.items():
            if point.opaque is None:
                self.names.setdefault(point.site[:3], []).append(name)
        self.kind = kinds.kinds()
        self.number = itertools.count()
        self.stops = stops()

    def body(self, closed: Closed, data: Flags, active: Flags, place: Place) -> Flat:
        flat = Flat()
        flat.ins = [self.value(flat, v.aval, d, a) for v, d, a in zip(closed.jaxpr.invars, data, active, strict=True)]
        flat.outs = self.inline(flat, closed, flat.ins, place)
        return flat

    def value(self, flat: Flat, aval: Any, data: bool, active: bool) -> int:
        number = next(self.number)
        flat.avals[number] = aval
        if data:
            flat.data.add(number)
        if active and is_float(aval):
            flat.active.add(number)
        return number

    def inline(self, flat: Flat, closed: Closed, refs: Sequence[Ref], place: Place) -> list[Ref]:
        jaxpr, consts = closed
        env: dict[Any, Ref] = {}
        for v, const in zip(jaxpr.constvars, consts, strict=True):
            env[v] = self.value(flat, v.aval, False, False)
            flat.consts[env[v]] = const
        env.update(zip(jaxpr.invars, refs, strict=True))
        read = lambda v: v if is_literal(v) else env[v]
        for index, eqn in enumerate(jaxpr.eqns):
            operands = tuple(read(v) for v in eqn.invars)
            results = self.equation(flat, eqn, index, operands, place)
            self.name(flat, place.site, index, results)
            env.update(zip(eqn.outvars, results, strict=True))
        return [read(v) for v in jaxpr.outvars]

    def name(self, flat: Flat, site: Any, index: int, results: Sequence[Ref]) -> None:
        """Writes down the names of an equation's results; a tag's is that of the equation."""
        for ref, number in ((results[0], None), *zip(results, itertools.count())) if results else ():
            if is_number(ref) and (names := self.names.get((site, index, number))):
                flat.named.setdefault(ref, []).extend(names)

    def equation(self, flat: Flat, eqn, index: int, operands: tuple[Ref, ...], place: Place) -> Sequence[Ref]:
        kind = self.kind(eqn)
        inside = self.inside(eqn, index, kind, place)
        match kind:
            case "jit" | "checkpoint":
                return self.inline(flat, jaxprs.jaxprs_of(eqn)[0], operands, inside)
            case "custom_jvp" | "custom_vjp":
                return self.ruled(flat, kind, eqn, operands, inside)
            case "scan" | "while" | "cond":
                bodies, data, active = _ENTER[kind](self, flat, eqn, operands, inside)
            case _:
                bodies, kind = (), kind or "op"
                data = [any(flat.flags(operands, flat.data))] * len(eqn.outvars)
                flows = eqn.primitive not in self.stops and any(flat.flags(operands, flat.active))
                active = [flows] * len(eqn.outvars)
        outs = tuple(self.value(flat, v.aval, d, a) for v, d, a in zip(eqn.outvars, data, active, strict=True))
        flat.ops.append(Op(kind, operands, outs, place, index, eqn, tuple(bodies)))
        return outs

    def inside(self, eqn: Any, index: int, kind: str | None, place: Place) -> Place:
        site = None if place.site is None or kind in ("custom_jvp", "custom_vjp") else (*place.site, (index, 0))
        place = place._replace(site=site)
        is_call = kind in ("jit", "custom_jvp", "custom_vjp")
        if is_call and place.function is None and (function := origin.library_function(eqn)) is not None:
            place = place._replace(function=function, source=source_of(eqn))
        return place

    def ruled(self, flat: Flat, kind: str, eqn, operands: tuple[Ref, ...], place: Place) -> list[Ref]:
        """A function with a derivative rule of its own: its body, for the value, and its rule, for what decides."""
        moving = flat.flags(operands, flat.active)
        flows = any(moving)
        body = jaxprs.jaxprs_of(eqn)[0]
        outs = self.inline(flat, body, operands, place._replace(primal=place.primal or flows))
        if flows and not place.primal:
            tangents, rule = _rule(kind, eqn, moving)
            cuts = [self.cut(flat, ref, v.aval, place) for ref, v in zip(operands, eqn.invars, strict=True)]
            ones = [self.value(flat, aval, False, True) for aval in tangents]
            flat.ones.update(ones)
            found = self.inline(flat, rule, [*cuts, *ones], place)
            flat.ops.append(Op("root", tuple(found), (), place, watch=tuple(outs)))
        return outs

    def cut(self, flat: Flat, ref: Ref, aval: Any, place: Place) -> Ref:
        if not is_number(ref):
            return ref
        out = self.value(flat, aval, ref in flat.data, False)
        flat.ops.append(Op("cut", (ref,), (out,), place))
        return out

    def scan(self, flat: Flat, eqn, operands, place: Place):
        parts = kinds.scan_parts(eqn)
        body = jaxprs.jaxprs_of(eqn)[0]
        return self.repeated(flat, body, operands, parts.consts, parts.carry, place)

    def repeated(self, flat: Flat, body: Closed, operands, consts: int, carry: int, place: Place) -> Any:
        """A body run again and again: what flows into a carry at any step, flows in it at every step."""
        data, active = flat.flags(operands, flat.data), flat.flags(operands, flat.active)
        while True:
            inner = self.body(body, data, active, place)
            found = inner.flags(inner.outs, inner.data), inner.flags(inner.outs, inner.active)
            grown = [_grown(flags, new, consts, carry) for flags, new in zip((data, active), found, strict=True)]
            if grown == [data, active]:
                return (inner,), *found
            data, active = grown

    def loop(self, flat: Flat, eqn, operands, place: Place):
        test, body = (jaxprs.close(eqn.params[name]) for name in ("cond_jaxpr", "body_jaxpr"))
        first, second = eqn.params["cond_nconsts"], eqn.params["body_nconsts"]
        carry = len(operands) - first - second
        (inner,), data, active = self.repeated(flat, body, operands[first:], second, carry, place)
        flags = [flat.flags(operands[:first], among) for among in (flat.data, flat.active)]
        asked = self.body(test, [*flags[0], *data], [*flags[1], *active], place)
        return (asked, inner), data, active

    def branches(self, flat: Flat, eqn, operands, place: Place):
        index, *operands = operands
        flags = [flat.flags(operands, among) for among in (flat.data, flat.active)]
        bodies = []
        for number, closed in enumerate(jaxprs.jaxprs_of(eqn)):
            site = None if place.site is None else (*place.site[:-1], (place.site[-1][0], number))
            bodies.append(self.body(closed, flags[0], flags[1], place._replace(site=site)))
        chosen = is_number(index) and index in flat.data
        data = [chosen or any(c) for c in zip(*(b.flags(b.outs, b.data) for b in bodies), strict=True)]
        active = [any(c) for c in zip(*(b.flags(b.outs, b.active) for b in bodies), strict=True)]
        return bodies, data, active


_ENTER: dict[str, Callable] = {"scan": _Flattener.scan, "while": _Flattener.loop, "cond": _Flattener.branches}


def _grown(flags: list[bool], outs: list[bool], consts: int, carry: int) -> list[bool]:
    new = list(flags)
    for i in range(carry):
        new[consts + i] = flags[consts + i] or outs[i]
    return new


def _rule(kind: str, eqn: Any, moving: Flags) -> tuple[list[Any], Closed]:
    """The derivative rule of an equation, traced: (operands, tangents) -> tangents, or cotangents both; and the types
    of the tangents that go in: of the operands that are `moving`, for a rule may refuse or ignore the others."""
    types = [struct(v.aval) for v in eqn.invars]
    floats = [i for i, moves in enumerate(moving) if moves]

    def call(operands: Sequence[Any], moved: Sequence[Any]) -> list[Any]:
        operands = list(operands)
        for i, value in zip(floats, moved, strict=True):
            operands[i] = value
        outs = jaxprs.apply(eqn, operands)
        return [out for out in outs if jnp.issubdtype(out.dtype, jnp.inexact)]

    def forward(operands, tangents):
        return jax.jvp(lambda *moved: call(operands, moved), [operands[i] for i in floats], tangents)[1]

    def backward(operands, cotangents):
        return jax.vjp(lambda *moved: call(operands, moved), *[operands[i] for i in floats])[1](cotangents)

    results = [struct(v.aval) for v in eqn.outvars if is_float(v.aval)]
    moves = [types[i] for i in floats] if kind == "custom_jvp" else results
    closed, _ = jaxprs.trace(forward if kind == "custom_jvp" else backward, types, moves)
    return moves, closed


Ref: TypeAlias = Any  # a value: its number, or a Literal
Flags = Sequence[bool]


class Place(NamedTuple):
    """Where an operation comes from.

    Attributes:
        site: the equations down to the jaxpr it is in, as of a `Point`; None where no point can be.
        function: JAX's own function that it belongs to ("relu"), or None.
        source: the line that called that function.
        primal: in the body of a function with a derivative rule of its own: what is decided here, the derivative
            does not see; it sees the rule.
    """

    site: tuple[tuple[int, int], ...] | None = ()
    function: str | None = None
    source: str | None = None
    primal: bool = False


class Op(NamedTuple):
    """One operation.

    Attributes:
        kind: "op", an equation; "scan", "cond", "while", "name"; "cut", the identity through which nothing is
            differentiated; "root", after a derivative rule: what it gives counts if one of `watch` does.
        ins, outs: the values read and made.
        number: of its equation in the jaxpr that it comes from.
        bodies: the flat programs inside.
    """

    kind: str
    ins: tuple[Ref, ...]
    outs: tuple[int, ...]
    place: Place
    number: int = 0
    eqn: Any = None
    bodies: tuple[Flat, ...] = ()
    watch: tuple[Ref, ...] = ()

    @property
    def source(self) -> str:
        return source_of(self.eqn) if self.place.source is None else self.place.source


class Flat:
    """A flat program.

    Attributes:
        ops: in the order in which they run.
        ins, outs: the values that go in and come out.
        consts: the constants, by value number.
        ones: the tangents of derivative rules: values that stand for ones.
        avals: what each value is.
        data: the values that depend on a float input, in whatever way.
        active: of these, the ones through which a derivative flows.
        named: the names of the values that points are, innermost first.
    """

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.ins: list[int] = []
        self.outs: list[Ref] = []
        self.consts: dict[int, Any] = {}
        self.ones: set[int] = set()
        self.avals: dict[int, Any] = {}
        self.data: set[int] = set()
        self.active: set[int] = set()
        self.named: dict[int, list[str]] = {}

    def flags(self, refs: Sequence[Ref], among: set[int]) -> list[bool]:
        return [is_number(ref) and ref in among for ref in refs]


def is_number(ref: Ref) -> bool:
    return not is_literal(ref)


def is_float(aval: Any) -> bool:
    """Whether a value is real or complex."""
    return hasattr(aval, "dtype") and jnp.issubdtype(aval.dtype, jnp.inexact)


def stops() -> set[Any]:
    """Primitives with float results and no derivative."""
    return {primitive(name) for name in ("stop_gradient", "sign", "floor", "ceil", "round")}
