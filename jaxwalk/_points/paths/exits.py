"""Which values leave a scope or a line: those that something outside of it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..._jax.jaxpr import types
from ..._jax.jaxpr.jaxprs import is_literal
from .paths import Entry, Path, common

if TYPE_CHECKING:
    from jax.extend.core import Jaxpr, JaxprEqn, Var


class Exit(NamedTuple):
    """A result of an equation on its way out, by the number of the result."""

    result: int
    entries: tuple[Entry, ...]  # what it leaves, the innermost first


def exits(
    jaxpr: Jaxpr, paths: Sequence[Path], around: Path, goes_on_in: Callable[[JaxprEqn, Entry], bool]
) -> list[list[Exit]]:
    """Return, per equation, what leaves some entry with it.

    What an equation reads that runs more of the same entry (`goes_on_in`) stays in it. An entry that nothing leaves,
    because nothing of it is used, is left by the values in it that nobody reads.
    """
    readers = readers_of(jaxpr)

    def shared(path: Path, reader: int) -> int:
        if reader == len(paths):
            return len(around)
        if paths[reader] is path:
            return len(path)
        depth = common(path, paths[reader])
        while len(paths[reader]) <= depth < len(path) and goes_on_in(jaxpr.eqns[reader], path[depth]):
            depth += 1
        return depth

    found = [list(_exits(eqn, path, around, readers, shared)) for eqn, path in zip(jaxpr.eqns, paths, strict=True)]
    left = {entry for many in found for exit in many for entry in exit.entries}
    for index, eqn in enumerate(jaxpr.eqns):
        unread = tuple(entry for entry in reversed(paths[index][len(around) :]) if entry not in left)
        for result, v in enumerate(eqn.outvars if unread else ()):
            if v not in readers and types.is_array_type(v.aval):
                found[index].append(Exit(result, unread))
    return found


def readers_of(jaxpr: Jaxpr) -> dict[Var, list[int]]:
    readers: dict[Var, list[int]] = {}
    for index, operands in enumerate([*(eqn.invars for eqn in jaxpr.eqns), jaxpr.outvars]):
        for v in dict.fromkeys(v for v in operands if not is_literal(v)):
            readers.setdefault(v, []).append(index)
    return readers


def _exits(
    eqn: JaxprEqn, path: Path, around: Path, readers: Mapping[Var, Sequence[int]], shared: Callable[[Path, int], int]
) -> Iterator[Exit]:
    if len(path) == len(around):
        return
    for result, v in enumerate(eqn.outvars):
        if v in readers and types.is_array_type(v.aval):
            depth = min([shared(path, reader) for reader in readers[v]])
            if depth < len(path):
                yield Exit(result, tuple(reversed(path[depth:])))
