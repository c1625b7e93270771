"""The nodes and edges of a picture: values, the result, and which of them is computed from which."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ..._errors import counted
from ..._points.flow import Flow, Read
from ..._points.point import Point, Points


class Node(NamedTuple):
    """A box: values, or the result.

    Attributes:
        label: the words in it.
        points: the points in it, in forward order; none of the result.
        arguments: the names of the arguments of the function that it reads, with no other node on the way.
        is_argument: its value is that of an argument as it came in.
        times: how often what it shows is there, as siblings that are alike, and as steps of a loop.
        values: how many values are in it: several points may name one.
    """

    label: str
    points: tuple[Point, ...]
    arguments: tuple[str, ...] = ()
    is_argument: bool = False
    times: tuple[str, ...] = ()
    values: int = 1


class Edge(NamedTuple):
    """The node `end` is computed from the node `start`, which are places among the nodes.

    Attributes:
        back: δ comes back this way.
        later: it does so a step, or one of several alike, later: the value of the one before.
    """

    start: int
    end: int
    back: bool = True
    later: bool = False


class Network(NamedTuple):
    """Nodes in forward order, the last of which is the result, and their edges.

    Attributes:
        is_flow: what is computed from what is known; else there is one edge from each to the next.
        notes: what is not in it, in sentences.
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    is_flow: bool
    notes: tuple[str, ...] = ()


def network_of(points: Points, result: str) -> Network:
    """Return a node for each value that points name, and one for the result, labelled `result`."""
    by_site: dict[object, list[Point]] = {}
    for point in points.values():
        if point.opaque is None:
            by_site.setdefault(point.site, []).append(point)
    values = [tuple(each) for each in by_site.values()]
    opaque = sum(point.opaque is not None for point in points.values())
    notes = [f"{counted(opaque, 'opaque point')} not drawn"] * bool(opaque)
    if points.flow is None:
        nodes = (*(Node(_label(each), each) for each in values), Node(result, ()))
        notes = ["in forward order: what is computed from what is not known", *notes]
        return Network(nodes, tuple(Edge(i, i + 1) for i in range(len(values))), False, tuple(notes))
    if (total := len(points.flow.values)) > len(points):
        notes.append(f"{len(points)} of {counted(total, 'point')}: arrows may lead through others")
    places = {points.flow.names[each[-1].number - 1]: place for place, each in enumerate(values)}
    reads = [*(points.flow.values[each[-1].number - 1] for each in values), points.flow.result]
    nodes, edges = [], []
    for end, (each, read) in enumerate(zip([*values, ()], reads, strict=True)):
        starts, arguments = _through_the_others(read, places, points.flow)
        is_argument = bool(each) and read.is_argument
        nodes.append(Node(_label(each) or result, each, arguments, is_argument))
        edges += [Edge(place, end, back, place >= end) for place, back in starts.items()]
    return Network(tuple(nodes), tuple(edges), True, tuple(notes))


def _label(points: Sequence[Point]) -> str:
    return points[-1].name if points else ""


def _through_the_others(read: Read, places: Mapping[int, int], flow: Flow) -> tuple[dict[int, bool], tuple[str, ...]]:
    """Return the nodes that a value is computed from, and whether δ comes back to each; and the arguments.

    The way may lead through points that are none of the nodes.
    """
    starts: dict[int, bool] = {}
    arguments = dict.fromkeys(read.arguments)
    left, met = [*_sources(read, True)], set()
    while left:
        if (step := left.pop()) in met:
            continue
        met.add(step)
        number, back = step
        if number in places:
            starts[places[number]] = back or starts.get(places[number], False)
        else:
            arguments |= dict.fromkeys(flow.values[number - 1].arguments)
            left += _sources(flow.values[number - 1], back)
    return dict(sorted(starts.items())), tuple(arguments)


def _sources(read: Read, back: bool) -> Iterator[tuple[int, bool]]:
    return ((number, back and number in read.back) for number in read.points)
