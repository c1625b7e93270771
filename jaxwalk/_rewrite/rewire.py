"""Evaluating a jaxpr again, with something done at each chosen point.

Stretches of equations that hold no chosen point are not touched: each is a jaxpr that JAX itself evaluates.
"""

from __future__ import annotations

import collections
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

import jax

from .._jax import origin, shards
from .._jax.jaxpr import jaxprs, kinds, types
from .._jax.jaxpr.jaxprs import Closed, is_literal
from .._jax.shards import Loop
from .._points.point import Point, Site
from .reads import Read, with_reads, within
from .rules import Body, Payload, Records, Result, carry_through
from .spans import Span, Spans
from .substitute import Substitute

if TYPE_CHECKING:
    from jax.extend.core import Jaxpr, JaxprEqn, Literal, Var

_What = TypeVar("_What")


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
    """A chosen point, where it is met: the name, the equation, and the type."""

    point: str
    eqn: JaxprEqn
    value: jax.ShapeDtypeStruct


class _Stretch(NamedTuple):
    """Equations without a chosen point inside, as one jaxpr, and what evaluates it."""

    closed: Closed
    evaluate: Callable[[Sequence[Any]], Sequence[Any]]


class _Named(NamedTuple):
    """An equation that names a value, at a chosen point."""

    eqn: JaxprEqn
    jaxpr: Jaxpr
    met: _Met


class _Entered(NamedTuple):
    """An equation that has chosen points inside."""

    kind: str
    eqn: JaxprEqn
    plans: Sequence[Plan]


class _Substituted(NamedTuple):
    """An equation in whose place something else is run."""

    eqn: JaxprEqn
    by: Substitute


_Core: TypeAlias = _Stretch | _Named | _Entered | _Substituted


class _Step(NamedTuple):
    """What is run at once, and what is visited then."""

    core: _Core
    reads: Sequence[Var | Literal]  # its operands
    makes: Sequence[Var | Literal]  # its results
    visits: Sequence[tuple[_Met, Var]]  # those of its results that are visited
    dead: Sequence[Var]  # what nothing reads afterwards


class Plan(NamedTuple):
    """A jaxpr divided into steps."""

    closed: Closed
    steps: Sequence[_Step]

    def met(self) -> Iterator[_Met]:
        """Yield the points in it, but for those inside of an equation."""
        for step in self.steps:
            yield from [step.core.met] if isinstance(step.core, _Named) else []
            yield from (met for met, _ in step.visits)

    def substitutes(self) -> Iterator[Substitute]:
        """Yield what stands in for its equations, but for those inside of an equation."""
        yield from (step.core.by for step in self.steps if isinstance(step.core, _Substituted))

    def entered(self) -> Iterator[tuple[Sequence[Loop], Plan]]:
        """Yield what is inside of its equations, with what gives it leading axes: a scan, or a shard_map."""
        for core in (step.core for step in self.steps):
            if isinstance(core, _Entered):
                loops = shards.loops_of(core.kind, core.eqn)
                yield from ((loops, plan) for plan in core.plans)


def plan(closed: Closed, points: Iterable[Point], substitutes: Iterable[Substitute] = ()) -> Plan:
    """Plan how to evaluate `closed` so that each of `points` is visited, and each of `substitutes` stands in."""
    stand_ins = {substitute.site: substitute for substitute in substitutes}
    return _plan(closed, _names(points), stand_ins, (), kinds.kinds())


def plan_with_reads(closed: Closed, points: Iterable[Point], reads: Sequence[Read]) -> Plan:
    """Plan how to evaluate `closed` so that each of `points`, and of `reads`, is visited."""
    return _plan(closed, _names(points), {}, reads, kinds.kinds())


def _names(points: Iterable[Point]) -> dict[Site, str]:
    return {point.site: point.name for point in points}


def run(plan: Plan, args: Sequence[Any], payload: Payload, visitor: Visitor) -> Result:
    """Return the results of the planned jaxpr, and by name the values met at its points."""
    jaxpr, consts = plan.closed
    env: dict[Var | Literal, Any] = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *args], strict=True))
    records: Records = {}
    for step in plan.steps:
        outs = _do(step.core, [_read(env, v) for v in step.reads], payload, visitor, records)
        env.update(zip(step.makes, outs, strict=True))
        for met, v in step.visits:
            env[v] = _visited(met, env[v], payload, visitor, records)
        for v in step.dead:
            env.pop(v, None)
    return [jaxprs.as_array(_read(env, v)) for v in jaxpr.outvars], records


def _do(core: _Core, args: list[Any], payload: Payload, visitor: Visitor, records: Records) -> list[Any]:
    match core:
        case _Stretch():
            return list(core.evaluate(args))
        case _Named(eqn, jaxpr, met):
            # It is visited before it is named: what goes on is again a point of this name, and can be walked again.
            return [_visited(met, args[0], payload, visitor, records, functools.partial(kinds.name_again, jaxpr, eqn))]
        case _Substituted(_, by):
            outs, record = by.run(args, payload.get(by.name))
            records.update({} if by.recorded is None else {by.name: record})
            return list(outs)
        case _Entered(kind, eqn, plans):
            # The records of all its branches come out: zeros for those not taken.
            carry = functools.partial(carry_through, kind, eqn, [_body(p, visitor) for p in plans])
            there = functools.partial(origin.as_at, eqn, carry) if visitor.as_there else carry
            outs, found = there(args, payload)
            records.update(found)
            return outs


