"""Following the values at points through a program, along sums: who reads which of them, and in which steps."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence, Set
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..._jax.jaxpr import call_parameters, jaxprs, kinds, types
from ..._jax.jaxpr.jaxprs import Closed, is_literal
from ..._points.paths.paths import Entry, Path
from ..._points.point import Point, Site
from .equations import constant, constants, summing
from .loops import Loop, unrolled
from .readers import Calls, Level, Scopes
from .sums import NOTHING, Sum, Term, Why, added, agreed, bend

if TYPE_CHECKING:
    from jax.extend.core import JaxprEqn, Literal, Var

STEPS = 1024
"""Of loops, that are told apart: each is a writer, and a reader, of its own."""


class Place(NamedTuple):
    """Where a scope reads a value from outside of it."""

    scope: Entry
    calls: Calls
    variable: Var


class Met(NamedTuple):
    """What is read at a place: by which equations, within which scans, and what it is a sum of."""

    equations: tuple[int, ...]
    loops: tuple[int, ...]
    value: Sum


class _At(NamedTuple):
    """Which equation is run, and what it is in."""

    calls: Calls
    loops: tuple[int, ...]
    path: Path
    scopes: frozenset[Entry]  # of the path, those that read


class Stream:
    """Runs a program on sums.

    Arguments:
        closed: the program.
        scopes: of it.
        readers: the scopes that read.
        points: whose values are followed.
        by_value: the sites of those that read: who reads the values there, reads for them.

    Attributes:
        reads: what scopes read.
        values: by site, what the value there is a sum of, itself aside.
    """

    def __init__(
        self, closed: Closed, scopes: Scopes, readers: Iterable[Entry], points: Iterable[Point], by_value: Set[Site]
    ):
        self._scopes, self._readers = scopes, frozenset(readers)
        self._kind, self._summed = kinds.kinds(), summing()
        self._points: dict[tuple[Calls, int], list[Point]] = {}
        self._by_value = by_value
        self._around: set[tuple[Calls, int]] = set()  # equations that run what some of the points are in
        for point in points:
            calls, equation, _ = point.site
            self._points.setdefault((calls, equation), []).append(point)
            self._around.update((calls[:depth], index) for depth, (index, _) in enumerate(calls))
        self._is_trial = False
        self.reads: dict[Place, Met] = {}
        self.values: dict[Site, Sum] = {}
        self.run((), [NOTHING] * len(closed.jaxpr.invars), ())

    def run(self, calls: Calls, operands: Sequence[Sum], loops: tuple[int, ...]) -> list[Sum]:
        """Return what the results of a jaxpr are sums of."""
        level = self._scopes.level(calls)
        env: dict[Var, Sum] = dict(zip(level.jaxpr.invars, operands, strict=True))
        look = lambda v: constant(v) if is_literal(v) else env.get(v, NOTHING)
        for index, eqn in enumerate(level.jaxpr.eqns):
            at = _At(calls, loops, level.paths[index], self._readers.intersection(level.paths[index]))
            read = [look(v).within(at.scopes) for v in eqn.invars]
            results = self._through(eqn, index, at, read)
            if at.scopes and not self._is_trial:
                self._note(level, index, at, read)
            results = [_made(s, v, at.path) for s, v in zip(results, eqn.outvars, strict=True)]
            for point in self._points.get((calls, index), ()):
                place = point.site.result or 0
                results[place] = self._at_point(point, results[place], loops)._replace(made=at.path)
            env.update(zip(eqn.outvars, results, strict=True))
        return list(map(look, level.jaxpr.outvars))

    def _at_point(self, point: Point, value: Sum, loops: tuple[int, ...]) -> Sum:
        """Note what the value at a point is a sum of, and return what it is to those who read it."""
        self.values[point.site] = value
        if point.site in self._by_value:
            value = value._replace(read=frozenset(term.source for term in value.terms))
        own = np.eye(math.prod(loops)).reshape(loops + loops)
        return added(value, Sum({Term(point.site): own}))

    def _note(self, level: Level, index: int, at: _At, read: Sequence[Sum]) -> None:
        """Note what the scopes that an equation is in read with it from outside."""
        eqn = level.jaxpr.eqns[index]
        for scope, (v, value) in itertools.product(at.scopes, zip(eqn.invars, read, strict=True)):
            if value.is_nothing or is_literal(v) or scope in value.made:
                continue
            if scope in level.around and v in level.jaxpr.invars:
                continue  # the equation that runs this jaxpr has read it
            place = Place(scope, at.calls, v)
            before = self.reads[place].equations if place in self.reads else ()
            self.reads[place] = Met(tuple(sorted({*before, index})), at.loops, value)

    def _through(self, eqn: JaxprEqn, index: int, at: _At, read: Sequence[Sum]) -> list[Sum]:
        kind = self._kind(eqn)
        calls = lambda branch: (*at.calls, (index, branch))
        if (numbers := constants(eqn, read)) is not None:
            return numbers
        if all(value.is_nothing for value in read) and (at.calls, index) not in self._around:
            return [NOTHING] * len(eqn.outvars)
        if kind in ("jit", "checkpoint"):
            return self.run(calls(0), read, at.loops)
        if kind == "cond":
            branches = [self.run(calls(i), read[1:], at.loops) for i in range(len(jaxprs.jaxprs_of(eqn)))]
            why = Why("a `cond` in which branches differ", eqn)
            return [agreed(list(each), at.scopes, why) for each in zip(*branches, strict=True)]
        if kind == "scan":
            return self._scan(eqn, calls(0), at, read)
        found = self._summed(eqn, read)
        if found is None or len(found) != len(eqn.outvars):
            found = [bend(read, at.scopes, Why(f"`{eqn.primitive}`", eqn))] * len(eqn.outvars)
        return found

    def _scan(self, eqn: JaxprEqn, calls: Calls, at: _At, read: Sequence[Sum]) -> list[Sum]:
        parts = call_parameters.scan_parts(eqn)
        if math.prod(at.loops) * parts.length > STEPS:
            why = Why(f"a scan of {parts.length} steps, too many to be told apart,", eqn)
            return [bend(read, at.scopes, why)] * len(eqn.outvars)
        loop = Loop.of(read, parts)
        slices = [bend([s], at.scopes, Why("what a scan takes step by step", eqn)) for s in loop.stacked]
        body = lambda carry: self.run(calls, [*loop.consts, *carry, *slices], (*at.loops, parts.length))
        self._is_trial, before = True, self._is_trial
        symbols = [object() if types.is_float(v.aval) else None for v in eqn.outvars[: parts.carry]]
        ones = np.ones((*at.loops, parts.length))
        made = body([NOTHING if s is None else Sum({Term(s): ones}) for s in symbols])
        self._is_trial = before
        coming, leaving = unrolled(loop, symbols, [each.terms for each in made[: parts.carry]])
        bent = [s.bent for s in loop.carry]
        while True:  # what has been bent in a step may come round to the next
            results = body([Sum(terms, b) for terms, b in zip(coming, bent, strict=True)])
            grown = [{**s.bent, **b} for s, b in zip(results[: parts.carry], bent, strict=True)]
            if list(map(len, grown)) == list(map(len, bent)):
                break
            bent = grown
        stacked = [bend([s], at.scopes, Why("what a scan stacks", eqn)) for s in results[parts.carry :]]
        return [*(Sum(terms, b) for terms, b in zip(leaving, bent, strict=True)), *stacked]


def _made(value: Sum, v: Var | Literal, path: Path) -> Sum:
    if not types.is_float(v.aval):
        return NOTHING
    return value if value.is_nothing else value._replace(made=path)
