"""Shows names divided by "/" as the rows of a tree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Row(NamedTuple):
    """A row of a tree.

    Attributes:
        text: the last parts of a name, indented.
        name: the whole name; None if there are only names below it.
        below: how many names are below it.
        folded: whether these are left out.
    """

    text: str
    name: str | None
    below: int
    folded: bool


class _Node:
    def __init__(self) -> None:
        self.name: str | None = None
        self.children: dict[str, _Node] = {}

    def below(self) -> int:
        return sum((child.name is not None) + child.below() for child in self.children.values())


def tree(names: Iterable[str], limit: int = 200) -> list[Row]:
    """Return the rows of the tree of names, in their order; the deepest folded if there are more than `limit`."""
    root = _Node()
    for name in names:
        node = root
        for part in name.split("/"):
            node = node.children.setdefault(part, _Node())
        node.name = name
    depth = 1
    rows = list(_rows(root, 0, depth))
    while any(row.folded for row in rows):
        deeper = list(_rows(root, 0, depth + 1))
        if len(deeper) > limit:
            break
        depth, rows = depth + 1, deeper
    return rows


def _rows(node: _Node, level: int, depth: int) -> Iterator[Row]:
    for part, child in node.children.items():
        text = part
        while child.name is None and len(child.children) == 1:  # it only leads to the one below it
            ((part, child),) = child.children.items()
            text = f"{text}/{part}"
        below = child.below()
        is_folded = below > 0 and level + 1 >= depth
        yield Row("  " * level + text + ("/" if child.name is None else ""), child.name, below, is_folded)
        if not is_folded:
            yield from _rows(child, level + 1, depth)
