"""Evaluating a jaxpr again, with something done at each chosen point.

Stretches of equations that hold no chosen point are not touched: each is a jaxpr that JAX itself evaluates.
"""

from __future__ import annotations

import collections
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax

from . import _compat
from ._compat import Closed, Literal
from ._points import Point, Site
from ._rules import Body, Payload, Records, Result, carry_through


class Visitor(NamedTuple):
    """What is done at a point, and what is brought out from there.

    Attributes:
        visit: (name, value, payload) -> (the value that goes on, a note). The note is what is recorded of the visit;
            None for the value itself.
        recorded: from the shape and dtype of the value to those of what is recorded; None if nothing is.
    """

    visit: Callable[[str, Any, Any], tuple[Any, Any]]
    recorded: Callable[[jax.ShapeDtypeStruct], jax.ShapeDtypeStruct] | None


class _Met(NamedTuple):
    """A point seen from some jaxpr: the lengths of the scans between, and the value at one step."""

    lead: tuple[int, ...]
    value: jax.ShapeDtypeStruct


class _Stretch(NamedTuple):
    """Equations without a chosen point, as one jaxpr, and what evaluates it."""

    closed: Closed
    evaluate: Callable[[Sequence[Any]], Sequence[Any]]


class _Named(NamedTuple):
    """An equation that names a value, at a chosen point."""

    eqn: Any
    jaxpr: Any
    point: str


class _Entered(NamedTuple):
    """An equation that has chosen points inside."""

    kind: str
    eqn: Any
    plans: Sequence[Plan]


_Step: TypeAlias = _Stretch | _Named | _Entered


class Plan(NamedTuple):
    """A jaxpr divided into steps; per step, the variables that no later step reads."""

    closed: Closed
    steps: Sequence[_Step]
    dead: Sequence[Sequence[Any]]
    points: dict[str, _Met]


def plan(closed: Closed, points: Iterable[Point]) -> Plan:
    """How to evaluate `closed` so that each of `points` is visited."""
    return _plan(closed, {point.site: point.name for point in points}, _compat.kinds())


def run(plan: Plan, args: Sequence[Any], payload: Payload, visitor: Visitor) -> Result:
    """The results of the planned jaxpr, and by name the values met at its points."""
    jaxpr, consts = plan.closed
    env = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *args], strict=True))
    records: Records = {}
    for step, dead in zip(plan.steps, plan.dead, strict=True):
        invars, outvars = _operands(step)
        outs = _do(step, [_read(env, v) for v in invars], payload, visitor, records)
        env.update(zip(outvars, outs, strict=True))
        for v in dead:
            env.pop(v, None)
    return [_compat.as_array(_read(env, v)) for v in jaxpr.outvars], records


def _do(step: _Step, args: list[Any], payload: Payload, visitor: Visitor, records: Records) -> list[Any]:
    match step:
        case _Stretch():
            return list(step.evaluate(args))
        case _Named(eqn, jaxpr, point):
            # Visited before it is named: what goes on is again a point of this name, and can be walked again.
            value, note = visitor.visit(point, args[0], payload.get(point))
            named = _compat.name_again(jaxpr, eqn, value)
            if visitor.recorded is not None:
                records[point] = named if note is None else note
            return [named]
        case _Entered(kind, eqn, plans):
            # The records of all its branches come out: zeros for those not taken.
            outs, found = carry_through(kind, eqn, [_body(p, visitor) for p in plans], args, payload)
            records.update(found)
            return outs


def _body(plan: Plan, visitor: Visitor) -> Body:
    def run_body(payload: Payload, args: Sequence[Any]) -> Result:
        return run(plan, args, payload, visitor)

    return Body(run_body, list(plan.points), _record_shapes(plan, visitor))


def _record_shapes(plan: Plan, visitor: Visitor) -> dict[str, jax.ShapeDtypeStruct]:
    if visitor.recorded is None:
        return {}
    at_a_step = {name: (met.lead, visitor.recorded(met.value)) for name, met in plan.points.items()}
    return {name: _compat.struct(shape, lead) for name, (lead, shape) in at_a_step.items()}


def _operands(step: _Step) -> tuple[Sequence[Any], Sequence[Any]]:
    source = step.closed.jaxpr if isinstance(step, _Stretch) else step.eqn
    return source.invars, source.outvars


def _read(env: Mapping[Any, Any], v: Any) -> Any:
    return v.val if isinstance(v, Literal) else env[v]


