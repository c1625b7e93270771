"""Reading a traced function for its points: named values, and values that leave a scope or a line of source."""

from __future__ import annotations

import collections
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from .._errors import listed
from .._jax import origin, shards
from .._jax.jaxpr import call_parameters, jaxprs, kinds, types
from .._jax.jaxpr.jaxprs import Closed
from .._jax.reach import STOPPED, STUCK, Reach, Return
from .._jax.shards import Loop, Shards
from .flow import LateFlow
from .origins import Level, Origin, Origins
from .paths.exits import Exit, exits
from .paths.lines import LinePaths
from .paths.paths import Entries, Entry, Path, Paths
from .paths.scopes import ScopePaths
from .paths.unique_names import Called, Names, unique
from .point import Axis, Point, Points, ScanStep, ShardIndex, Site

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
        reader = _PointReader("scope", ScopePaths(with_einsum=False), leaving=by is None)
    return reader.points(closed, used)


class _Around(NamedTuple):
    """What is around the equations being read."""

    calls: tuple[tuple[int, int], ...] = ()
    path: Path = ()
    entries: Entries = MappingProxyType({})
    loops: tuple[Loop, ...] = ()
    conditional: bool = False
    chosen_over: frozenset[str] = frozenset()  # the axes of a mesh whose shards may each take another branch
    in_while: str = ""
    opaque: str | None = None
    clock: tuple[int | ScanStep | Shards, ...] = ()


_OPAQUE = {
    "while": "inside a `while_loop` under `vmap`, which computes on with data that are done until the last one is;"
    " put the `vmap` around the walk",
    "custom_jvp": "inside a `jax.custom_jvp` function, whose own rule decides its derivative;"
    " name what goes in or what comes out of it",
    "custom_vjp": "inside a `jax.custom_vjp` function, whose own rule decides its derivative;"
    " name what goes in or what comes out of it",
}


_Found: TypeAlias = tuple[Callable[..., Point], Called]  # what makes a point, given its number and its names


