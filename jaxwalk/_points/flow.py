"""`Flow`: what each point of a function, and its result, is computed from."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax.numpy as jnp

from .._jax.jaxpr import call_parameters, jaxprs, kinds
from .._jax.jaxpr.jaxprs import Closed, is_literal

if TYPE_CHECKING:
    from jax.extend.core import Jaxpr, JaxprEqn, Var

    from .point import Point


class Read(NamedTuple):
    """What a value is computed from with no other point on the way.

    Attributes:
        points: the numbers of these points, in forward order. One that is not before the value is met in the step of a
            loop before it.
        back: those of them to which δ comes back this way: not by integers and `stop_gradient` alone.
        arguments: the names of these arguments of the function.
        is_argument: it is an array of an argument, as it came in.
    """

    points: tuple[int, ...] = ()
    back: tuple[int, ...] = ()
    arguments: tuple[str, ...] = ()
    is_argument: bool = False


class Flow(NamedTuple):
    """What is computed from what, in a whole function.

    Attributes:
        values: by the number of a point, less 1, what the value there is computed from; nothing of an opaque one.
        result: what the result is computed from: what `walk` differentiates.
        names: by the number of a point, less 1, the number of the last point that names the same value: by this, a
            `Read` has it.
    """

    values: tuple[Read, ...]
    result: Read
    names: tuple[int, ...]


def flow_of(closed: Closed, points: Sequence[Point], used: Sequence[bool]) -> Flow | None:
    """Return what the points of a traced function are computed from, and those of its results that are `used`.

    None if that is not known: what goes through a mutable array is not followed.
    """
    jaxpr = closed.jaxpr
    arguments = [name.partition("[")[0].partition(".")[0] for name in jaxprs.argument_names(jaxpr)]
    reader = _FlowReader(len(arguments), points)
    try:
        results = reader.run(jaxpr, [reader.argument(place) for place in range(len(arguments))], ())
    except _MutableArray:
        return None
    read = lambda mask: reader.read(mask, arguments)
    result = reader.union(mask for mask, is_used in zip(results, used, strict=True) if is_used)
    last = {point.site: point.number for point in points if point.opaque is None}
    names = tuple(last[point.site] if point.opaque is None else point.number for point in points)
    return Flow(tuple(read(reader.found.get(point.number, 0)) for point in points), read(result), names)


class LateFlow:
    """The `Flow` of a traced function, found when it is first asked for; shared by all that have points of it.

    Of a function that closes over arrays it is found at once: its program may hold them, and points outlive it.
    """

    def __init__(self, closed: Closed, points: Sequence[Point], used: Sequence[bool]):
        self._of: tuple | None = closed, points, used
        self._found: Flow | None = None
        if closed.consts:
            self()

    def __call__(self) -> Flow | None:
        if self._of is not None:
            self._found, self._of = flow_of(*self._of), None
        return self._found

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle has: what is found, and no program."""
        return {"_of": None, "_found": self()}


class _MutableArray(Exception):
    """An equation reads or writes one."""


