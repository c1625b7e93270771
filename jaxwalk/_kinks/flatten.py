"""Makes a flat program of a traced function: calls are inlined, derivative rules put after their functions."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax

from .._errors import ArgumentError
from .._jax.jaxpr import call_parameters, jaxprs, kinds, primitives
from .._jax.jaxpr.jaxprs import Closed, is_literal
from .._jax.jaxpr.types import is_float, struct
from .._jax.origin import library_function, name_stack, source_of
from .._points.point import Point, Points
from .program import STEPS, Flow, Name, Operation, Origin, Program, until_stable

if TYPE_CHECKING:
    from jax.extend.core import JaxprEqn, Literal, Var

_PASSED = {"stop_gradient": ~Flow.DERIVATIVE, **dict.fromkeys(STEPS, Flow.DATA)}
_SMOOTH = {"sinc"}  # JAX's functions that are, though they reduce their argument in steps, or ask whether it is 0
_Inner = tuple[Sequence[Program], Sequence[Flow]]  # the programs inside an operation, what flows into its results


def flatten(closed: Closed, points: Points) -> Program:
    """Return a traced function as a flat program, differentiated by its float inputs."""
    flows = [~Flow.NONE if is_float(v.aval) else Flow.NONE for v in closed.jaxpr.invars]
    return _Flattener(points).program(closed, flows, Origin())


class _Flattener:
    def __init__(self, points: Points) -> None:
        self.names: dict[tuple[Any, int, int | None], list[Point]] = {}
        for point in points.values():
            if point.opaque is None and not point.in_while:
                self.names.setdefault(point.site, []).append(point)
        self.kind, self.primitive_name = kinds.kinds(), primitives.names()
        self.number = itertools.count()

    def program(self, closed: Closed, flows: Sequence[Flow], origin: Origin) -> Program:
        program = Program()
        program.ins = [self.value(program, v.aval, flow) for v, flow in zip(closed.jaxpr.invars, flows, strict=True)]
        program.outs = self.inline(program, closed, program.ins, origin)
        return program

    def value(self, program: Program, aval: Any, flow: Flow) -> int:
        number = next(self.number)
        program.avals[number] = aval
        program.flows[number] = flow if is_float(aval) else flow & Flow.DATA
        return number

    def inline(self, program: Program, closed: Closed, ins: Sequence[int], origin: Origin) -> list[int]:
        jaxpr, consts = closed
        numbers: dict[Var, int] = dict(zip(jaxpr.invars, ins, strict=True))
        for v, const in zip(jaxpr.constvars, consts, strict=True):
            numbers[v] = self.value(program, v.aval, Flow.NONE)
            program.consts[numbers[v]] = const

        def read(v: Var | Literal) -> int:
            if not is_literal(v):
                return numbers[v]  # type: ignore[index]
            number = self.value(program, v.aval, Flow.NONE)
            program.literals[number] = v  # type: ignore[assignment]
            return number

        for index, eqn in enumerate(jaxpr.eqns):
            here = origin._replace(scopes=origin.scopes + tuple(element.identity for element in name_stack(eqn)))
            outs = self.equation(program, eqn, index, tuple(map(read, eqn.invars)), here)
            self.give_names(program, here, index, outs)
            numbers.update(zip(eqn.outvars, outs, strict=True))
        return [read(v) for v in jaxpr.outvars]

    def give_names(self, program: Program, origin: Origin, index: int, outs: Sequence[int]) -> None:
        """Write down the names of an equation's results; a tag's is that of the equation."""
        named = lambda point: Name(point.name, point.opening, point.kind == "line")
        for number, result in ((outs[0], None), *zip(outs, itertools.count())) if outs else ():
            if number not in program.literals and (points := self.names.get((origin.site, index, result))):
                program.names.setdefault(number, []).extend(map(named, points))

    def equation(
        self, program: Program, eqn: JaxprEqn, index: int, ins: tuple[int, ...], origin: Origin
    ) -> Sequence[int]:
        if jaxprs.touches_ref(eqn):
            raise ArgumentError(
                "`kinks` cannot follow a mutable array (`jax.new_ref`), which `fun` writes to; make a new array"
                " instead, as `x.at[i].set(y)` does."
            )
        kind, name = self.kind(eqn), None
        inner = self.inner(eqn, index, kind, origin)
        match kind:
            case "jit" | "checkpoint":
                return self.inline(program, jaxprs.jaxprs_of(eqn)[0], ins, inner)
            case "custom_jvp" | "custom_vjp":
                return self.with_rule(program, kind, jaxprs.jaxprs_of(eqn)[0], eqn, ins, inner)
            case None if jaxprs.calls_a_jaxpr(eqn):
                return self.inline(program, jaxprs.jaxprs_of(eqn)[0], ins, inner)
            case None if (closed := jaxprs.expanded(eqn)) is not None:
                if any(is_float(v.aval) for v in eqn.outvars):
                    return self.with_rule(program, "custom_jvp", closed, eqn, ins, inner)
                return self.inline(program, closed, ins, inner)
            case "scan":
                bodies, flows = self.scan(eqn, program.flows_of(ins), inner)
            case "while":
                bodies, flows = self.while_loop(eqn, program.flows_of(ins), inner)
            case "cond":
                bodies, flows = self.cond(eqn, program.flows_of(ins), inner)
            case _:
                kind = "name" if call_parameters.only_places(eqn) else kind
                bodies, kind, name = (), kind or "op", None if kind else self.primitive_name(eqn)
                eqn = call_parameters.without_places(eqn)
                flow = functools.reduce(operator.or_, program.flows_of(ins), Flow.NONE)
                flows = [flow & _PASSED.get(name or "", ~Flow.NONE)] * len(eqn.outvars)
        outs = tuple(self.value(program, v.aval, flow) for v, flow in zip(eqn.outvars, flows, strict=True))
        program.ops.append(Operation(kind, name, ins, outs, origin, eqn, tuple(bodies)))
        return outs

    def inner(self, eqn: JaxprEqn, index: int, kind: str | None, outer: Origin) -> Origin:
        """Return the origin of the operations inside an equation."""
        site = None if outer.site is None or kind in ("custom_jvp", "custom_vjp", None) else (*outer.site, (index, 0))
        inner = outer._replace(site=site)
        is_call = kind in ("jit", "custom_jvp", "custom_vjp")
        if is_call and outer.function is None and (function := library_function(eqn)) is not None:
            smooth = outer.primal or function in _SMOOTH
            inner = inner._replace(function=function, source=source_of(eqn), primal=smooth)
        return inner

    def with_rule(
        self, program: Program, kind: str, body: Closed, eqn: JaxprEqn, ins: tuple[int, ...], origin: Origin
    ) -> Sequence[int]:
        """Inlines a function with a derivative rule of its own: its body, for the value; its rule, for what decides."""
        moving = [i for i, flow in enumerate(program.flows_of(ins)) if flow & Flow.DERIVATIVE]
        primal = origin.primal or (bool(moving) and not origin.in_rule)
        outs = self.inline(program, body, ins, origin._replace(primal=primal))
        if moving and not origin.primal and not origin.in_rule:
            origin = origin._replace(in_rule=True)
            tangents, rule = _derivative_rule(kind, eqn, moving)
            cuts = [self.cut(program, eqn, number, origin) for number in ins]
            ones = [self.value(program, aval, Flow.DERIVATIVE) for aval in tangents]
            program.ones.update(ones)
            found = self.inline(program, rule, [*cuts, *ones], origin)
            ruled = tuple(out for out in outs if out not in program.literals)
            program.ops.append(Operation("rule", None, tuple(found), (), origin, eqn, ruled=ruled))
        return outs

    def cut(self, program: Program, eqn: JaxprEqn, number: int, origin: Origin) -> int:
        if number in program.literals:
            return number
        out = self.value(program, program.avals[number], program.flows[number] & ~Flow.DERIVATIVE)
        program.ops.append(Operation("cut", None, (number,), (out,), origin, eqn))
        return out

    def scan(self, eqn: JaxprEqn, flows: list[Flow], origin: Origin) -> _Inner:
        parts = call_parameters.scan_parts(eqn)
        inner = self.loop_body(jaxprs.jaxprs_of(eqn)[0], flows, parts.consts, parts.carry, origin)
        return (inner,), inner.flows_of(inner.outs)

    def while_loop(self, eqn: JaxprEqn, flows: list[Flow], origin: Origin) -> _Inner:
        parts = call_parameters.while_parts(eqn)
        consts, flows = flows[: parts.test_consts], flows[parts.test_consts :]
        body = self.loop_body(parts.body, flows, parts.body_consts, len(flows) - parts.body_consts, origin)
        carried = body.flows_of(body.outs)
        return (self.program(parts.test, [*consts, *carried], origin), body), carried

    def loop_body(self, body: Closed, flows: list[Flow], consts: int, carry: int, origin: Origin) -> Program:
        """Flatten a body that is run again and again: what flows into a carry at one step flows into it at all."""

        def step(flows: list[Flow]) -> tuple[Program, list[Flow]]:
            inner = self.program(body, flows, origin)
            carried = map(operator.or_, flows[consts : consts + carry], inner.flows_of(inner.outs))
            return inner, [*flows[:consts], *carried, *flows[consts + carry :]]

        return until_stable(step, flows)

    def cond(self, eqn: JaxprEqn, flows: list[Flow], origin: Origin) -> _Inner:
        chosen, *flows = flows
        bodies = []
        for number, closed in enumerate(jaxprs.jaxprs_of(eqn)):
            site = None if origin.site is None else (*origin.site[:-1], (origin.site[-1][0], number))
            bodies.append(self.program(closed, flows, origin._replace(site=site)))
        results = zip(*(body.flows_of(body.outs) for body in bodies), strict=True)
        return bodies, [functools.reduce(operator.or_, result, chosen & Flow.DATA) for result in results]


def _derivative_rule(kind: str, eqn: JaxprEqn, moving: Sequence[int]) -> tuple[list[Any], Closed]:
    """Trace the derivative rule of an equation, (operands, tangents) -> tangents, or cotangents both.

    Returns the types of the tangents that go in, and the rule. They are those of the `moving` operands alone, for a
    rule may refuse or ignore the others.
    """
    types = [struct(v.aval) for v in eqn.invars]
    at = lambda operands: [operands[i] for i in moving]
    moved = lambda operands: jaxprs.function_of(eqn, operands, moving)
    if kind == "custom_jvp":
        rule = lambda operands, tangents: jax.jvp(moved(operands), at(operands), tangents)[1]
        tangents = at(types)
    else:
        rule = lambda operands, cotangents: jax.vjp(moved(operands), *at(operands))[1](cotangents)
        tangents = [struct(v.aval) for v in eqn.outvars if is_float(v.aval)]
    return tangents, jaxprs.trace(rule, types, tangents)[0]
