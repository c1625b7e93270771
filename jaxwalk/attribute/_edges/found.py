"""Which edges a function has: its writers, its readers, and by which sums a reader reads a writer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ..._errors import ArgumentError, PointError, argument, listed, with_options
from ..._jax.jaxpr.jaxprs import Closed
from ..._jax.shards import Shards
from ..._points.name_patterns import At, choose
from ..._points.point import Point, Points, Site
from ..._rewrite.reads import Read
from .instead import instead_of, sentence_of
from .readers import Scopes
from .stream import STEPS, Met, Place, Stream
from .sums import NOTHING, Move, Sum, Why, bend


class Way(NamedTuple):
    """A writer as one reader reads it at one place.

    Attributes:
        writer: the point that writes, with the moves of its value up to there.
        reader: the point that says who reads.
        read: the name under which δ is there: of a `Read`, or of a point.
        factor: of each step of the writer in each step of the reader.
    """

    writer: Point
    moves: tuple[Move, ...]
    reader: Point
    read: str
    factor: np.ndarray


class Found(NamedTuple):
    """The edges of a function.

    Attributes:
        ways: all of them.
        reads: where scopes read.
        points: those whose δ, or output, is needed.
        left_out: by (writer, reader) what is on a way between them that is no sum.
        instead: by reader that reads no sum with any writer, the point to name in its place, or "".
    """

    ways: list[Way]
    reads: list[Read]
    points: list[Point]
    left_out: dict[tuple[str, str], str]
    instead: dict[str, str]


def edges_of(closed: Closed, points: Points, at: At, writers: At, readers: At, by: str | None) -> Found:
    """Return the edges between the points that `writers` and `readers` name, or `at` for both.

    Raises:
        PointError: there are none.
        ArgumentError: a point is in a place where edges cannot be told apart, or values are in a mutable array.
    """
    if points and points.flow is None:
        raise ArgumentError(
            "`fun` has a mutable array (`jax.new_ref`), through which nobody is seen to read what is written; carry"
            " its value, or return it, instead."
        )
    write, read = _chosen(points, at, writers, "writers", by), _chosen(points, at, readers, "readers", by)
    scopes = Scopes(closed)
    reading = scopes.reading(read)
    by_value = {point.site: point for point in read if point.kind != "scope"}
    every = {point.site: point for point in [*by_value.values(), *write]}
    stream = Stream(closed, scopes, reading, every.values(), by_value.keys())
    found = _Edges({point.site: point for point in write}, every)
    for place, met in stream.reads.items():
        reader = points[reading[place.scope]]
        if met.loops == _lengths(reader):
            found.read_by_scope(reader, place, met)
        else:
            eqn = scopes.level(place.calls).jaxpr.eqns[met.equations[0]]
            found.leave_out(reader, bend([met.value], frozenset(), Why("what is read once, for all steps,", eqn)))
    for site, reader in by_value.items():
        found.read_by_value(reader, stream.values.get(site, NOTHING))
    found.check("writers", writers, {p.name: found.written(p) for p in write})
    ends = {p.name: reading[e] if (e := scopes.left_by(p)) else p.name for p in read}
    found.check("readers", readers, ends)
    instead = instead_of(ends.values(), found.left_out, points, (way.reader.name for way in found.ways))
    found.check_any(instead)
    left_out = {pair: str(why) for pair, why in found.left_out.items()}
    return Found(found.ways, found.reads, sorted(every.values(), key=lambda point: point.number), left_out, instead)


def _chosen(points: Points, at: At, given: At, name: str, by: str | None) -> list[Point]:
    """Return the points that an argument names, in forward order, those that have a δ."""
    try:
        chosen = choose(points, at if given is None else given, by)
    except (ArgumentError, PointError) as error:
        raise type(error)(with_options(error, {"at": "at" if given is None else name})) from None
    felt = [point for point in chosen.values() if point.has_delta]
    if not felt:
        first = next(iter(chosen.values()))
        raise PointError(f"None of {listed(chosen)} has a δ; choose others by `{name}`. {first.why_no_delta()}")
    fix = f"choose others by `{argument('at')}`, `writers` and `readers`"
    for point in felt:
        if any(isinstance(loop, Shards) for loop in point.loops):
            raise ArgumentError(f"`{point.name}` is in a `jax.shard_map`, where edges are not told apart; {fix}.")
        if math.prod(_lengths(point)) > STEPS:
            raise ArgumentError(
                f"`{point.name}` has {math.prod(_lengths(point))} steps, each a writer and a reader of its own, and"
                f" {STEPS} is the most; {fix}."
            )
    return felt


def _lengths(point: Point) -> tuple[int, ...]:
    return tuple(axis.length for axis in point.axes)


class _Edges:
    """Puts edges together.

    Arguments:
        writers: by site.
        visited: by site, the point under whose name the value there is visited.
    """

    def __init__(self, writers: Mapping[Site, Point], visited: Mapping[Site, Point]):
        self._writers, self._visited = writers, visited
        self.ways: list[Way] = []
        self.reads: list[Read] = []
        self.left_out: dict[tuple[str, str], Why] = {}

    def read_by_scope(self, reader: Point, place: Place, met: Met) -> None:
        name = f"\0{len(self.reads)}"  # the name of no point
        self.reads.append(Read(name, place.calls, met.equations, place.variable, met.loops))
        self._add(reader, name, met.value)

    def read_by_value(self, reader: Point, value: Sum) -> None:
        self._add(reader, self._visited[reader.site].name, value)

    def _add(self, reader: Point, read: str, value: Sum) -> None:
        for term, factor in value.terms.items():
            if term.source in self._writers and np.any(factor):
                self.ways.append(Way(self._writers[term.source], term.moves, reader, read, factor))
        self.leave_out(reader, value)

    def leave_out(self, reader: Point, value: Sum) -> None:
        """Note what reaches a reader by more than a sum."""
        for (source, _), why in value.bent.items():
            if source in self._writers:
                self.left_out.setdefault((self._writers[source].name, reader.name), why)

    def written(self, writer: Point) -> str:
        """Return under which of its names the value at a point is written."""
        return self._writers[writer.site].name

    def check(self, argument: str, given: At, names: Mapping[str, str]) -> None:
        """Refuse points that are named in full and have no edge; `names`: which name an end of an edge has for each."""
        ends = [{way.writer.name for way in self.ways}, {way.reader.name for way in self.ways}]
        ends = [names | {pair[i] for pair in self.left_out} for i, names in enumerate(ends)]
        exact = [given] if isinstance(given, str) else given if isinstance(given, (list, tuple)) else []
        for name, end in names.items():
            if name in exact and argument == "writers" and end not in ends[0]:
                raise PointError(
                    f"`writers` names `{name}`, of which no reader reads the value, or a sum with it; name what is"
                    " added to a stream that a reader reads after it."
                )
            if name in exact and argument == "readers" and end not in ends[1]:
                raise PointError(
                    f"`readers` names `{name}`, which reads nothing of any of the writers; name a scope that reads the"
                    " stream after one of them, or a tag of what is read."
                )

    def check_any(self, instead: Mapping[str, str]) -> None:
        """Refuse a function without edges; `instead` as of `Found`."""
        if not self.ways:
            (writer, reader), why = next(iter(self.left_out.items()), (("", ""), ""))
            said = f"; between `{writer}` and `{reader}` is {why}" if why else ""
            fix = "Name what reads the stream itself by `readers`, and what is added to it by `writers`."
            raise PointError(
                f"There is no edge: no reader reads the value of a writer, or a sum with it{said}."
                f" {sentence_of(instead) if instead else fix}"
            )
