"""A value on its way out of scopes is visited as it leaves each: those who read it inside read it as it was before."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from ._compat import Literal
from ._points import Site

Key: TypeAlias = Any  # a variable of a jaxpr, as it is last; or (variable, n), as it is after its first n visits


class Span(NamedTuple):
    """Consecutive equations, from `start` to before `stop`, that agree on the version of what they read."""

    start: int
    stop: int
    read: Mapping[Any, Key]


class Versions:
    """Who reads which version of the variables of one jaxpr.

    Arguments:
        jaxpr: the jaxpr.
        leaving: by equation, the sites at which results of it are visited.
    """

    def __init__(self, jaxpr: Any, leaving: Mapping[int, Sequence[Site]]):
        self._jaxpr = jaxpr
        self._visits: dict[Any, list[Site]] = {}
        for index, sites in leaving.items():
            for site in sorted(sites, key=lambda site: len(site.inside)):  # the innermost first
                self._visits.setdefault(jaxpr.eqns[index].outvars[site.result], []).append(site)
        self.leaving = leaving
        self._last = self._last_reads()
        self._ending: dict[int, list[Key]] = {}
        for key, index in self._last.items():
            self._ending.setdefault(index, []).append(key)

    def key(self, v: Any, reader: int) -> Key:
        """Under which key an equation reads an operand."""
        if not _is_variable(v) or v not in self._visits:
            return v
        visits = self._visits[v]
        passed = next((n for n, site in enumerate(visits) if reader in site.inside), len(visits))
        return v if passed == len(visits) else (v, passed)

    def visits(self, index: int) -> Iterator[tuple[Site, Any, Key | None]]:
        """The visits to the results of an equation: (site, variable, the key of what it was before, if it is read)."""
        for v in self._jaxpr.eqns[index].outvars:
            for n, site in enumerate(self._visits.get(v, ())):
                yield site, v, (v, n) if (v, n) in self._last else None

    def is_needed(self, v: Any, stop: int) -> bool:
        """Whether a variable is visited, or read by the equation `stop` or a later one."""
        return v in self._visits or self._last.get(v, -1) >= stop

    def spans(self, alone: Container[int]) -> Iterator[Span]:
        """The equations divided into spans. Those of `alone` are spans of their own; visits come at the end of one."""
        start: int = 0
        read: dict[Any, Key] = {}
        for index, eqn in enumerate(self._jaxpr.eqns):
            keys = {v: self.key(v, index) for v in eqn.invars if _is_variable(v)}
            if start < index and (index in alone or any(read.get(v, key) != key for v, key in keys.items())):
                yield Span(start, index, read)
                start, read = index, {}
            read |= keys
            if index in alone or index in self.leaving:
                yield Span(start, index + 1, read)
                start, read = index + 1, {}
        if start < len(self._jaxpr.eqns):
            yield Span(start, len(self._jaxpr.eqns), read)

    def dead(self, span: Span) -> list[Key]:
        """What is read for the last time by the equations of a span."""
        return [key for index in range(span.start, span.stop) for key in self._ending.get(index, ())]

    def _last_reads(self) -> dict[Key, int]:
        """For each key the last equation that reads it; past the end for the results."""
        last = {self.key(v, i): i for i, eqn in enumerate(self._jaxpr.eqns) for v in eqn.invars if _is_variable(v)}
        return last | {v: len(self._jaxpr.eqns) for v in self._jaxpr.outvars if _is_variable(v)}


def _is_variable(v: Any) -> bool:
    return not isinstance(v, Literal)
