"""Paths: through which scopes, or lines of source, the run passes where an equation is; and the names of these."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from ..._jax.origin import ROOT
from ..._source.leaves import Leaf

if TYPE_CHECKING:
    from jax.extend.core import Jaxpr, JaxprEqn


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Entry:
    """One passage of the run through a scope or a line; entered again, it is another."""

    label: str  # of the scope ("attn") or the line ("net/b")
    parent: Entry | None  # the passage within which this one is
    opening: int | None = None  # of a scope: equal for all that is in one opening of it
    place: tuple[str, int] | None = None  # (file, line) of a line of source
    alike: bool = False  # whether it may be another passage: none was seen, and positions in the code cannot tell all
    module: Entry | None = None  # of a line of a module that `scoped` has named: the passage through the module
    label_there: str = ""  # and what the line is called in it

    @property
    def is_rooted(self) -> bool:
        """Tell whether the label is a path in a whole model, which then names it alone; no einsum's "...i->i"."""
        return self.label.startswith(ROOT) and not self.label.startswith(2 * ROOT) and len(self.label) > len(ROOT)


Path: TypeAlias = tuple[Entry, ...]  # the outermost first
Entries: TypeAlias = Mapping[Any, Entry]


class Paths(Protocol):
    """Finds what equations are in: scopes, or lines of source."""

    def __call__(self, jaxpr: Jaxpr, around: Path, outer: Entries) -> tuple[Sequence[Path], Entries]:
        """Return the path of each equation of a jaxpr, and the entries of these paths.

        `around` is the path of the equation that runs it, `outer` the entries met where that one is.
        """
        ...

    def is_in_any(self, eqn: JaxprEqn) -> bool:
        """Tell whether an equation is in anything, its own jaxpr taken alone."""
        ...

    def goes_on_in(self, eqn: JaxprEqn, entry: Entry) -> bool:
        """Tell whether what an equation runs is in `entry` too, though the equation itself is not."""
        ...

    def leaves(self, entry: Entry, eqn: JaxprEqn, result: int) -> Sequence[Leaf]:
        """Return the leaves that a value leaving `entry` is of what `entry` assigns or returns."""
        ...

    def is_all_of_its_module(self, entry: Entry) -> bool:
        """Tell whether all that a module does, which `scoped` has named, is in this entry in it."""
        ...


def common(one: Path, other: Path) -> int:
    """Count the entries that two paths share from the start."""
    length = min(len(one), len(other))
    return next((i for i in range(length) if one[i] is not other[i]), length)