class _FlowReader:
    """Follows values forward through a jaxpr, each with the set of sources that it is computed from.

    A set is an integer, of two bits a source: the lower says that the value depends on it, the upper that δ comes back.
    First come the arguments as they are, then what is computed from each, then the points.
    """

    def __init__(self, arguments: int, points: Iterable[Point] = ()) -> None:
        self.kind = kinds.kinds()
        self.found: dict[int, int] = {}  # by the number of a point, what it is computed from
        self._arguments = arguments
        self._sites: dict[tuple, dict[int, list[tuple[int | None, int]]]] = {}
        self._entered: set[tuple] = set()
        most = 0
        for point in points:
            most = max(most, point.number)
            if point.opaque is None:
                calls, equation, result = point.site
                here = self._sites.setdefault(calls, collections.defaultdict(list))
                here[equation].append((result, point.number))
                self._entered.update(itertools.accumulate(((call,) for call in calls), initial=()))
        self._as_it_is = (1 << 2 * arguments) - 1
        self._values = ((1 << 2 * (2 * arguments + most + 1)) - 1) // 3
        self._dependence: dict[int, list[list[tuple[int, bool, bool]]]] = {}
        self._has_delta: dict[object, bool] = {}

    def argument(self, place: int) -> int:
        """Return the set of one argument, as it is."""
        return 3 << 2 * place

    def union(self, masks: Iterable[int]) -> int:
        found = 0
        for mask in masks:
            found |= mask
        return found

    def read(self, mask: int, names: Sequence[str]) -> Read:
        """Return what a set says."""
        both = list(self._sources(mask))
        first = 2 * self._arguments
        points = tuple(source - first + 1 for source, _ in both if source >= first)
        back = tuple(source - first + 1 for source, comes in both if comes and source >= first)
        arguments = [names[source % self._arguments] for source, _ in both if source < first]
        is_argument = len(both) == 1 and both[0][0] < self._arguments
        return Read(points, back, tuple(dict.fromkeys(arguments)), is_argument)

    def _sources(self, mask: int) -> Iterator[tuple[int, bool]]:
        while mask:
            source = ((mask & -mask).bit_length() - 1) // 2
            yield source, bool(mask >> 2 * source + 1 & 1)
            mask &= ~(3 << 2 * source)

    def run(self, jaxpr: Jaxpr, operands: Sequence[int], calls: tuple | None) -> list[int]:
        """Return the sets of the results of a jaxpr; `calls`: of its site, None if no point is in it."""
        sets: dict[Var, int] = dict(zip(jaxpr.invars, operands, strict=True))
        look = lambda v: 0 if is_literal(v) else sets.get(v, 0)
        sites = {} if calls is None else self._sites.get(calls, {})
        for index, eqn in enumerate(jaxpr.eqns):
            if eqn.effects and jaxprs.touches_ref(eqn):
                raise _MutableArray
            read = list(map(look, eqn.invars))
            results = self._through(eqn, read, None if calls is None else (calls, index))
            results = [mask if self._is_inexact(v) else mask & self._values for mask, v in zip(results, eqn.outvars)]
            for result, number in sites.get(index, ()):
                place = result or 0
                self.found[number] = read[0] if result is None else results[place]
            for result, number in sites.get(index, ()):
                source = 3 << 2 * (2 * self._arguments + number - 1)
                results[result or 0] = source if self._is_inexact(eqn.outvars[result or 0]) else source & self._values
            sets.update(zip(eqn.outvars, results, strict=True))
        return list(map(look, jaxpr.outvars))

    def _is_inexact(self, v: Var) -> bool:
        dtype = getattr(v.aval, "dtype", None)
        if dtype not in self._has_delta:
            self._has_delta[dtype] = dtype is None or jnp.issubdtype(dtype, jnp.inexact)
        return self._has_delta[dtype]

    def _computed(self, mask: int) -> int:
        """Return the set of what is computed from a value of this set: an argument is no longer as it is."""
        whole = mask & self._as_it_is
        return mask if not whole else mask ^ whole | whole << 2 * self._arguments

    def _through(self, eqn: JaxprEqn, read: Sequence[int], at: tuple | None) -> list[int]:
        """Return the sets of the results of an equation whose operands have the sets `read`."""
        kind = self.kind(eqn)
        if kind == "scan":
            return self._scan(eqn, read, at)
        if kind == "while":
            return self._while(eqn, read, at)
        if kind == "cond":
            branches = [self._into(eqn, branch, read[1:], at) for branch in range(len(jaxprs.jaxprs_of(eqn)))]
            return [self.union(each) | self._computed(read[0]) & self._values for each in zip(*branches, strict=True)]
        if kind in ("jit", "checkpoint", "shard_map") or (kind is None and jaxprs.calls_a_jaxpr(eqn)):
            return self._into(eqn, 0, read, at)
        found = self._computed(self.union(read))
        if kind is None and kinds.barrier_of(eqn) is not None:
            found &= self._values
        return [found] * len(eqn.outvars)

    def _scan(self, eqn: JaxprEqn, read: Sequence[int], at: tuple | None) -> list[int]:
        parts = call_parameters.scan_parts(eqn)
        first = parts.consts + parts.carry
        consts, carry, slices = read[: parts.consts], list(read[parts.consts : first]), read[first:]
        slices = list(map(self._computed, slices))
        while True:  # what a step reads may come from the step before
            results = self._into(eqn, 0, [*consts, *carry, *slices], at)
            grown = [one | self._computed(other) for one, other in zip(carry, results[: parts.carry], strict=True)]
            if grown == carry:
                return list(map(self._computed, results))
            carry = grown

    def _while(self, eqn: JaxprEqn, read: Sequence[int], at: tuple | None) -> list[int]:
        parts = call_parameters.while_parts(eqn)
        first = parts.test_consts + parts.body_consts
        test, consts, carry = read[: parts.test_consts], read[parts.test_consts : first], list(read[first:])
        while True:
            results = self._into(eqn, 1, [*consts, *carry], at)
            grown = [one | self._computed(other) for one, other in zip(carry, results, strict=True)]
            if grown == carry:
                break
            carry = grown
        ends = self._into(eqn, 0, [*test, *carry], at)[0]
        return [self._computed(mask | ends) & self._values for mask in carry]

    def _into(self, eqn: JaxprEqn, place: int, read: Sequence[int], at: tuple | None) -> list[int]:
        """Return the sets of the results of one of the jaxprs that an equation runs."""
        jaxpr = jaxprs.jaxprs_of(eqn)[place].jaxpr
        if at is not None and (calls := (*at[0], (at[1], place))) in self._entered:
            return self.run(jaxpr, read, calls)
        if id(jaxpr) not in self._dependence:
            self._dependence[id(jaxpr)] = _dependence(jaxpr)
        return [self.union(self._by(way, read) for way in ways) for ways in self._dependence[id(jaxpr)]]

    def _by(self, way: tuple[int, bool, bool], read: Sequence[int]) -> int:
        operand, comes_back, is_same = way
        mask = read[operand] if is_same else self._computed(read[operand])
        return mask if comes_back else mask & self._values


def _dependence(jaxpr: Jaxpr) -> list[list[tuple[int, bool, bool]]]:
    """Return, per result of a jaxpr without points, on which operands it depends: (which, whether δ comes back to it,
    whether it is the operand itself)."""
    count = len(jaxpr.invars)
    reader = _FlowReader(count)
    results = reader.run(jaxpr, [reader.argument(place) for place in range(count)], None)
    return [[(source % count, comes, source < count) for source, comes in reader._sources(mask)] for mask in results]
