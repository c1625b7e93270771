"""Planning how a jaxpr is evaluated again: in steps, each a stretch of equations as they are, or one at which something
is done."""

from __future__ import annotations

import collections
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

import jax

from .._jax import shards
from .._jax.jaxpr import jaxprs, kinds, types
from .._jax.jaxpr.jaxprs import Closed, is_literal
from .._jax.shards import Loop
from .._points.point import Point, Site
from .reads import Read, with_reads, within
from .spans import Span, Spans
from .substitute import Substitute

if TYPE_CHECKING:
    from jax.extend.core import Jaxpr, JaxprEqn, Literal, Var

_What = TypeVar("_What")


class Met(NamedTuple):
    """A chosen point, where it is met: the name, the equation, and the type."""

    point: str
    eqn: JaxprEqn
    value: jax.ShapeDtypeStruct


class Stretch(NamedTuple):
    """Equations without a chosen point inside, as one jaxpr, and what evaluates it."""

    closed: Closed
    evaluate: Callable[[Sequence[Any]], Sequence[Any]]


class NamedValue(NamedTuple):
    """An equation that names a value, at a chosen point."""

    eqn: JaxprEqn
    jaxpr: Jaxpr
    met: Met


class Entered(NamedTuple):
    """An equation that has chosen points inside."""

    kind: str
    eqn: JaxprEqn
    plans: Sequence[Plan]


class Substituted(NamedTuple):
    """An equation in whose place something else is run."""

    eqn: JaxprEqn
    by: Substitute


Core: TypeAlias = Stretch | NamedValue | Entered | Substituted


class Step(NamedTuple):
    """What is run at once, and what is visited then."""

    core: Core
    reads: Sequence[Var | Literal]  # its operands
    makes: Sequence[Var | Literal]  # its results
    visits: Sequence[tuple[Met, Var]]  # those of its results that are visited
    dead: Sequence[Var]  # what nothing reads afterwards


class Plan(NamedTuple):
    """A jaxpr divided into steps."""

    closed: Closed
    steps: Sequence[Step]

    def met(self) -> Iterator[Met]:
        """Yield the points in it, but for those inside of an equation."""
        for step in self.steps:
            yield from [step.core.met] if isinstance(step.core, NamedValue) else []
            yield from (met for met, _ in step.visits)

    def substitutes(self) -> Iterator[Substitute]:
        """Yield what stands in for its equations, but for those inside of an equation."""
        yield from (step.core.by for step in self.steps if isinstance(step.core, Substituted))

    def entered(self) -> Iterator[tuple[Sequence[Loop], Plan]]:
        """Yield what is inside of its equations, with what gives it leading axes: a scan, or a shard_map."""
        for core in (step.core for step in self.steps):
            if isinstance(core, Entered):
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
    cores: list[Core] = []
    for span in divided:
        eqn = jaxpr.eqns[span.start]
        if span.start in named:
            cores.append(NamedValue(eqn, jaxpr, _met(jaxpr, named[span.start], sites)))
        elif span.start in substituted:
            cores.append(Substituted(eqn, substituted[span.start]))
        elif span.start in inside:
            here = [(body, (span.start, branch)) for branch, body in enumerate(jaxprs.jaxprs_of(eqn))]
            cores.append(Entered(kind_of(eqn) or "", eqn, [
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


def _step(jaxpr: Jaxpr, core: Core, span: Span, spans: Spans, sites: Mapping[Site, str]) -> Step:
    source = core.closed.jaxpr if isinstance(core, Stretch) else core.eqn
    reads = core.by.reads if isinstance(core, Substituted) else source.invars
    visits = [(_met(jaxpr, site, sites), v) for site, v in spans.visits(span)]
    return Step(core, reads, source.outvars, visits, spans.dead(span))


def _met(jaxpr: Jaxpr, site: Site, sites: Mapping[Site, str]) -> Met:
    eqn = jaxpr.eqns[site.equation]
    return Met(sites[site], eqn, types.struct(eqn.outvars[site.result or 0].aval))


def _stretch(jaxpr: Jaxpr, span: Span, spans: Spans) -> Stretch:
    """Return the equations of a span as a jaxpr: what they read goes in, what is needed after it comes out."""
    eqns = jaxpr.eqns[span.start : span.stop]
    made = dict.fromkeys(v for eqn in eqns for v in eqn.outvars)
    invars = dict.fromkeys(v for eqn in eqns for v in eqn.invars if not is_literal(v) and v not in made)
    closed = jaxprs.stretch(jaxpr, eqns, list(invars), [v for v in made if spans.is_needed(v, span.stop)])
    return Stretch(closed, functools.partial(jaxprs.evaluate, closed))


def _shared(cores: Sequence[Core]) -> list[Core]:
    """Return the same, with equal stretches evaluated by one function, which JAX traces and differentiates once.

    This is for what is staged out: an inlined jit leaves no trace in what is compiled. Op by op it would compile them.
    """
    signatures = [jaxprs.signature(core.closed.jaxpr) if isinstance(core, Stretch) else None for core in cores]
    counts = collections.Counter(signatures)
    functions: dict[Any, Callable] = {}
    shared: list[Core] = []
    for core, signature in zip(cores, signatures, strict=True):
        if isinstance(core, Stretch) and signature is not None and counts[signature] > 1:
            core = core._replace(evaluate=functions.setdefault(signature, jax.jit(core.evaluate, inline=True)))
        shared.append(core)
    return shared
