"""Flattening a traced function: calls inlined, loops and branches kept, derivative rules beside the functions that
they belong to."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from .._jax import compat
from .._jax.compat import Closed, is_literal
from .._points.point import Points
from .._source.statements import source_of
from .flat import Flags, Flat, Op, Place, Ref, is_float, is_number, stops


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
        self.kind = compat.kinds()
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
                return self.inline(flat, compat.jaxprs_of(eqn)[0], operands, inside)
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
        if is_call and place.function is None and (function := compat.library_function(eqn)) is not None:
            place = place._replace(function=function, source=source_of(eqn))
        return place

    def ruled(self, flat: Flat, kind: str, eqn, operands: tuple[Ref, ...], place: Place) -> list[Ref]:
        """A function with a derivative rule of its own: its body, for the value, and its rule, for what decides."""
        moving = flat.flags(operands, flat.active)
        flows = any(moving)
        body = compat.jaxprs_of(eqn)[0]
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
        parts = compat.scan_parts(eqn)
        body = compat.jaxprs_of(eqn)[0]
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
        test, body = (compat.close(eqn.params[name]) for name in ("cond_jaxpr", "body_jaxpr"))
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
        for number, closed in enumerate(compat.jaxprs_of(eqn)):
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
    types = [compat.struct(v.aval) for v in eqn.invars]
    floats = [i for i, moves in enumerate(moving) if moves]

    def call(operands: Sequence[Any], moved: Sequence[Any]) -> list[Any]:
        operands = list(operands)
        for i, value in zip(floats, moved, strict=True):
            operands[i] = value
        outs = compat.apply(eqn, operands)
        return [out for out in outs if jnp.issubdtype(out.dtype, jnp.inexact)]

    def forward(operands, tangents):
        return jax.jvp(lambda *moved: call(operands, moved), [operands[i] for i in floats], tangents)[1]

    def backward(operands, cotangents):
        return jax.vjp(lambda *moved: call(operands, moved), *[operands[i] for i in floats])[1](cotangents)

    results = [compat.struct(v.aval) for v in eqn.outvars if is_float(v.aval)]
    moves = [types[i] for i in floats] if kind == "custom_jvp" else results
    closed, _ = compat.trace(forward if kind == "custom_jvp" else backward, types, moves)
    return moves, closed
