"""`Point` and `Points`: what can be walked in a function."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp

from .._errors import listed, near
from .._jax.origin import file_and_line
from .._jax.shards import Loop
from .._show.alike import ROWS
from .._show.fit import HTML_ROWS, as_html, as_lines, as_text
from .._show.in_treescope import Item, rendering
from .._show.table import Table
from .._source.statements import text_of
from ..stats import Units
from ..stats._unit_axes import not_taken, units_told
from .flow import Flow, LateFlow
from .ordered_mapping import MissingName
from .points_table import points_table


class Site(NamedTuple):
    """Where a value is computed in a traced function."""

    calls: tuple[tuple[int, int], ...] = ()  # (equation, jaxpr within it) for each call around it
    equation: int = 0  # the one that names it, or that it is a result of
    result: int | None = None  # which of the results; None for what an equation names


class ScanStep(NamedTuple):
    """A part of a clock: the step of a scan, counted backward if the scan runs so."""

    length: int
    reverse: bool

    def time(self, index: int) -> int:
        return self.length - 1 - index if self.reverse else index


class ShardIndex(NamedTuple):
    """A part of a clock: the axis of a mesh. What is on one shard is neither before nor after what is on another."""

    axis: str


class Axis(NamedTuple):
    """A leading axis that a scan gave to the values at a point, or that a `shard_map` did: one shard an entry."""

    kind: str
    length: int


@dataclasses.dataclass(frozen=True)
class Point:
    """A named intermediate value of a function, known before the function runs.

    Attributes:
        name: unique in its function; a second value of one name is `name#2`.
        number: i of Xⁱ and δⁱ: the place among all points of the function, in forward order, from 1.
        kind: where the name comes from: "tag", "scope" or "line".
        shape: of the output and of δ, leading axes of `axes` included.
        dtype: of the output and of δ.
        axes: one for each leading axis of the value, outermost first. `Axis("scan", length)` counts the steps of a
            scan, in the order of its inputs (also when it runs reversed). `Axis("mesh axis NAME", length)` counts the
            shards of a `shard_map` along an axis of the mesh over which the value varies. With `check_vma=False`, and
            in a `pmap`, JAX does not know over which it varies, and they are all there, as "unchecked mesh axis NAME"
            (or "pmap"): the δ of a value that all shards along it have alike is the sum of theirs.
        conditional: in a branch of a `cond` or `switch`; where that branch is not taken, output and δ are zeros.
        unused: the loss (of `points`: any result) does not depend on it; its δ is exactly zero.
        stuck: it has no δ, though the loss depends on it: the way back leads through a `while_loop` or a callback,
            through which JAX cannot take a derivative backward.
        behind: if it is stuck by a primitive of another library, which refuses a derivative, the name of that; else "".
        stopped: its δ is exactly zero, though the loss depends on it: every way there leads through a `stop_gradient`,
            or through integers or booleans.
        in_while: "pass" if it is in the body of a `while_loop`, "test" if it is in what tells whether it goes on: the
            output is that of the last pass, or test, and zeros where there is none; it has no δ. Else "".
        read_in: it comes out of a loop or a branch ("scan", "while", "cond"), in which it is read too, or returned
            twice; δ is then that of who reads it afterwards. A point inside has the whole δ of a step.
        opaque: why it cannot be walked and what to do, or None.
        file: the source file of the line that named it, or that it leaves, or "".
        line: the number of that line there, from 1; 0 if it is not known.
        path: the name, with the path of a module that `scoped` has named divided as the rest is: "blocks/0/attn/q" of
            "blocks.0.attn/q". It is how the point stands in a tree, and a glob may be one of it.
        aliases: other names under which it is found: its path, and what it was called before modules named it.
        alike: its line is in a loop, or in what a loop calls, and the run was not watched (docs/howto/names.md): which
            pass of the line it is of was told from positions in the code, which may be wrong.
        units: which `jw.stats.Units` the statistic given as `keep` has here; () if it has none, or none was given.
        site: where it is in the traced function. Two points of one site are two names of one value.
        named_before: the sites before it that the same value has: of what a tag names, or what a scope gives on.
        clock: when it is met in a run: the equations down to it, with a `ScanStep` or `ShardIndex` for each of `axes`.
        opening: of a scope that it leaves: which opening, of the many that may have one name.
        type: of the value at one step, as JAX has it: with its sharding, where that is part of the type.
        loops: what gives it `axes`: the lengths of scans, and what divides it.
    """

    name: str
    number: int
    kind: str
    shape: tuple[int, ...]
    dtype: Any
    axes: tuple[Axis, ...] = ()
    conditional: bool = False
    unused: bool = False
    stuck: bool = False
    behind: str = ""
    stopped: bool = False
    in_while: str = ""
    read_in: str | None = None
    opaque: str | None = None
    file: str = ""
    line: int = 0
    alike: bool = False
    path: str = ""
    aliases: tuple[str, ...] = ()
    units: tuple[Units, ...] = ()
    site: Site = dataclasses.field(default=Site(), repr=False)
    named_before: tuple[Site, ...] = dataclasses.field(default=(), repr=False, compare=False)
    clock: tuple[int | ScanStep | ShardIndex, ...] = dataclasses.field(default=(), repr=False)
    opening: int | None = dataclasses.field(default=None, repr=False, compare=False)
    type: Any = dataclasses.field(default=None, repr=False, compare=False)
    loops: tuple[Loop, ...] = dataclasses.field(default=(), repr=False, compare=False)

    def __repr__(self) -> str:
        fields = [field for field in dataclasses.fields(self) if field.repr]
        told = [f for f in fields if f.default is dataclasses.MISSING or getattr(self, f.name) != f.default]
        said = {f.name: getattr(self, f.name) for f in told}
        shown = [f"{name}={value if name == 'dtype' else repr(value)}" for name, value in said.items()]
        return as_lines(f"Point({', '.join(shown)})")

    @property
    def has_delta(self) -> bool:
        """Tell whether a derivative can be had here: of a real or complex value, not opaque, stuck or in a loop."""
        return self.opaque is None and not self.stuck and not self.in_while and jnp.issubdtype(self.dtype, jnp.inexact)

    def why_no_delta(self) -> str:
        """Return a sentence on why it has no δ."""
        if self.opaque is not None:
            return f"The point is {self.opaque}."
        if self.in_while:
            way = "it is inside a `while_loop`, through which JAX has no derivative backward"
            fix = "use `lax.scan`, or `fori_loop` with static bounds, or name the value outside the loop"
            return f"It has an output, that of the last {self.in_while}, and no δ: {way}; {fix}."
        if self.behind:
            refuses = f"the way back from the loss leads through `{self.behind}`, whose own rule refuses a derivative"
            return f"It has an output and no δ: {refuses} by what comes from here."
        if self.stuck:
            way = "the way back from the loss leads through a `while_loop` or a callback"
            return f"It has an output and no δ: {way}, where JAX has no derivative backward; `jax.jvp` goes forward."
        return f"Its dtype is {self.dtype}: it has an output and no δ."

    def why_not_kept(self) -> str:
        """Return a sentence on why nothing of it is there."""
        return " ".join(not_taken({self.name: self.units})) or self.why_no_delta()

    @property
    def source(self) -> str:
        """Return the place in the source as "file.py:12", or ""."""
        return file_and_line(self.file, self.line)

    @property
    def text(self) -> str:
        """Return the line of source itself, or "" if it cannot be read."""
        return text_of(self.file, self.line) if self.file else ""

    @property
    def nbytes(self) -> int:
        """Compute how much memory its output takes, and its δ if it has one."""
        if self.opaque is not None:
            return 0
        return math.prod(self.shape) * self.dtype.itemsize * (2 if self.has_delta else 1)

    def time(self, steps: tuple[int, ...]) -> tuple[int, ...]:
        """Return when the value at these indices of `axes` is met: of two values, the first has the smaller time."""
        left = iter(steps)
        met = [(part, part if isinstance(part, int) else next(left)) for part in self.clock]
        met = [(part, index) for part, index in met if not isinstance(part, ShardIndex)]
        return tuple(part.time(index) if isinstance(part, ScanStep) else index for part, index in met)

    def note(self, lead: int = 0) -> str:
        """Return what a reader must know of it, in a few words; "" if nothing. `lead` axes are before its own."""
        notes = [f"axis {i}: {axis.kind} of {axis.length}" for i, axis in enumerate(self.axes, lead)]
        notes += ["conditional"] * self.conditional + ["unused"] * self.unused
        notes += ["unwatched: its pass is a guess"] * self.alike
        notes += units_told(self.units)
        if self.stopped and self.has_delta:
            notes.append("stop_gradient or an integer ahead: delta is 0")
        if self.read_in is not None and self.has_delta:
            notes.append(f"read in the {self.read_in} too: δ of later readers alone")
        if self.opaque is not None:
            notes.append(f"opaque: {self.opaque.partition(',')[0]}")
        elif self.in_while:
            notes.append(f"last {self.in_while} of a while_loop (zeros if none): no delta")
        elif self.stuck:
            behind = f"{self.behind}, which refuses it" if self.behind else "a while_loop or a callback"
            notes.append(f"no delta: behind {behind}")
        elif not self.has_delta:
            notes.append(f"{self.dtype}: no delta")
        return "; ".join(notes)


class Points(Mapping[str, Point]):
    """The points of a function: a read-only mapping from name to `Point`, in forward order.

    The column X of its table is the i of Xⁱ, and of δⁱ. An alias of a point finds it too.

    Attributes:
        hints: what else could be walked, in sentences.
    """

    __slots__ = ("_aliases", "_flow", "_others", "_points", "hints")

    def __init__(self, points: Iterable[Point] = (), hints: Iterable[str] = (), flow: LateFlow | None = None):
        self.hints, self._flow = tuple(hints), flow
        self._points = {point.name: point for point in points}
        aliases = ((alias, point.name) for point in self._points.values() for alias in point.aliases)
        self._aliases = {alias: name for alias, name in aliases if alias not in self._points}
        self._others: dict[str, list[str]] | None = None  # by name, all names of its value; found when asked for

    def __getitem__(self, name: str) -> Point:
        found = self._points.get(name) or self._points.get(self._aliases.get(name, name))
        if found is None:
            raise MissingName(f"There is no point `{name}`. {near(str(name), self._points)}")
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._points)

    def __len__(self) -> int:
        return len(self._points)

    def __hash__(self) -> int:
        return hash(tuple(self._points.values()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Points) and list(self._points.items()) == list(other._points.items())

    @property
    def flow(self) -> Flow | None:
        """What is computed from what, in the whole function; None if that is not known."""
        return None if self._flow is None else self._flow()

    def where(self, condition: Callable[[Point], bool]) -> Points:
        """Return those for which `condition` holds."""
        return of_same_function(self, (point for point in self.values() if condition(point)))

    @property
    def nbytes(self) -> int:
        """Compute how much memory it takes to hold every output and every δ."""
        same = self.same()
        return sum(point.nbytes for name, point in self.items() if name not in same)

    def aliases(self) -> dict[str, str]:
        """Return, by the other names under which points are found, their names."""
        return dict(self._aliases)

    def same(self) -> dict[str, str]:
        """Return, for a point whose value other points name too, the last of these in forward order."""
        last: dict[Site, str] = {p.site: name for name, p in self.items() if p.opaque is None}
        return {n: last[p.site] for n, p in self.items() if p.opaque is None and last[p.site] != n}

    def also(self, name: str, limit: int = 2) -> str:
        """Return in a few words which other points name the value of this one; "" if none does."""
        if self._others is None:
            by_site: dict[Site, list[str]] = {}
            for each, point in self.items():
                by_site.setdefault(point.site, []).append(each)
            self._others = {each: names for names in by_site.values() for each in names}
        others = [other for other in self._others.get(name, ()) if other != name]
        return f"is {listed(others, limit)} too" if others else ""

    def __repr__(self) -> str:
        return as_text(self._table())

    def _repr_html_(self) -> str:
        return as_html(self._table(HTML_ROWS))

    def _table(self, rows: int = ROWS) -> Table:
        return points_table(self, rows)

    def __treescope_repr__(self, path: str | None, subtree_renderer: Callable[..., Any]) -> Any:
        items = [Item(f"{point.number} {name}: ", _brief(point), f"[{name!r}]") for name, point in self.items()]
        return rendering(Points, items, path, subtree_renderer)


def of_same_function(points: Points, others: Iterable[Point], hints: Iterable[str] = ()) -> Points:
    """Return other points of the function of some."""
    return Points(others, hints, points._flow)


def _brief(point: Point) -> str:
    return "  ".join(filter(None, [f"{point.dtype}{list(point.shape)}", point.kind, point.source, point.note()]))