class _PointReader:
    """Finds the points of one traced function, in forward order.

    Arguments:
        kind: of the points that are values on their way out.
        paths: what they are on their way out of.
        tags: whether named values are points too.
        leaving: whether values on their way out are points.
    """

    def __init__(self, kind: str, paths: Paths, tags: bool = True, leaving: bool = True):
        self.kind, self.paths, self.tags, self.leaving = kind, paths, tags, leaving
        self.reach, self.back = Reach(), Return()
        self.names, self.former_names = Names(), Names(by_module=False)
        self.origins = Origins(self.reach, self.back)
        self._has_points: dict[int, bool] = {}

    def points(self, closed: Closed, used: Sequence[bool]) -> Points:
        """Return the points, each with a name of its own."""
        back = [self.back.whole * int(u) for u in used]
        found = list(self.read(closed.jaxpr, used, back, _Around()))
        names = unique([called for _, called in found])
        points = [
            point(number=number, name=called.name, path=called.path, aliases=called.aliases)
            for number, ((point, _), called) in enumerate(zip(found, names, strict=True), 1)
        ]
        return Points(points, flow=LateFlow(closed, points, used) if points else None)

    def has_points(self, jaxpr: Jaxpr) -> bool:
        """Tell whether a point may be anywhere within: what has none is not entered, however often it is called."""
        if id(jaxpr) not in self._has_points:
            self._has_points[id(jaxpr)] = any(map(self._may_have_points, jaxpr.eqns))
        return self._has_points[id(jaxpr)]

    def _may_have_points(self, eqn: JaxprEqn) -> bool:
        if self._is_tag(eqn) or self.paths.is_in_any(eqn):
            return True
        return any(self.has_points(closed.jaxpr) for closed in jaxprs.jaxprs_of(eqn))

    def _is_tag(self, eqn: JaxprEqn) -> bool:
        return self.tags and self.reach.kind(eqn) == "name" and kinds.name_of(eqn) != kinds.EDITED

    def read(self, jaxpr: Jaxpr, used: Sequence[int], back: Sequence[int], around: _Around) -> Iterator[_Found]:
        """Yield the points of a jaxpr; `used` and `back` say which of its results are used, and have a δ."""
        level = Level(jaxpr, self.reach.into(jaxpr, used)[1], self.back.into(jaxpr, back)[1], around.calls)
        paths, entries, leaving = self._paths(jaxpr, around)
        values = collections.Counter(entry for many in leaving for exit in many for entry in exit.entries)
        numbers: collections.Counter[Entry] = collections.Counter()
        modules: list[Entry] = []
        for index, eqn in enumerate(jaxpr.eqns):
            if index == 0 or paths[index] is not paths[index - 1]:
                modules = [entry for entry in paths[index] if entry.is_rooted]
            for module in modules:
                self.names.of(module)  # numbers them as they are called, whatever is a point
            if self._is_tag(eqn):
                yield self._tag(level, index, around, modules[-1] if modules else None)
            if any(self.has_points(closed.jaxpr) for closed in jaxprs.jaxprs_of(eqn)):
                yield from self._inside(level, index, around._replace(path=paths[index], entries=entries))
            for order, exit in enumerate(leaving[index]):
                left = []
                for entry in exit.entries:
                    left.append((entry, f":{numbers[entry]}" if values[entry] > 1 else ""))
                    numbers[entry] += 1
                yield from self._leaving(level, index, around, exit, order, left)

    def _paths(self, jaxpr: Jaxpr, around: _Around) -> tuple[Sequence[Path], Entries, Sequence[Sequence[Exit]]]:
        paths, entries = self.paths(jaxpr, around.path, around.entries)
        if not self.leaving:
            return paths, entries, [()] * len(jaxpr.eqns)
        return paths, entries, exits(jaxpr, paths, around.path, self.paths.goes_on_in)

    def _inside(self, level: Level, index: int, around: _Around) -> Iterator[_Found]:
        """Yield the points in what an equation runs, where there are any."""
        eqn = level.jaxpr.eqns[index]
        kind = self.reach.kind(eqn)
        if kind not in _ENTERED or (kind == "while" and call_parameters.ends_datum_by_datum(eqn)):
            yield from self._behind(kind, eqn, any(level.used[index]), around)
            return
        around = around._replace(clock=(*around.clock, 2 * index))
        bodies, backs = self.reach.inner(eqn, level.used[index]), self.back.inner(eqn, level.back[index])
        for branch, ((closed, used), (_, back)) in enumerate(zip(bodies, backs, strict=True)):
            inside = _entered(kind, eqn, branch, around._replace(calls=(*around.calls, (index, branch))))
            yield from self.read(closed.jaxpr, used, back, inside)

    def _behind(self, kind: str | None, eqn: JaxprEqn, is_used: bool, around: _Around) -> Iterator[_Found]:
        """Yield the points inside an equation that no rule can carry a tap into, with the reason."""
        unknown = f"inside a `{eqn.primitive}`, into which jaxwalk cannot carry a tap; name the value outside it"
        inside = around._replace(opaque=around.opaque or _OPAQUE.get(kind or "", unknown))
        for closed in jaxprs.jaxprs_of(eqn):
            used = [is_used] * len(closed.jaxpr.outvars)
            yield from self.read(closed.jaxpr, used, [self.back.whole * int(u) for u in used], inside)

    def _tag(self, level: Level, index: int, around: _Around, module: Entry | None) -> _Found:
        """Return the point at what an equation names; in a module that `scoped` has named, with its path."""
        tag = kinds.name_of(level.jaxpr.eqns[index])
        called = Called(tag, tag, (tag,)) if module is None else self.names.called(module, f"/{tag}", (tag,))
        return self._point(level, index, 0, around), called

    def _leaving(
        self, level: Level, index: int, around: _Around, exit: Exit, order: int, left: Sequence[tuple[Entry, str]]
    ) -> Iterator[_Found]:
        """Yield the points at a result on its way out; `left`: what it leaves, and its number among what leaves that.

        What is all of a module gives an alias to the module's point.
        """
        eqn, former = level.jaxpr.eqns[index], ()
        for (entry, number), outer in itertools.zip_longest(left, exit.entries[1:]):
            former = (*former, self.former_names.of(entry) + number)
            if outer is None or outer is not entry.parent or not self.paths.is_all_of_its_module(entry):
                called = self.names.called(entry, number, former, self.paths.leaves(entry, eqn, exit.result))
                yield self._point(level, index, exit.result, around, order, entry), called
                former = ()

    def _point(
        self, level: Level, index: int, result: int, around: _Around, order: int = 0, entry: Entry | None = None
    ) -> Callable[..., Point]:
        """Return what makes the point at a result on its way out of `entry`; without one, at what an equation names."""
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
        return functools.partial(
            Point,
            kind="tag" if entry is None else self.kind,
            shape=(*(axis.length for axis in axes), *type.shape),
            dtype=type.dtype,
            axes=axes,
            conditional=around.conditional,
            unused=not at.used,
            stuck=at.back >= STUCK,
            in_while=around.in_while,
            behind=self.back.behind[max(at.back - STUCK, 0)],
            stopped=bool(at.used) and at.back in (0, STOPPED) and jnp.issubdtype(type.dtype, jnp.inexact),
            read_in=at.read_in,
            opaque=around.opaque or _why_opaque(type, around),
            file=file,
            line=line,
            alike=entry is not None and entry.alike,
            site=site,
            named_before=tuple(self.origins.named_before(at.level, at.equation, None if entry is None else at.result)),
            clock=tuple(part for each in clock for part in _times(each, type)),
            opening=entry and entry.opening,
            type=type,
            loops=around.loops,
        )


_ENTERED = ("jit", "checkpoint", "scan", "cond", "shard_map", "while")


def _entered(kind: str | None, eqn: JaxprEqn, branch: int, around: _Around) -> _Around:
    """Return what is around the equations of one of the jaxprs that an equation of some kind runs."""
    if kind == "while":  # the test is the first of its jaxprs, and runs once more after the last pass
        return around._replace(in_while=("test", "pass")[branch], clock=(*around.clock, 1 - branch))
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
