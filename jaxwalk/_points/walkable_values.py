"""Reading a traced function for its points: named values, and values that leave a scope or a line of source."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp

from .._errors import listed
from .._jax import call_parameters, jaxprs, kinds, origin, shards, types
from .._jax.jaxprs import Closed
from .._jax.reach import STUCK, Reach, Return
from .._jax.shards import Loop, Shards
from .exits import Exit, exits
from .lines import LinePaths
from .origins import Level, Origin, Origins
from .paths import Entries, Entry, Path, Paths
from .point import Axis, Point, Points, ScanStep, ShardIndex, Site
from .scopes import ScopePaths
from .unique_names import Names

if TYPE_CHECKING:
    from jax.extend.core import Jaxpr, JaxprEqn


def read(closed: Closed, used: Sequence[bool], by: str | None = None, lines: LinePaths | None = None) -> Points:
    """Return the points of a traced function; `used` says which of its results may depend on a point.

    Arguments:
        by: "tags", "scopes", "lines", or None for tags and scopes together.
        lines: with lines, how they are read.
    """
    if by == "lines":
        reader = _PointReader("line", lines or LinePaths(None), tags=False)
    elif by == "scopes":
        reader = _PointReader("scope", ScopePaths(with_einsum=True), tags=False)
    else:
        reader = _PointReader("scope", ScopePaths(with_einsum=False) if by is None else None)
    return reader.points(closed, used)


class _Around(NamedTuple):
    """What is around the equations being read."""

    calls: tuple[tuple[int, int], ...] = ()
    path: Path = ()
    entries: Entries = MappingProxyType({})
    loops: tuple[Loop, ...] = ()
    conditional: bool = False
    chosen_over: frozenset[str] = frozenset()  # the axes of a mesh whose shards may each take another branch
    opaque: str | None = None
    clock: tuple[int | ScanStep | Shards, ...] = ()


_OPAQUE = {
    "while": "inside a `while_loop`, whose number of steps is not known before it runs;"
    " use `lax.scan`, or `fori_loop` with static bounds, or name the value outside the loop",
    "custom_jvp": "inside a `jax.custom_jvp` function, whose own rule decides its derivative;"
    " name what goes in or what comes out of it",
    "custom_vjp": "inside a `jax.custom_vjp` function, whose own rule decides its derivative;"
    " name what goes in or what comes out of it",
}


class _PointReader:
    """Finds the points of one traced function, in forward order.

    Arguments:
        kind: of the points that are values on their way out.
        paths: what they are on their way out of, if anything.
        tags: whether named values are points too.
    """

    def __init__(self, kind: str, paths: Paths | None, tags: bool = True):
        self.kind, self.paths, self.tags = kind, paths, tags
        self.reach, self.back = Reach(), Return()
        self.origins = Origins(self.reach, self.back)
        self.names = Names()
        self._has_points: dict[int, bool] = {}

    def points(self, closed: Closed, used: Sequence[bool]) -> Points:
        """Return the points, each with a name of its own."""
        points: dict[str, Point] = {}
        seen: dict[str, int] = {}
        for point in self.read(closed.jaxpr, used, used, _Around()):
            name = point.name
            while name in points:
                seen[point.name] = seen.get(point.name, 1) + 1
                name = f"{point.name}#{seen[point.name]}"
            points[name] = dataclasses.replace(point, name=name, number=len(points) + 1)
        return Points(points.values())

    def has_points(self, jaxpr: Jaxpr) -> bool:
        """Tell whether a point may be anywhere within: what has none is not entered, however often it is called."""
        if id(jaxpr) not in self._has_points:
            self._has_points[id(jaxpr)] = any(map(self._may_have_points, jaxpr.eqns))
        return self._has_points[id(jaxpr)]

    def _may_have_points(self, eqn: JaxprEqn) -> bool:
        if self._is_tag(eqn) or (self.paths is not None and self.paths.is_in_any(eqn)):
            return True
        return any(self.has_points(closed.jaxpr) for closed in jaxprs.jaxprs_of(eqn))

    def _is_tag(self, eqn: JaxprEqn) -> bool:
        return self.tags and self.reach.kind(eqn) == "name" and kinds.name_of(eqn) != kinds.EDITED

    def read(self, jaxpr: Jaxpr, used: Sequence[int], back: Sequence[int], around: _Around) -> Iterator[Point]:
        """Yield the points of a jaxpr; `used` and `back` say which of its results are used, and have a δ."""
        level = Level(jaxpr, self.reach.into(jaxpr, used)[1], self.back.into(jaxpr, back)[1], around.calls)
        paths, entries, leaving = self._paths(jaxpr, around)
        values = collections.Counter(entry for many in leaving for exit in many for entry in exit.entries)
        numbers: collections.Counter[Entry] = collections.Counter()
        for index, eqn in enumerate(jaxpr.eqns):
            if self._is_tag(eqn):
                yield self._point(level, index, 0, around, kinds.name_of(eqn))
            yield from self._inside(level, index, around._replace(path=paths[index], entries=entries))
            for order, exit in enumerate(leaving[index]):
                for entry in exit.entries:
                    name = self.names.of(entry)
                    if values[entry] > 1:
                        name, numbers[entry] = f"{name}:{numbers[entry]}", numbers[entry] + 1
                    yield self._point(level, index, exit.result, around, name, order, entry)

    def _paths(self, jaxpr: Jaxpr, around: _Around) -> tuple[Sequence[Path], Entries, Sequence[Sequence[Exit]]]:
        if self.paths is None:
            return [()] * len(jaxpr.eqns), {}, [()] * len(jaxpr.eqns)
        paths, entries = self.paths(jaxpr, around.path, around.entries)
        return paths, entries, exits(jaxpr, paths, around.path, self.paths.goes_on_in)

    def _inside(self, level: Level, index: int, around: _Around) -> Iterator[Point]:
        """Yield the points in what an equation runs."""
        eqn = level.jaxpr.eqns[index]
        kind = self.reach.kind(eqn)
        if not any(self.has_points(closed.jaxpr) for closed in jaxprs.jaxprs_of(eqn)):
            return
        if kind not in ("jit", "checkpoint", "scan", "cond", "shard_map"):
            yield from self._behind(kind, eqn, any(level.used[index]), around)
            return
        inside = _entered(kind, eqn, around._replace(clock=(*around.clock, 2 * index)))
        bodies, backs = self.reach.inner(eqn, level.used[index]), self.back.inner(eqn, level.back[index])
        for branch, ((closed, used), (_, back)) in enumerate(zip(bodies, backs, strict=True)):
            yield from self.read(closed.jaxpr, used, back, inside._replace(calls=(*around.calls, (index, branch))))

    def _behind(self, kind: str | None, eqn: JaxprEqn, is_used: bool, around: _Around) -> Iterator[Point]:
        """Yield the points inside an equation that no rule can carry a tap into, with the reason."""
        unknown = f"inside a `{eqn.primitive}`, into which jaxwalk cannot carry a tap; name the value outside it"
        inside = around._replace(opaque=around.opaque or _OPAQUE.get(kind or "", unknown))
        for closed in jaxprs.jaxprs_of(eqn):
            used = [is_used] * len(closed.jaxpr.outvars)
            yield from self.read(closed.jaxpr, used, used, inside)

    def _point(
        self,
        level: Level,
        index: int,
        result: int,
        around: _Around,
        name: str,
        order: int = 0,
        entry: Entry | None = None,
    ) -> Point:
        """Return the point at a result on its way out of `entry`; without one, at what an equation names."""
        eqn = level.jaxpr.eqns[index]
        follow = entry is not None and around.opaque is None
        at = self.origins.of(level, index, result) if follow else Origin(level, index, result)
        type = types.struct(at.variable.aval)
        axes = tuple(axis for loop in around.loops for axis in _axes(loop, type))
        if entry is None:
            site, clock = Site(around.calls, index), (*around.clock, 2 * index)
        else:
            site = Site(at.level.calls, at.equation, at.result)
            clock = (*around.clock, 2 * index + 1, order)
        file, line = (entry and entry.place) or origin.place_of(eqn) or ("", 0)
        return Point(
            name=name,
            number=0,
            kind="tag" if entry is None else self.kind,
            shape=(*(axis.length for axis in axes), *type.shape),
            dtype=type.dtype,
            axes=axes,
            conditional=around.conditional,
            unused=not at.used,
            stuck=at.back == STUCK,
            read_in=at.read_in,
            opaque=around.opaque or _why_opaque(type, around),
            file=file,
            line=line,
            alike=entry is not None and entry.alike,
            site=site,
            clock=tuple(part for each in clock for part in _times(each, type)),
            type=type,
            loops=around.loops,
        )


def _entered(kind: str | None, eqn: JaxprEqn, around: _Around) -> _Around:
    """Return what is around the equations that an equation of some kind runs."""
    if kind == "scan":
        parts = call_parameters.scan_parts(eqn)
        step = ScanStep(parts.length, parts.options["reverse"])
        return around._replace(loops=(*around.loops, parts.length), clock=(*around.clock, step))
    if kind == "shard_map":
        divided = shards.shards_of(eqn)
        return around._replace(loops=(*around.loops, divided), clock=(*around.clock, divided))
    if kind == "cond":
        over = around.chosen_over.union(types.varying(eqn.invars[0].aval))
        return around._replace(conditional=True, chosen_over=over)
    return around


def _axes(loop: Loop, type: jax.ShapeDtypeStruct) -> list[Axis]:
    """Return the axes that a loop gives to values of a type inside."""
    if not isinstance(loop, Shards):
        return [Axis("scan", loop)]
    return [Axis(loop.label(axis), loop.mesh.shape[axis]) for axis in loop.varying(type)]


def _times(part: int | ScanStep | Shards, type: jax.ShapeDtypeStruct) -> Sequence[int | ScanStep | ShardIndex]:
    """Return the parts of the clock of a value inside."""
    return [ShardIndex(axis) for axis in part.varying(type)] if isinstance(part, Shards) else [part]


def _why_opaque(type: jax.ShapeDtypeStruct, around: _Around) -> str | None:
    if around.conditional and jnp.issubdtype(type.dtype, jax.dtypes.extended):
        return f"a value of dtype {type.dtype} inside a `cond`, where a branch not taken has no zeros to give"
    if missing := around.chosen_over.difference(types.varying(type)):
        axes = listed(sorted(missing))
        return (
            f"inside a branch that every shard over {axes} chooses for itself, but by its type the same on all of them;"
            f" give the branch an operand that varies: `jax.lax.pcast(x, {tuple(sorted(missing))}, to='varying')`"
        )
    if types.is_partial_sum(type):
        return "a part of a sum over shards that is yet to be added up (`unreduced`); name the sum"
    return None
