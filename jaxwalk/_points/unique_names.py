"""Names of what is walked, unique in one program: a second passage is numbered, as "h/attn#2"."""

from __future__ import annotations

from .._jax.origin import ROOT
from .paths import Entry


class Names:
    """Gives entries names that are unique in one program: "h/0/attn", and "h/0/attn#2" for a second passage."""

    def __init__(self) -> None:
        self._names: dict[Entry, str] = {}
        self._seen: dict[str, int] = {}

    def of(self, entry: Entry) -> str:
        """Return the name of an entry. It numbers those of one name as they come: ask in forward order."""
        if entry not in self._names:
            self._names[entry] = self._numbered(self._plain(entry))
        return self._names[entry]

    def _plain(self, entry: Entry) -> str:
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
