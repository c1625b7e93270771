"""Evaluating a jaxpr again, with something done at each chosen point.

Stretches of equations that hold no chosen point are not touched: each is a jaxpr that JAX itself evaluates.
"""

from __future__ import annotations

import collections
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax

from .._jax import jaxprs, kinds, origin, types
from .._jax.jaxprs import Closed, is_literal
from .._points.point import Point, Site
from .rules import Body, Payload, Records, Result, carry_through
from .versions import Key, Span, Versions


class Visitor(NamedTuple):
    """What is done at a point, and what is brought out from there.

    Attributes:
        visit: (name, value, payload) -> (the value that goes on, a note). The note is what is recorded of the visit;
            None for the value itself.
        recorded: (name, shape and dtype of the value) -> those of what is recorded, a pytree; None if nothing is.
        as_there: whether what `visit` computes is to be found where the value is: in its scopes, on its line.
    """

    visit: Callable[[str, Any, Any], tuple[Any, Any]]
    recorded: Callable[[str, jax.ShapeDtypeStruct], Any] | None
    as_there: bool = False


class _Met(NamedTuple):
    """A point seen from some jaxpr: the lengths of the scans between, and the value at one step."""

    lead: tuple[int, ...]
    value: jax.ShapeDtypeStruct


class _Visit(NamedTuple):
    """A value to visit: the point it is, and where it comes from."""

    point: str
    eqn: Any
    stack: int | None
    value: jax.ShapeDtypeStruct


class _Stretch(NamedTuple):
    """Equations without a chosen point inside, as one jaxpr, and what evaluates it."""

    closed: Closed
    evaluate: Callable[[Sequence[Any]], Sequence[Any]]


class _Named(NamedTuple):
    """An equation that names a value, at a chosen point."""

    eqn: Any
    jaxpr: Any
    visit: _Visit


class _Entered(NamedTuple):
    """An equation that has chosen points inside."""

    kind: str
    eqn: Any
    plans: Sequence[Plan]


_Core: TypeAlias = _Stretch | _Named | _Entered


class _Exit(NamedTuple):
    """A variable that is visited; and under which key what comes of it is read before the next visit, if it is."""

    visit: _Visit
    variable: Any
    early: Key | None


class _Step(NamedTuple):
    """What is run at once.

    Attributes:
        reads: under which keys it reads its operands.
        makes: its results.
        kept: results that some read before any visit, and the keys for that.
        exits: what is visited then.
        dead: the keys that nothing reads afterwards.
    """

    core: _Core
    reads: Sequence[Key]
    makes: Sequence[Any]
    kept: Sequence[tuple[Any, Key]]
    exits: Sequence[_Exit]
    dead: Sequence[Key]


class Plan(NamedTuple):
    """A jaxpr divided into steps."""

    closed: Closed
    steps: Sequence[_Step]
    points: dict[str, _Met]


def plan(closed: Closed, points: Iterable[Point], at_once: bool = False) -> Plan:
    """How to evaluate `closed` so that each of `points` is visited; `at_once` as of `Versions`."""
    return _Planner(kinds.kinds(), at_once).plan(closed, {point.site: point.name for point in points})


def run(plan: Plan, args: Sequence[Any], payload: Payload, visitor: Visitor) -> Result:
    """The results of the planned jaxpr, and by name the values met at its points."""
    jaxpr, consts = plan.closed
    env: dict[Key, Any] = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *args], strict=True))
    records: Records = {}
    for step in plan.steps:
        outs = _do(step.core, [_read(env, key) for key in step.reads], payload, visitor, records)
        env.update(zip(step.makes, outs, strict=True))
        env.update((key, env[v]) for v, key in step.kept)
        for visit, v, early in step.exits:
            env[v] = _visited(visit, env[v], payload, visitor, records, lambda value: value)
            if early is not None:
                env[early] = env[v]
        for key in step.dead:
            env.pop(key, None)
    return [jaxprs.as_array(_read(env, v)) for v in jaxpr.outvars], records


def _do(core: _Core, args: list[Any], payload: Payload, visitor: Visitor, records: Records) -> list[Any]:
    match core:
        case _Stretch():
            return list(core.evaluate(args))
        case _Named(eqn, jaxpr, visit):
            # Visited before it is named: what goes on is again a point of this name, and can be walked again.
            name_it = functools.partial(kinds.name_again, jaxpr, eqn)
            return [_visited(visit, args[0], payload, visitor, records, name_it)]
        case _Entered(kind, eqn, plans):
            # The records of all its branches come out: zeros for those not taken.
            carry = functools.partial(carry_through, kind, eqn, [_body(p, visitor) for p in plans])
            place = functools.partial(origin.as_at, eqn, None) if visitor.as_there else _call
            outs, found = place(carry, args, payload)
            records.update(found)
            return outs


def _call(fun: Callable, *args: Any) -> Any:
    return fun(*args)


def _visited(
    visit: _Visit, value: Any, payload: Payload, visitor: Visitor, records: Records, finish: Callable[[Any], Any]
) -> Any:
    at_point = functools.partial(visitor.visit, visit.point)
    if visitor.as_there:
        edit = lambda value, given: kinds.edited(at_point(value, given)[0])
        value, note = origin.as_at(visit.eqn, visit.stack, edit, value, payload.get(visit.point)), None
    else:
        value, note = at_point(value, payload.get(visit.point))
    value = finish(value)
    if visitor.recorded is not None:
        records[visit.point] = value if note is None else note
    return value


