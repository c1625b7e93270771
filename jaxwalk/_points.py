"""`Point` and `Points`; reading a jaxpr for the names in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from . import _compat
from ._compat import Closed
from ._errors import ArgumentError, counted, near, shown
from ._named import MissingName
from ._reach import Mask, Reach
from ._table import Table, html, text

# Where a value is: (equation, jaxpr within it) for each call around it, then (equation, result).
Site = tuple[tuple[int, int], ...]


class Step(NamedTuple):
    """In the place of a value in the order of a run: the step of a scan, counted backward if the scan runs so."""

    length: int
    reverse: bool


class Axis(NamedTuple):
    """A leading axis that a loop gave to the values at a point."""

    kind: str
    length: int


@dataclasses.dataclass(frozen=True)
class Point:
    """A named intermediate value of a function, known before the function runs.

    Attributes:
        name: unique in its function; a second value of one name is `name#2`.
        number: i of Xⁱ and δⁱ: the place among all points of the function, in forward order, from 1.
        kind: where the name comes from: "tag".
        shape: of the output and of δ, leading axes of `axes` included.
        dtype: of the output and of δ.
        axes: one `Axis("scan", length)` for each scan around the point, outermost first: axis i of the
            value counts the steps of that scan, in the order of its inputs (also when it runs reversed).
        conditional: in a branch of a `cond` or `switch`; where that branch is not taken, output and δ are zeros.
        unused: the loss (of `points`: any result) does not depend on it; its δ is exactly zero.
        opaque: why it cannot be walked and what to do, or None.
        source: the line that named it, "file.py:12", or "".
        site: where it is in the traced function.
        clock: when it is met in a run: the equations down to it, with a `Step` for each scan around.
        type: of the value at one step, as JAX has it: with its sharding, where that is part of the type.
    """

    name: str
    number: int
    kind: str
    shape: tuple[int, ...]
    dtype: Any
    axes: tuple[Axis, ...] = ()
    conditional: bool = False
    unused: bool = False
    opaque: str | None = None
    source: str = ""
    site: Site = dataclasses.field(default=(), repr=False)
    clock: tuple[int | Step, ...] = dataclasses.field(default=(), repr=False)
    type: Any = dataclasses.field(default=None, repr=False, compare=False)

    @property
    def has_delta(self) -> bool:
        """Whether a derivative with respect to this value exists: it is real or complex, and not opaque."""
        return self.opaque is None and jnp.issubdtype(self.dtype, jnp.inexact)

    def time(self, steps: tuple[int, ...]) -> tuple[int, ...]:
        """When the value at these indices of `axes` is met: of two values, the first has the smaller time."""
        left = iter(steps)
        time = []
        for part in self.clock:
            if isinstance(part, Step):
                step = next(left)
                part = part.length - 1 - step if part.reverse else step
            time.append(part)
        return tuple(time)

    def note(self, lead: int = 0) -> str:
        """What a reader must know of this point, in a few words; "" if nothing. `lead` axes are before its own."""
        notes = [f"axis {i}: {axis.kind} of {axis.length}" for i, axis in enumerate(self.axes, lead)]
        notes += ["conditional"] * self.conditional + ["unused"] * self.unused
        if self.opaque is not None:
            notes.append(f"opaque: {self.opaque.partition(',')[0]}")
        elif not self.has_delta:
            notes.append(f"{self.dtype}: no delta")
        return "; ".join(notes)


class Points(Mapping[str, Point]):
    """The points of a function: a read-only mapping from name to `Point`, in forward order.

    The column X of its table is the i of Xⁱ, and of δⁱ.
    """

    __slots__ = ("_points",)

    def __init__(self, points: Iterable[Point] = ()):
        self._points = {point.name: point for point in points}

    def __getitem__(self, name: str) -> Point:
        try:
            return self._points[name]
        except KeyError:
            raise MissingName(f"There is no point `{name}`. {near(str(name), self._points)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._points)

    def __len__(self) -> int:
        return len(self._points)

    def __hash__(self) -> int:
        return hash(tuple(self._points.values()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Points) and list(self._points.items()) == list(other._points.items())

    def where(self, condition: Callable[[Point], bool]) -> Points:
        """Those for which `condition` holds."""
        return Points(point for point in self.values() if condition(point))

    def _table(self) -> Table:
        rows = [(str(p.number), p.name, p.kind, str(p.shape), str(p.dtype), p.note()) for p in self.values()]
        return Table(counted(len(self), "point"), ("X", "point", "kind", "shape", "dtype", "note"), rows, right=("X",))

    def __repr__(self) -> str:
        return text(self._table())

    def _repr_html_(self) -> str:
        return html(self._table())


class _Around(NamedTuple):
    """What is around the equation being read."""

    site: Site = ()
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
    """Finds the named values of one traced function, in forward order."""

    def __init__(self) -> None:
        self.reach = Reach()
        self._named: dict[int, bool] = {}

    def has_names(self, jaxpr: Any) -> bool:
        """Whether a name is anywhere within: what has none is not entered, however often it is called."""
        if id(jaxpr) not in self._named:
            self._named[id(jaxpr)] = any(
                self.reach.kind(eqn) == "name" or any(self.has_names(c.jaxpr) for c in _compat.jaxprs_of(eqn))
                for eqn in jaxpr.eqns
            )
        return self._named[id(jaxpr)]

    def read(self, jaxpr: Any, used: Sequence[bool], around: _Around) -> Iterator[Point]:
        _, masks = self.reach.into(jaxpr, used)
        for index, (eqn, mask) in enumerate(zip(jaxpr.eqns, masks, strict=True)):
            kind = self.reach.kind(eqn)
            if kind == "name":
                yield self._point(eqn, index, mask, around)
            elif not any(self.has_names(closed.jaxpr) for closed in _compat.jaxprs_of(eqn)):
                continue
            elif kind in ("jit", "checkpoint", "scan", "cond"):
                yield from self._enter(kind, eqn, index, mask, around)
            else:
                yield from self._behind(kind, eqn, mask, around)

    def _enter(self, kind: str, eqn: Any, index: int, mask: Mask, around: _Around) -> Iterator[Point]:
        for branch, (closed, used) in enumerate(self.reach.inner(eqn, mask)):
            inside = around._replace(site=(*around.site, (index, branch)), clock=(*around.clock, index))
            if kind == "scan":
                parts = _compat.scan_parts(eqn)
                step = Step(parts.length, parts.options["reverse"])
                axes = (*around.axes, Axis("scan", parts.length))
                inside = inside._replace(axes=axes, clock=(*inside.clock, step))
            elif kind == "cond":
                inside = inside._replace(conditional=True)
            yield from self.read(closed.jaxpr, used, inside)

    def _behind(self, kind: str | None, eqn: Any, mask: Mask, around: _Around) -> Iterator[Point]:
        """Points inside an equation that no rule can carry a tap into: listed, with the reason."""
        for closed in _compat.jaxprs_of(eqn):
            reason = (
                around.opaque
                or _OPAQUE.get(kind or "")
                or (f"inside a `{eqn.primitive}`, into which jaxwalk cannot carry a tap; name the value outside it")
            )
            used = [any(mask)] * len(closed.jaxpr.outvars)
            yield from self.read(closed.jaxpr, used, around._replace(site=(), opaque=reason))

    def _point(self, eqn: Any, index: int, mask: Mask, around: _Around) -> Point:
        aval = eqn.outvars[0].aval
        opaque = around.opaque
        if opaque is None and around.conditional and jnp.issubdtype(aval.dtype, jax.dtypes.extended):
            opaque = f"a value of dtype {aval.dtype} inside a `cond`, where a branch not taken has no zeros to give"
        return Point(
            name=_compat.name_of(eqn),
            number=0,
            kind="tag",
            shape=(*(axis.length for axis in around.axes), *aval.shape),
            dtype=aval.dtype,
            axes=around.axes,
            conditional=around.conditional,
            unused=not any(mask),
            opaque=opaque,
            source=_compat.source_of(eqn),
            site=(*around.site, (index, 0)),
            clock=(*around.clock, index),
            type=_compat.struct(aval),
        )


def read(closed: Closed, used: Sequence[bool]) -> Points:
    """The named values of a traced function; `used` says which of its results may depend on a point."""
    points: dict[str, Point] = {}
    seen: dict[str, int] = {}
    for point in _Reader().read(closed.jaxpr, used, _Around()):
        name = point.name
        while name in points:
            seen[point.name] = seen.get(point.name, 1) + 1
            name = f"{point.name}#{seen[point.name]}"
        points[name] = dataclasses.replace(point, name=name, number=len(points) + 1)
    return Points(points.values())


def check_by(by: str | None) -> None:
    """Refuses a `by` that is not known."""
    if by not in (None, "tags"):
        raise ArgumentError(f'`by` is {shown(by)}; points come from "tags" (or None, for all there are).')
