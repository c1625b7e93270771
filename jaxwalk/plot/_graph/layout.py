"""Where nodes stand: ranks along the run, lanes beside each other, and ways for edges that pass other nodes."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from .network import Edge


class Way(NamedTuple):
    """How an edge goes that cannot go straight: along a lane.

    Attributes:
        passes: it passes ranks, or goes back; else it goes to the next, to another lane.
        by_sides: it leaves and arrives by the sides of boxes, if these stand on other lanes; else from gap to gap.
    """

    lane: int
    passes: bool
    by_sides: bool


class Layout(NamedTuple):
    """Places of nodes and edges.

    Attributes:
        ranks: of each node, how many are before it on the longest way there.
        lanes: of each node, on which lane it stands: 0 is the middle one.
        ways: of each edge that does not go straight to the next rank, how it goes.
    """

    ranks: tuple[int, ...]
    lanes: tuple[int, ...]
    ways: Mapping[Edge, Way]


def laid_out(count: int, edges: Sequence[Edge]) -> Layout:
    """Return where `count` nodes stand, that are in forward order; the last is below all others."""
    forward = [edge for edge in edges if not edge.later]
    ranks = _ranks(count, forward)
    lanes = _lanes(ranks, forward)
    return Layout(tuple(ranks), tuple(lanes), _ways(ranks, lanes, edges))


def _ranks(count: int, edges: Sequence[Edge]) -> list[int]:
    """Return the length of the longest way to each node; a first one stands close to the first that reads it."""
    ranks = [0] * count
    for edge in sorted(edges, key=lambda edge: edge.end):
        ranks[edge.end] = max(ranks[edge.end], ranks[edge.start] + 1)
    read = {edge.end for edge in edges}
    for node in range(count):
        readers = [ranks[edge.end] for edge in edges if edge.start == node]
        if node not in read and readers:
            ranks[node] = min(readers) - 1
    ranks[-1] = max([*(rank + 1 for rank in ranks[:-1]), ranks[-1]], default=0)
    return ranks


def _lanes(ranks: Sequence[int], edges: Sequence[Edge]) -> list[int]:
    """Return a lane for each node: below what it is computed from, where that is free."""
    lanes = [0] * len(ranks)
    taken: set[tuple[int, int]] = set()
    for node in sorted(range(len(ranks)), key=lambda node: (ranks[node], node)):
        before = [edge.start for edge in edges if edge.end == node]
        wanted = lanes[max(before, key=lambda start: (ranks[start], -abs(lanes[start]), -start))] if before else 0
        if node == len(ranks) - 1:
            wanted = 0
        lanes[node] = next(lane for lane in _near(wanted) if (ranks[node], lane) not in taken)
        taken.add((ranks[node], lanes[node]))
    return lanes


def _near(lane: int) -> Iterator[int]:
    yield lane
    for distance in itertools.count(1):
        yield from (lane + distance, lane - distance)


def _ways(ranks: Sequence[int], lanes: Sequence[int], edges: Iterable[Edge]) -> dict[Edge, Way]:
    """Return lanes that are free where edges pass; those that leave one node may share one."""
    nodes = set(zip(ranks, lanes, strict=True))
    taken: dict[tuple[int, int], Any] = dict.fromkeys(nodes)
    ways: dict[Edge, Way] = {}
    for edge in sorted(edges, key=lambda edge: (abs(ranks[edge.end] - ranks[edge.start]), edge)):
        start, end = ((ranks[node], lanes[node]) for node in (edge.start, edge.end))
        if not edge.later and end == (start[0] + 1, start[1]):
            continue
        first, last = sorted((start[0], end[0]))
        passed = range(first, last + 1) if edge.later else range(first + 1, last)
        owner, most = (edge.later, edge.start), len(ranks) + len(ways)
        near = [end[1], *itertools.islice(_near(start[1]), 2 * most)]
        free = [lane for lane in near if all(taken.get((rank, lane), owner) == owner for rank in passed)]
        clear = [lane for lane in free if not any(_between(each, lane) & nodes for each in (start, end))]
        ways[edge] = Way((clear or free)[0], len(passed) > 0, bool(clear))
        taken.update(((rank, ways[edge].lane), owner) for rank in passed)
    return ways


def _between(end: tuple[int, int], lane: int) -> set[tuple[int, int]]:
    """Return the places from a node's to a lane, at its rank, less its own."""
    rank, own = end
    first, last = sorted((own, lane))
    return {(rank, each) for each in range(first, last + 1)} - {end}