def _plan(closed: Closed, sites: Mapping[Site, str], kind_of: Callable[[Any], str | None]) -> Plan:
    jaxpr = closed.jaxpr
    inside: dict[int, dict[Site, str]] = {}
    for site, name in sites.items():
        inside.setdefault(site[0][0], {})[site] = name
    last = _last_reads(jaxpr)
    steps: list[_Step] = []
    ends: list[int] = []
    for start, stop in _spans(len(jaxpr.eqns), sorted(inside)):
        steps.append(_step(jaxpr, start, stop, inside.get(start), last, kind_of))
        ends.append(stop)
    if _compat.is_staging():
        steps = _shared(steps)
    return Plan(closed, steps, _dead(ends, last, len(jaxpr.eqns)), _points(steps))


def _shared(steps: Sequence[_Step]) -> list[_Step]:
    """The steps, with equal stretches evaluated by one function, which JAX then traces and differentiates once.

    For when they are staged out: an inlined jit leaves no trace in what is compiled. Op by op it would compile them.
    """
    signatures = [_compat.signature(step.closed.jaxpr) if isinstance(step, _Stretch) else None for step in steps]
    counts = collections.Counter(signatures)
    functions: dict[Any, Callable] = {}
    shared: list[_Step] = []
    for step, signature in zip(steps, signatures, strict=True):
        if isinstance(step, _Stretch) and signature is not None and counts[signature] > 1:
            step = step._replace(evaluate=functions.setdefault(signature, jax.jit(step.evaluate, inline=True)))
        shared.append(step)
    return shared


def _spans(length: int, marked: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Consecutive spans of 0..length: each marked index alone, what lies between together."""
    start = 0
    for index in marked:
        if start < index:
            yield start, index
        yield index, index + 1
        start = index + 1
    if start < length:
        yield start, length


def _step(jaxpr, start: int, stop: int, inside, last, kind_of) -> _Step:
    eqn = jaxpr.eqns[start]
    if inside is None:
        closed = _between(jaxpr, start, stop, last)
        return _Stretch(closed, functools.partial(_compat.evaluate, closed))
    if kind_of(eqn) == "name":
        (name,) = inside.values()
        return _Named(eqn, jaxpr, name)
    plans = []
    for branch, sub in enumerate(_compat.jaxprs_of(eqn)):
        within = {site[1:]: name for site, name in inside.items() if site[0][1] == branch}
        plans.append(_plan(sub, within, kind_of))
    return _Entered(kind_of(eqn) or "", eqn, plans)


def _between(jaxpr, start: int, stop: int, last: Mapping[Any, int]) -> Closed:
    """Equations start..stop as a jaxpr: what they read from before goes in, what is read after comes out."""
    eqns = jaxpr.eqns[start:stop]
    made = {v: None for eqn in eqns for v in eqn.outvars}
    invars = {v: None for eqn in eqns for v in eqn.invars if not isinstance(v, Literal) and v not in made}
    return _compat.stretch(jaxpr, eqns, list(invars), [v for v in made if last.get(v, -1) >= stop])


def _last_reads(jaxpr) -> dict[Any, int]:
    """For each variable the last equation that reads it; past the end for the results."""
    last = {v: i for i, eqn in enumerate(jaxpr.eqns) for v in eqn.invars if not isinstance(v, Literal)}
    return last | {v: len(jaxpr.eqns) for v in jaxpr.outvars if not isinstance(v, Literal)}


def _dead(ends: Sequence[int], last: Mapping[Any, int], length: int) -> list[list[Any]]:
    dead: list[list[Any]] = [[] for _ in ends]
    step = 0
    for v, index in sorted(last.items(), key=lambda item: item[1]):
        while step < len(ends) and ends[step] <= index:
            step += 1
        if index < length:
            dead[step].append(v)
    return dead


def _points(steps: Sequence[_Step]) -> dict[str, _Met]:
    points: dict[str, _Met] = {}
    for step in steps:
        if isinstance(step, _Named):
            points[step.point] = _Met((), _compat.struct(step.eqn.outvars[0].aval))
        elif isinstance(step, _Entered):
            lead = (_compat.scan_parts(step.eqn).length,) if step.kind == "scan" else ()
            for inner in step.plans:
                points |= {name: met._replace(lead=(*lead, *met.lead)) for name, met in inner.points.items()}
    return points