def _body(plan: Plan, visitor: Visitor) -> Body:
    def run_body(payload: Payload, args: Sequence[Any]) -> Result:
        return run(plan, args, payload, visitor)

    return Body(run_body, list(plan.points), _record_shapes(plan, visitor))


def _record_shapes(plan: Plan, visitor: Visitor) -> Records:
    recorded = visitor.recorded
    if recorded is None:
        return {}
    stacked = lambda name, met: jax.tree.map(lambda s: types.struct(s, met.lead), recorded(name, met.value))
    return {name: stacked(name, met) for name, met in plan.points.items()}


def _read(env: Mapping[Key, Any], v: Any) -> Any:
    return v.val if is_literal(v) else env[v]


# Planning -------------------------------------------------------------------------------------------------


class _Planner:
    def __init__(self, kind_of: Callable[[Any], str | None], at_once: bool):
        self._kind_of, self._at_once = kind_of, at_once

    def plan(self, closed: Closed, sites: Mapping[Site, str]) -> Plan:
        jaxpr = closed.jaxpr
        inside: dict[int, dict[Site, str]] = {}
        named: dict[int, Site] = {}
        leaving: list[Site] = []
        for site, name in sites.items():
            if site.calls:
                inside.setdefault(site.calls[0][0], {})[site] = name
            elif site.result is None:
                named[site.equation] = site
            else:
                leaving.append(site)
        versions = Versions(jaxpr, leaving, self._at_once)
        spans = list(versions.spans({*inside, *named}))
        cores: list[_Core] = []
        for span in spans:
            eqn = jaxpr.eqns[span.start]
            if span.start in named:
                cores.append(_Named(eqn, jaxpr, _visit(jaxpr, named[span.start], sites)))
            elif span.start in inside:
                cores.append(self._entered(eqn, inside[span.start]))
            else:
                cores.append(_stretch(jaxpr, span, versions))
        if jaxprs.is_staging():
            cores = _shared(cores)
        steps = [_step(jaxpr, core, span, versions, sites) for core, span in zip(cores, spans, strict=True)]
        return Plan(closed, steps, _points(steps))

    def _entered(self, eqn: Any, inside: Mapping[Site, str]) -> _Entered:
        plans = []
        for branch, sub in enumerate(jaxprs.jaxprs_of(eqn)):
            within = {s._replace(calls=s.calls[1:]): name for s, name in inside.items() if s.calls[0][1] == branch}
            plans.append(self.plan(sub, within))
        return _Entered(self._kind_of(eqn) or "", eqn, plans)


def _step(jaxpr: Any, core: _Core, span: Span, versions: Versions, sites: Mapping[Site, str]) -> _Step:
    source = core.closed.jaxpr if isinstance(core, _Stretch) else core.eqn
    exits = [_Exit(_visit(jaxpr, site, sites), v, early) for site, v, early in versions.visits(span)]
    reads = [v if is_literal(v) else span.read[v] for v in source.invars]
    return _Step(core, reads, source.outvars, versions.kept(span), exits, versions.dead(span))


def _visit(jaxpr: Any, site: Site, sites: Mapping[Site, str]) -> _Visit:
    eqn = jaxpr.eqns[site.equation]
    return _Visit(sites[site], eqn, site.stack, types.struct(eqn.outvars[site.result or 0].aval))


def _stretch(jaxpr: Any, span: Span, versions: Versions) -> _Stretch:
    """The equations of a span as a jaxpr: what they read from before goes in, what is needed afterwards comes out."""
    eqns = jaxpr.eqns[span.start : span.stop]
    made = {v: None for eqn in eqns for v in eqn.outvars}
    invars = {v: None for eqn in eqns for v in eqn.invars if not is_literal(v) and v not in made}
    closed = jaxprs.stretch(jaxpr, eqns, list(invars), [v for v in made if versions.is_needed(v, span.stop)])
    return _Stretch(closed, functools.partial(jaxprs.evaluate, closed))


def _shared(cores: Sequence[_Core]) -> list[_Core]:
    """The same, with equal stretches evaluated by one function, which JAX then traces and differentiates once.

    For when they are staged out: an inlined jit leaves no trace in what is compiled. Op by op it would compile them.
    """
    signatures = [jaxprs.signature(core.closed.jaxpr) if isinstance(core, _Stretch) else None for core in cores]
    counts = collections.Counter(signatures)
    functions: dict[Any, Callable] = {}
    shared: list[_Core] = []
    for core, signature in zip(cores, signatures, strict=True):
        if isinstance(core, _Stretch) and signature is not None and counts[signature] > 1:
            core = core._replace(evaluate=functions.setdefault(signature, jax.jit(core.evaluate, inline=True)))
        shared.append(core)
    return shared


def _points(steps: Sequence[_Step]) -> dict[str, _Met]:
    points: dict[str, _Met] = {}
    for step in steps:
        core = step.core
        if isinstance(core, _Entered):
            lead = (kinds.scan_parts(core.eqn).length,) if core.kind == "scan" else ()
            for inner in core.plans:
                points |= {name: met._replace(lead=(*lead, *met.lead)) for name, met in inner.points.items()}
        named = [core.visit] if isinstance(core, _Named) else []
        visits = [*named, *(exit.visit for exit in step.exits)]
        points |= {visit.point: _Met((), visit.value) for visit in visits}
    return points
