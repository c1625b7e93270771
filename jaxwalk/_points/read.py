"""Reading a traced function for its points: named values, and values that leave a scope or a line of source."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._errors import ArgumentError, shown
from .._jax import jaxprs, kinds, origin, types
from .._jax.jaxprs import Closed
from .._jax.reach import STUCK, Mask, Reach, Return
from .._source.files import Source, is_users
from .exits import Exit, exits
from .lines import LinePaths
from .paths import Entries, Entry, Names, Path, Paths
from .point import Axis, Point, Points, Site, Step
from .scopes import ScopePaths


def read(closed: Closed, used: Sequence[bool], by: str | None = None, lines: LinePaths | None = None) -> Points:
    """The points of a traced function; `used` says which of its results may depend on a point.

    Arguments:
        by: "tags", "scopes", "lines", or None for tags and scopes together.
        lines: with lines, how they are read.
    """
    if by == "lines":
        return _Reader("line", lines or LinePaths(None), tags=False).points(closed, used)
    if by == "scopes":
        return _Reader("scope", ScopePaths(with_einsum=True), tags=False).points(closed, used)
    paths = ScopePaths(with_einsum=False) if by is None else None
    return _Reader("scope", paths).points(closed, used)


def check_by(by: str | None, source: Source = None) -> None:
    """Refuses a `by` that is not known, and a `source` that is none or has no meaning with `by`."""
    if by not in (None, "tags", "scopes", "lines"):
        choices = '"tags", "scopes" or "lines" (or None: tags and scopes together, lines where there are neither)'
        raise ArgumentError(f"`by` is {shown(by)}; points come from {choices}.")
    if source is not None and by in ("tags", "scopes"):
        raise ArgumentError(f'`source` says whose lines are points, but `by` is "{by}"; leave it out, or use "lines".')
    is_users(source)


class _Around(NamedTuple):
    """What is around the equations being read."""

    calls: tuple[tuple[int, int], ...] = ()
    path: Path = ()
    entries: Entries = MappingProxyType({})
    axes: tuple[Axis, ...] = ()
    conditional: bool = False
    opaque: str | None = None
    clock: tuple[int | Step, ...] = ()


_OPAQUE = {
    "while": "inside a `while_loop`, whose number of steps is not known before it runs;"
    " use `lax.scan`, or `fori_loop` with static bounds, or name the value outside the loop",
    "custom_jvp": "inside a `jax.custom_jvp` function, whose own rule decides its derivative;"
    " name what goes in or what comes out of it",
    "custom_vjp": "inside a `jax.custom_vjp` function, whose own rule decides its derivative;"
    " name what goes in or what comes out of it",
}


class _Reader:
    """Finds the points of one traced function, in forward order.

    Arguments:
        kind: of the points that are values on their way out.
        paths: what they are on their way out of, if anything.
        tags: whether named values are points too.
    """

    def __init__(self, kind: str, paths: Paths | None, tags: bool = True):
        self.kind, self.paths, self.tags = kind, paths, tags
        self.reach, self.back = Reach(), Return()
        self.names = Names()
        self._has_points: dict[int, bool] = {}

    def points(self, closed: Closed, used: Sequence[bool]) -> Points:
        """The points, each with a name of its own."""
        points: dict[str, Point] = {}
        seen: dict[str, int] = {}
        for point in self.read(closed.jaxpr, used, used, _Around()):
            name = point.name
            while name in points:
                seen[point.name] = seen.get(point.name, 1) + 1
                name = f"{point.name}#{seen[point.name]}"
            points[name] = dataclasses.replace(point, name=name, number=len(points) + 1)
        return Points(points.values())

    def has_points(self, jaxpr: Any) -> bool:
        """Whether there may be a point anywhere within: what has none is not entered, however often it is called."""
        if id(jaxpr) not in self._has_points:
            self._has_points[id(jaxpr)] = any(map(self._may_have_points, jaxpr.eqns))
        return self._has_points[id(jaxpr)]

    def _may_have_points(self, eqn: Any) -> bool:
        if self._is_tag(eqn) or (self.paths is not None and self.paths.is_in_any(eqn)):
            return True
        return any(self.has_points(closed.jaxpr) for closed in jaxprs.jaxprs_of(eqn))

    def _is_tag(self, eqn: Any) -> bool:
        return self.tags and self.reach.kind(eqn) == "name" and kinds.name_of(eqn) != kinds.EDITED

    def read(self, jaxpr: Any, used: Sequence[int], back: Sequence[int], around: _Around) -> Iterator[Point]:
        """The points of a jaxpr; `used` and `back` say which of its results are used, and have a δ."""
        level = _Level(jaxpr, self.reach.into(jaxpr, used)[1], self.back.into(jaxpr, back)[1])
        paths, entries = self._paths(jaxpr, around)
        leaving = [[]] * len(paths) if self.paths is None else exits(jaxpr, paths, around.path, self.paths.goes_on_in)
        values = collections.Counter(entry for many in leaving for exit in many for entry in exit.entries)
        numbers: collections.Counter[Entry] = collections.Counter()
        for index, eqn in enumerate(jaxpr.eqns):
            if self._is_tag(eqn):
                yield self._tagged(level, index, around)
            yield from self._inside(level, index, around._replace(path=paths[index], entries=entries))
            for order, exit in enumerate(leaving[index]):
                fields = self._on_its_way(level, index, exit, order, around)
                for entry in exit.entries:
                    name = self.names.of(entry)
                    if values[entry] > 1:
                        name, numbers[entry] = f"{name}:{numbers[entry]}", numbers[entry] + 1
                    yield self._point(around, name=name, alike=entry.alike, **_place(eqn, entry.place), **fields)

    def _paths(self, jaxpr: Any, around: _Around) -> tuple[Sequence[Path], Entries]:
        if self.paths is None:
            return [()] * len(jaxpr.eqns), {}
        return self.paths(jaxpr, around.path, around.entries)

    def _inside(self, level: _Level, index: int, around: _Around) -> Iterator[Point]:
        """The points in what an equation runs."""
        eqn = level.jaxpr.eqns[index]
        kind = self.reach.kind(eqn)
        if not any(self.has_points(closed.jaxpr) for closed in jaxprs.jaxprs_of(eqn)):
            return
        if kind not in ("jit", "checkpoint", "scan", "cond"):
            yield from self._behind(kind, eqn, any(level.used[index]), around)
            return
        bodies, backs = self.reach.inner(eqn, level.used[index]), self.back.inner(eqn, level.back[index])
        for branch, ((closed, used), (_, back)) in enumerate(zip(bodies, backs, strict=True)):
            inside = around._replace(calls=(*around.calls, (index, branch)), clock=(*around.clock, 2 * index))
            if kind == "scan":
                parts = kinds.scan_parts(eqn)
                step = Step(parts.length, parts.options["reverse"])
                axes = (*around.axes, Axis("scan", parts.length))
                inside = inside._replace(axes=axes, clock=(*inside.clock, step))
            elif kind == "cond":
                inside = inside._replace(conditional=True)
            yield from self.read(closed.jaxpr, used, back, inside)

    def _behind(self, kind: str | None, eqn: Any, is_used: bool, around: _Around) -> Iterator[Point]:
        """Points inside an equation that no rule can carry a tap into: listed, with the reason."""
        for closed in jaxprs.jaxprs_of(eqn):
            reason = (
                around.opaque
                or _OPAQUE.get(kind or "")
                or (f"inside a `{eqn.primitive}`, into which jaxwalk cannot carry a tap; name the value outside it")
            )
            used = [is_used] * len(closed.jaxpr.outvars)
            yield from self.read(closed.jaxpr, used, used, around._replace(opaque=reason))

    def _tagged(self, level: _Level, index: int, around: _Around) -> Point:
        eqn = level.jaxpr.eqns[index]
        return self._point(
            around,
            name=kinds.name_of(eqn),
            kind="tag",
            unused=not any(level.used[index]),
            stuck=STUCK in level.back[index],
            site=Site(around.calls, index),
            clock=(*around.clock, 2 * index),
            type=types.struct(eqn.outvars[0].aval),
            **_place(eqn),
        )

    def _on_its_way(self, level: _Level, index: int, exit: Exit, order: int, around: _Around) -> dict[str, Any]:
        """What the points have in common that a value is on its way out."""
        used, back = level.used[index][exit.result], level.back[index][exit.result]
        if exit.inside:  # only those count who read it afterwards
            used = max(level.read_by(r, index, exit.result, self.reach, level.used) for r in exit.outside)
            back = max(level.read_by(r, index, exit.result, self.back, level.back) for r in exit.outside)
        return {
            "kind": self.kind,
            "unused": not used,
            "stuck": back == STUCK,
            "site": Site(around.calls, index, exit.result, exit.inside, exit.entries[0].stack),
            "clock": (*around.clock, 2 * index + 1, order),
            "type": types.struct(level.jaxpr.eqns[index].outvars[exit.result].aval),
        }

    def _point(self, around: _Around, *, type: jax.ShapeDtypeStruct, **fields: Any) -> Point:
        opaque = around.opaque
        if opaque is None and around.conditional and jnp.issubdtype(type.dtype, jax.dtypes.extended):
            opaque = f"a value of dtype {type.dtype} inside a `cond`, where a branch not taken has no zeros to give"
        return Point(
            number=0,
            shape=(*(axis.length for axis in around.axes), *type.shape),
            dtype=type.dtype,
            axes=around.axes,
            conditional=around.conditional,
            opaque=opaque,
            type=type,
            **fields,
        )


class _Level(NamedTuple):
    """A jaxpr, and per equation how its results are used and whether δ comes back to them."""

    jaxpr: Any
    used: Sequence[Mask]
    back: Sequence[Mask]

    def read_by(self, reader: int, index: int, result: int, reach: Reach, masks: Sequence[Mask]) -> int:
        """How one reader reaches a result of an equation."""
        v = self.jaxpr.eqns[index].outvars[result]
        if reader == len(masks):
            return masks[index][result]
        eqn, mask = self.jaxpr.eqns[reader], masks[reader]
        needed = reach.operands(eqn, mask) if any(mask) else [0] * len(eqn.invars)
        return max(int(n) for operand, n in zip(eqn.invars, needed, strict=True) if operand is v)


def _place(eqn: Any, place: tuple[str, int] | None = None) -> dict[str, Any]:
    file, line = place or origin.place_of(eqn) or ("", 0)
    return {"file": file, "line": line}
