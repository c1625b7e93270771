"""Shows names divided by "/" as the rows of a tree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple


class Row(NamedTuple):
    """A row of a tree.

    Attributes:
        text: the last parts of a name, indented.
        name: the whole name; None if there are only names below it.
        below: how many names are below it.
        folded: whether these are left out.
        level: how far it is indented.
    """

    text: str
    name: str | None
    below: int
    folded: bool
    level: int = 0


class _Node:
    def __init__(self) -> None:
        self.name: str | None = None
        self.children: dict[str, _Node] = {}  # by the part of a name, with the mark before it

    @property
    def is_dotted(self) -> bool:
        """Tell whether all that is below it goes on with a dot."""
        return all(part.startswith(".") for part in self.children)

    def below(self) -> int:
        return sum((child.name is not None) + child.below() for child in self.children.values())


def tree(names: Iterable[str], paths: Mapping[str, str] = MappingProxyType({}), limit: int = 200) -> list[Row]:
    """Return the rows of the tree of names, in their order; the deepest folded if there are more than `limit`.

    A name that is divided elsewhere too is so in its path: "blocks/0/attn" of "blocks.0.attn".
    """
    root = _Node()
    for name in names:
        node = root
        for part in _parts(name, paths.get(name, name)):
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


def _parts(name: str, path: str) -> Iterator[str]:
    """Yield the parts of a name, each with the mark that divides it from the one before, where its path has a "/"."""
    start = 0
    for stop in [*(i for i, mark in enumerate(path) if mark == "/"), len(name)]:
        yield name[start:stop]
        start = stop


def _rows(node: _Node, level: int, depth: int) -> Iterator[Row]:
    is_marked = node.name is None  # a row that is no name ends with the mark
    for part, child in node.children.items():
        text = part.removeprefix("/")
        if is_marked and node.is_dotted:
            text = text.removeprefix(".")
        while child.name is None and len(child.children) == 1:  # it only leads to the one below it
            ((part, child),) = child.children.items()
            text += part
        below = child.below()
        is_folded = below > 0 and level + 1 >= depth
        mark = "" if child.name is not None else "." if child.is_dotted else "/"
        yield Row("  " * level + text + mark, child.name, below, is_folded, level)
        if not is_folded:
            yield from _rows(child, level + 1, depth)