def _visited(
    met: _Met,
    value: Any,
    payload: Payload,
    visitor: Visitor,
    records: Records,
    finish: Callable[[Any], Any] = lambda value: value,
) -> Any:
    value, at_point = jaxprs.as_array(value), functools.partial(visitor.visit, met.point)
    if visitor.as_there:
        edit = lambda value, its_payload: kinds.edited(at_point(value, its_payload)[0])
        value, note = origin.as_at(met.eqn, edit, value, payload.get(met.point)), None
    else:
        value, note = at_point(value, payload.get(met.point))
    value = finish(value)
    if visitor.recorded is not None:
        records[met.point] = value if note is None else note
    return value


def _body(plan: Plan, visitor: Visitor) -> Body:
    def run_body(payload: Payload, args: Sequence[Any]) -> Result:
        return run(plan, args, payload, visitor)

    types_of = _types(plan, visitor.recorded or (lambda name, value: None))
    records = {name: record for name, (_, record) in types_of.items() if record is not None}
    return Body(run_body, {name: value for name, (value, _) in types_of.items()}, records)


def _types(plan: Plan, recorded: Callable[[str, jax.ShapeDtypeStruct], Any]) -> dict[str, tuple[Any, Any]]:
    """Return by name the types of the values at all points in a plan, and of what is recorded of them."""
    found = {met.point: (met.value, recorded(met.point, met.value)) for met in plan.met()}
    found |= {by.name: (by.recorded, by.recorded) for by in plan.substitutes()}
    for loops, inner in plan.entered():
        for name, (value, record) in _types(inner, recorded).items():
            outside = functools.partial(shards.around, value=value, loops=loops)
            found[name] = jax.tree.map(outside, (value, record))
    return found


def _read(env: Mapping[Var | Literal, Any], v: Var | Literal) -> Any:
    return v.val if is_literal(v) else env[v]


# Planning -------------------------------------------------------------------------------------------------


def _plan(
    closed: Closed,
    sites: Mapping[Site, str],
    stand_ins: Mapping[Site, Substitute],
    reads: Sequence[Read],
    kind_of: Callable[[JaxprEqn], str | None],
) -> Plan:
    if reads:
        closed, sites, reads = with_reads(closed, sites, reads)
    jaxpr = closed.jaxpr
    inside: dict[int, dict[Site, str]] = {s.calls[0][0]: {} for s in (*stand_ins, *reads) if s.calls}
    substituted = {site.equation: by for site, by in stand_ins.items() if not site.calls}
    named: dict[int, Site] = {}
    results: list[Site] = []
    for site, name in sites.items():
        if site.calls:
            inside.setdefault(site.calls[0][0], {})[site] = name
        elif site.result is None:
            named[site.equation] = site
        else:
            results.append(site)
    spans = Spans(jaxpr, results, {index: by.reads for index, by in substituted.items()})
    divided = list(spans.divide({*inside, *named, *substituted}))
    cores: list[_Core] = []
    for span in divided:
        eqn = jaxpr.eqns[span.start]
        if span.start in named:
            cores.append(_Named(eqn, jaxpr, _met(jaxpr, named[span.start], sites)))
        elif span.start in substituted:
            cores.append(_Substituted(eqn, substituted[span.start]))
        elif span.start in inside:
            here = [(body, (span.start, branch)) for branch, body in enumerate(jaxprs.jaxprs_of(eqn))]
            cores.append(_Entered(kind_of(eqn) or "", eqn, [
                _plan(body, _within(inside[span.start], call), _within(stand_ins, call), within(reads, call), kind_of)
                for body, call in here
            ]))  # fmt: skip
        else:
            cores.append(_stretch(jaxpr, span, spans))
    if jaxprs.is_staging():
        cores = _shared(cores)
    return Plan(closed, [_step(jaxpr, *both, spans, sites) for both in zip(cores, divided, strict=True)])


def _within(sites: Mapping[Site, _What], call: tuple[int, int]) -> dict[Site, _What]:
    """Return those of `sites` that are in one jaxpr of an equation, as they are seen from there."""
    return {s._replace(calls=s.calls[1:]): what for s, what in sites.items() if s.calls[:1] == (call,)}


def _step(jaxpr: Jaxpr, core: _Core, span: Span, spans: Spans, sites: Mapping[Site, str]) -> _Step:
    source = core.closed.jaxpr if isinstance(core, _Stretch) else core.eqn
    reads = core.by.reads if isinstance(core, _Substituted) else source.invars
    visits = [(_met(jaxpr, site, sites), v) for site, v in spans.visits(span)]
    return _Step(core, reads, source.outvars, visits, spans.dead(span))


def _met(jaxpr: Jaxpr, site: Site, sites: Mapping[Site, str]) -> _Met:
    eqn = jaxpr.eqns[site.equation]
    return _Met(sites[site], eqn, types.struct(eqn.outvars[site.result or 0].aval))


def _stretch(jaxpr: Jaxpr, span: Span, spans: Spans) -> _Stretch:
    """Return the equations of a span as a jaxpr: what they read goes in, what is needed after it comes out."""
    eqns = jaxpr.eqns[span.start : span.stop]
    made = dict.fromkeys(v for eqn in eqns for v in eqn.outvars)
    invars = dict.fromkeys(v for eqn in eqns for v in eqn.invars if not is_literal(v) and v not in made)
    closed = jaxprs.stretch(jaxpr, eqns, list(invars), [v for v in made if spans.is_needed(v, span.stop)])
    return _Stretch(closed, functools.partial(jaxprs.evaluate, closed))


def _shared(cores: Sequence[_Core]) -> list[_Core]:
    """Return the same, with equal stretches evaluated by one function, which JAX traces and differentiates once.

    This is for what is staged out: an inlined jit leaves no trace in what is compiled. Op by op it would compile them.
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
