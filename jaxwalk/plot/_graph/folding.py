"""Many points folded into few boxes: by the parts of their paths, with siblings that are alike in one."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any

from ..._errors import counted
from ..._printable import printable
from .network import Edge, Network, Node

MOST = 20  # boxes, if it is not said how deep they are folded
LIMIT = 150  # boxes in any case

Parts = tuple[str, ...]


def folded(network: Network, depth: int | None) -> Network:
    """Return a network of few nodes, the points of one node having the first `depth` parts of their paths in common.

    Siblings are one part if they come one right after the other, are called the same but for a number, and have values
    of the same shapes inside.

    Arguments:
        depth: None for the deepest of which not many nodes come. Parts that all paths begin with do not count.
    """
    values = network.nodes[:-1]
    paths = [tuple((node.points[0].path or node.points[0].name).split("/")) for node in values]
    first = _common(paths)
    parts = [path[len(first) :] or path[-1:] for path in paths]
    alike: list[Parts] = [()] * len(values)
    times: list[tuple[tuple[int, int], ...]] = [()] * len(values)  # at which level, how many
    _join(range(len(values)), 0, parts, values, alike, times)
    if depth is None:
        deepest = max(map(len, alike))
        few = [each for each in range(1, deepest + 1) if len({key[:each] for key in alike}) <= MOST]
        depth = max(few, default=1)
        most = MOST
    else:
        most = LIMIT
    keys = [key[:depth] for key in alike]
    keys = _with_middle_folded(keys, most)
    notes = [*_said(values, keys, first), *network.notes]
    return _quotient(network, keys, [_times(times[i], depth, values[i]) for i in range(len(values))], tuple(notes))


def _common(paths: Sequence[Parts]) -> Parts:
    """Return the parts that all paths begin with, or are."""
    first: Parts = ()
    while True:
        longer = [path for path in paths if len(path) > len(first)]
        heads = {path[: len(first) + 1] for path in longer}
        if len(heads) != 1 or not any(len(path) > len(first) + 1 for path in longer):
            return first
        (first,) = heads


def _join(
    of: range, level: int, parts: Sequence[Parts], values: Sequence[Node], alike: list[Parts], times: list[Any]
) -> None:
    """Write down, for values that have `level` parts in common, their parts from there on, those of siblings joined."""
    groups = _groups(of, level, parts, values)
    for group in groups:
        names = [parts[sibling[0]][level] for sibling in group if len(parts[sibling[0]]) > level]
        for sibling in group:
            if not names:
                continue
            label = names[0] if len(group) == 1 else _from_to(names[0], names[-1])
            for i in sibling:
                alike[i] += (label,)
                if len(group) > 1:
                    times[i] += ((level, len(group)),)
            inner = [i for i in sibling if len(parts[i]) > level + 1]
            for run in _runs(inner):
                _join(run, level + 1, parts, values, alike, times)


def _runs(indices: Sequence[int]) -> Iterator[range]:
    """Yield stretches of consecutive numbers."""
    for _, run in itertools.groupby(enumerate(indices), lambda item: item[1] - item[0]):
        each = [index for _, index in run]
        yield range(each[0], each[-1] + 1)


def _groups(of: range, level: int, parts: Sequence[Parts], values: Sequence[Node]) -> list[list[list[int]]]:
    """Return the siblings at a level, each the values in it; those that are alike, one after the other, together."""
    siblings: dict[str, list[int]] = {}
    for i in of:
        siblings.setdefault(parts[i][level], []).append(i)
    groups: list[list[list[int]]] = []
    before: Any = None
    for name, inside in siblings.items():
        whole = inside[-1] - inside[0] + 1 == len(inside)
        looks = (_masked(name), tuple(_looks(i, level, parts, values) for i in inside)) if whole else None
        follows = bool(groups) and looks is not None and looks == before and groups[-1][-1][-1] + 1 == inside[0]
        if follows:
            groups[-1].append(inside)
        else:
            groups.append([inside])
        before = looks
    return groups


def _from_to(first: str, last: str) -> str:
    """Return "h_0 … 11" of "h_0" and "h_11"."""
    same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False)))
    while same and first[same - 1].isdigit():
        same -= 1
    return f"{first} … {last[same:]}"


def _masked(name: str) -> str:
    return re.sub(r"\d+", "0", name.partition("#")[0])


def _looks(i: int, level: int, parts: Sequence[Parts], values: Sequence[Node]) -> tuple:
    point = values[i].points[0]
    return tuple(map(_masked, parts[i][level + 1 :])), point.shape, str(point.dtype)


def _with_middle_folded(keys: list[Parts], most: int) -> list[Parts]:
    """Return the keys, those in the middle made one if there are too many."""
    known = list(dict.fromkeys(keys))
    if len(known) <= most:
        return keys
    middle = {*known[most // 2 : len(known) - (most - most // 2 - 1)]}
    return [("…",) if key in middle else key for key in keys]


def _times(found: Sequence[tuple[int, int]], depth: int, node: Node) -> tuple[str, ...]:
    """Return how often what a node shows is there: siblings that are alike, and steps of loops."""
    repeats = [count for level, count in found if level < depth]
    loops = [f"{axis.length} {'steps' if axis.kind == 'scan' else 'shards'}" for axis in node.points[0].axes]
    return tuple(f"×{each}" for each in [*repeats, *loops])


def _said(values: Sequence[Node], keys: Sequence[Parts], first: Parts) -> Iterator[str]:
    within = f"; names are within {printable('/'.join(first))}/" if first else ""
    if (boxes := len(set(keys))) < len(values) or within:
        count = sum(len(node.points) for node in values)
        yield f"{counted(count, 'point')} in {counted(boxes, 'box', 'boxes')}{within}"


def _quotient(network: Network, keys: Sequence[Parts], times: Sequence[Any], notes: tuple[str, ...]) -> Network:
    """Return the network whose nodes are all those of one key."""
    places = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    of = [*(places[key] for key in keys), len(places)]
    inside: list[list[int]] = [[] for _ in places]
    for i, key in enumerate(keys):
        inside[places[key]].append(i)
    nodes = [
        _merged(key, [network.nodes[i] for i in inside[at]], {times[i] for i in inside[at]})
        for key, at in places.items()
    ]
    found: dict[tuple[int, int], Edge] = {}
    for edge in network.edges:
        pair = of[edge.start], of[edge.end]
        if pair[0] != pair[1]:
            known = found.get(pair)
            back = edge.back or (known is not None and known.back)
            found[pair] = Edge(*pair, back, pair[0] > pair[1])
    return Network((*nodes, network.nodes[-1]), tuple(found.values()), network.is_flow, notes)


def _merged(key: Parts, nodes: Sequence[Node], times: set[tuple[str, ...]]) -> Node:
    points = tuple(point for node in nodes for point in node.points)
    arguments = tuple(dict.fromkeys(name for node in nodes for name in node.arguments))
    common = times.pop() if len(times) == 1 else ()
    return Node("/".join(key), points, arguments, len(nodes) == 1 and nodes[0].is_argument, common, len(nodes))
