"""Names of what is walked, unique in one program: a second passage is numbered, as "h/attn#2"."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from .._jax.origin import ROOT
from .paths import Entry


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

    def of(self, entry: Entry) -> str:
        """Return the name of an entry. It numbers those of one name as they come: ask in forward order."""
        if entry not in self._names:
            self._names[entry] = self._numbered(self._plain(entry))
        return self._names[entry]

    def path(self, entry: Entry, name: str) -> str:
        """Return a name that begins with that of `entry`, the module's path in it divided by "/" too."""
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


def numbered(names: Sequence[str], former: Sequence[Collection[str]]) -> list[str]:
    """Return the names, those that come again numbered. None takes a former name of another: that keeps its meaning."""
    owners = {name: index for index, many in enumerate(former) for name in many}
    found: dict[str, None] = {}
    seen: dict[str, int] = {}
    for index, name in enumerate(names):
        unique = name
        while unique in found or owners.get(unique, index) != index:
            seen[name] = seen.get(name, 1) + 1
            unique = f"{name}#{seen[name]}"
        found[unique] = None
    return [*found]
