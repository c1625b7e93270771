"""Names of what is walked, unique in one program: a second passage is numbered, as "h/attn#2"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..._jax.origin import ROOT
from ..._source.leaves import Leaf
from .paths import Entry


class Called(NamedTuple):
    """How a value is called, before it is numbered: others may be called so too."""

    name: str
    path: str  # the name, divided by "/" where a tree of modules or of a value's leaves is
    former: tuple[str, ...]  # what it was called, and what is no point of its own any more, before modules named it
    also: tuple[str, ...] = ()  # under which other names it may be found, if no other has them


class Unique(NamedTuple):
    """The name of a point, its path, and under which others it is found."""

    name: str
    path: str
    aliases: tuple[str, ...]


class Names:
    """Gives entries names that are unique in one program: "h/0/attn", and "h/0/attn#2" for a second passage.

    Arguments:
        by_module: whether a line of a module that `scoped` has named is named by the module's path in the model,
            "blocks.0.attn/q", and not by the lines that lead to it.
    """

    def __init__(self, by_module: bool = True) -> None:
        self._by_module = by_module
        self._names: dict[Entry, str] = {}
        self._seen: dict[str, int] = {}
        self._targets: dict[tuple[Entry, str], str] = {}
        self._assigned: dict[str, int] = {}

    def of(self, entry: Entry) -> str:
        """Return the name of an entry. It numbers those of one name as they come: ask in forward order."""
        if entry not in self._names:
            self._names[entry] = self._numbered(self._plain(entry))
        return self._names[entry]

    def called(self, entry: Entry, more: str, former: tuple[str, ...], leaves: Sequence[Leaf] = ()) -> Called:
        """Return how a value is called that is at, or leaves, an entry.

        Arguments:
            more: what follows the entry's name: a tag, or its number among those that leave.
            former: as of `Called`.
            leaves: which leaves it is of what a line assigns. The first names it in place of a number.
        """
        name = self.of(entry)
        path = self._path(entry, name)
        found = [Called(name + more, path + more, former), *(self._leaf(entry, path, leaf) for leaf in leaves)]
        first = found[1 if leaves and more else 0]
        return first._replace(former=former, also=tuple(called.name for called in found[1:]))

    def _leaf(self, entry: Entry, path: str, leaf: Leaf) -> Called:
        """Return how a leaf of what a line assigns is called: "net/s.obs" of the line "net/s"."""
        name = self._target(entry, leaf.target)
        path = path[: path.rfind("/") + 1] + name[name.rfind("/") + 1 :]
        if not leaf.path:
            return Called(name, path, ())
        return Called(f"{name}.{leaf.path}", f"{path}/{leaf.path.replace('.', '/')}", ())

    def _target(self, entry: Entry, target: str) -> str:
        """Return the name of what a line assigns; of one of several things, the line's with that alone, numbered."""
        name = self.of(entry)
        if target == entry.label.rpartition("/")[2]:
            return name
        if (entry, target) not in self._targets:
            alone = name[: name.rfind("/") + 1] + target
            count = self._assigned[alone] = max(self._assigned.get(alone, 0), self._seen.get(alone, 0)) + 1
            self._targets[entry, target] = alone if count == 1 else f"{alone}#{count}"
        return self._targets[entry, target]

    def _path(self, entry: Entry, name: str) -> str:
        """Return the name of an entry, the module's path in it divided by "/" too."""
        rooted = _innermost_root(entry)
        if rooted is None:
            return name
        start = len(self._within(_before_the_root(rooted)))
        stop = start + len(rooted.label) - len(ROOT)
        return name[:start] + name[start:stop].replace(".", "/") + name[stop:]

    def _plain(self, entry: Entry) -> str:
        if self._by_module and entry.module is not None:
            return self._within(entry.module) + entry.label_there
        within = self._within(entry.parent)  # asked for of a rooted entry too: this numbers what is around it
        if not entry.is_rooted:
            return within + entry.label
        return self._within(_before_the_root(entry)) + entry.label.removeprefix(ROOT)

    def _within(self, entry: Entry | None) -> str:
        return "" if entry is None else f"{self.of(entry)}/"

    def _numbered(self, name: str) -> str:
        count = self._seen[name] = self._seen.get(name, 0) + 1
        return name if count == 1 else f"{name}#{count}"


def _before_the_root(entry: Entry) -> Entry | None:
    """Return what is around the outermost rooted entry: a rooted path says the way from there by itself."""
    outer, around = entry.parent, entry.parent
    while around is not None:
        if around.is_rooted:
            outer = around.parent
        around = around.parent
    return outer


def _innermost_root(entry: Entry | None) -> Entry | None:
    while entry is not None and not entry.is_rooted:
        entry = entry.module or entry.parent
    return entry


def unique(found: Sequence[Called]) -> list[Unique]:
    """Return names that no two have. None takes a former name of another, which keeps its meaning."""
    before = iter(_numbered([former for called in found for former in called.former], {}))
    former = [[next(before) for _ in called.former] for called in found]
    owners = {name: index for index, many in enumerate(former) for name in many}
    names = _numbered([called.name for called in found], owners)
    return [_unique(*each) for each in zip(found, names, former, strict=True)]


def _unique(called: Called, name: str, former: Sequence[str]) -> Unique:
    path = called.path + name.removeprefix(called.name)
    return Unique(name, path, tuple(alias for alias in dict.fromkeys([path, *former, *called.also]) if alias != name))


def _numbered(names: Sequence[str], owners: Mapping[str, int]) -> list[str]:
    """Return the names, those that come again numbered; one that has an owner is left to it."""
    found: dict[str, None] = {}
    seen: dict[str, int] = {}
    for index, name in enumerate(names):
        free = name
        while free in found or owners.get(free, index) != index:
            seen[name] = seen.get(name, 1) + 1
            free = f"{name}#{seen[name]}"
        found[free] = None
    return [*found]
