"""Where boxes and arrows are, in inches: from ranks, lanes and the room that words need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .layout import Layout, Way
from .network import Edge

LETTER = 0.57 / 72  # the mean width of a letter in inches, a point of its size

Place = tuple[float, float]  # along the run, and across it


class Room(NamedTuple):
    """What a node needs, in inches: its box along the run and across it, and what is written before the next box.

    Attributes:
        along, across: the size of its box.
        whole: the same along the run, with what is written at the box.
        after: for what is written at the arrow that leaves it.
        sides: from its middle across the run, toward lanes of smaller and of larger numbers, for all that is written.
    """

    along: float
    across: float
    whole: float
    after: float
    sides: tuple[float, float]


class Box(NamedTuple):
    """Where a box is: its middle and its size, along the run and across it."""

    middle: Place
    along: float
    across: float

    def front(self, off: float) -> Place:
        """Return where an arrow arrives, `off` the middle."""
        return self.middle[0] - self.along / 2, self.middle[1] + off

    def end(self, off: float) -> Place:
        """Return where an arrow leaves, `off` the middle."""
        return self.middle[0] + self.along / 2, self.middle[1] + off

    def side(self, sign: int, off: float) -> Place:
        """Return a place on one of its sides, `off` the middle."""
        return self.middle[0] + off, self.middle[1] + sign * self.across / 2


class Plan(NamedTuple):
    """Where everything is.

    Attributes:
        boxes: of each node.
        gaps: of each node, the middle of the gap between its rank and the next.
        lanes: where each lane is, across the run.
        length, first, last: how long the run is, and from where to where across.
    """

    boxes: tuple[Box, ...]
    gaps: tuple[float, ...]
    lanes: dict[int, float]
    length: float
    first: float
    last: float


def planned(layout: Layout, rooms: Sequence[Room], least: float, apart: float) -> Plan:
    """Return where boxes are.

    Arguments:
        least: the shortest gap between two ranks.
        apart: the width of a lane on which there are no boxes.
    """
    ranks = range(max(layout.ranks) + 1)
    at = [[node for node, rank in enumerate(layout.ranks) if rank == each] for each in ranks]
    along = [max((rooms[node].whole for node in nodes), default=0) for nodes in at]
    gaps = [max([least, *(rooms[node].after for node in nodes)]) for nodes in at]
    middles, place = [], 0.0
    for rank in ranks:
        middles.append(place + along[rank] / 2)
        place += along[rank] + gaps[rank]
    lanes = _lanes(layout, rooms, apart)
    found = [
        Box((middles[rank], lanes[lane]), rooms[node].along, rooms[node].across)
        for node, (rank, lane) in enumerate(zip(layout.ranks, layout.lanes, strict=True))
    ]
    ends = [
        (middles[rank] + along[rank] / 2, middles[rank + 1] - along[rank + 1] / 2) if rank + 1 in ranks else (0.0, 0.0)
        for rank in ranks
    ]
    between = [sum(ends[rank]) / 2 for rank in layout.ranks]
    halves = _halves(layout, rooms, apart)
    first = min(lanes[lane] - halves[lane][0] for lane in lanes)
    last = max(lanes[lane] + halves[lane][1] for lane in lanes)
    return Plan(tuple(found), tuple(between), lanes, place - gaps[-1], first, last)


def _halves(layout: Layout, rooms: Sequence[Room], apart: float) -> dict[int, tuple[float, float]]:
    """Return of each lane how far it reaches from its middle, toward those of smaller and of larger numbers."""
    used = {*layout.lanes, *(way.lane for way in layout.ways.values())}
    found = dict.fromkeys(range(min(used), max(used) + 1), (apart / 2, apart / 2))
    for node, lane in enumerate(layout.lanes):
        found[lane] = max(found[lane][0], rooms[node].sides[0]), max(found[lane][1], rooms[node].sides[1])
    return found


def _lanes(layout: Layout, rooms: Sequence[Room], apart: float) -> dict[int, float]:
    halves = _halves(layout, rooms, apart)
    places, place = {}, 0.0
    for lane, (before, after) in sorted(halves.items()):
        places[lane] = place + before
        place += before + after
    return places


def way_of(edge: Edge, way: Way | None, plan: Plan, off: float) -> list[Place]:
    """Return the corners of an edge from the box that it leaves to that at which it arrives, moved `off` its middle."""
    start, end = plan.boxes[edge.start], plan.boxes[edge.end]
    if way is None:
        return [start.end(off), end.front(off)]
    lane = plan.lanes[way.lane]
    if not way.by_sides:
        turn, front = plan.gaps[edge.start], end.front(off)
        above = front[0] - 0.1 - abs(off) / 2 + off  # between the words in the gap and the box
        on = [(turn, start.middle[1] + off), (turn, lane + off)] if way.passes else []
        last = on[-1][1] if on else start.middle[1] + off
        return [start.end(off), *on, (above, last), (above, front[1]), front]
    forward = -1 if edge.later else 1
    leaves = _beside(start, lane, 0.3, -off * forward)
    arrives = _beside(end, lane, -0.3, off * forward)
    one = [leaves, (leaves[0], lane + off)] if leaves else [start.end(off)]
    other = [(arrives[0], lane + off), arrives] if arrives else [end.front(off)]
    return [*one, *other]


def _beside(box: Box, lane: float, share: float, off: float) -> Place | None:
    """Return where an edge on a lane meets the side of a box, `share` of it off the middle; None if it stands there."""
    if abs(lane - box.middle[1]) < 1e-6:
        return None
    sign = 1 if lane > box.middle[1] else -1
    return box.side(sign, share * min(box.along, 0.6) + sign * off)
