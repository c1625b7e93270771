"""A value on its way out of scopes is visited as it leaves each: those who read it inside read it as it was before."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from .._jax.jaxprs import is_literal
from .._points.point import Site

Key: TypeAlias = Any  # a variable of a jaxpr, as it is last; or (variable, n), as it is after its first n visits


class Span(NamedTuple):
    """Consecutive equations, from `start` to before `stop`, that agree on the version of what they read."""

    start: int
    stop: int
    read: Mapping[Any, Key]


class Visit(NamedTuple):
    """A visit to a variable at a site; and the key under which what comes of it is read before the next, if it is."""

    site: Site
    variable: Any
    early: Key | None


class Versions:
    """Who reads which version of the variables of one jaxpr, and when each is visited.

    Arguments:
        jaxpr: the jaxpr.
        sites: those at which results of its equations are visited.
        at_once: whether a value is visited as soon as it is there. Else it is before the first equation that reads what
            comes of the visit: backward, what the readers pass back is then added in the order in which it is without.
    """

    def __init__(self, jaxpr: Any, sites: Sequence[Site], at_once: bool):
        self._jaxpr, self._at_once = jaxpr, at_once
        self._visits: dict[Any, list[Site]] = {}
        for site in sorted(sites, key=lambda site: len(site.inside)):  # the innermost first
            self._visits.setdefault(jaxpr.eqns[site.equation].outvars[site.result], []).append(site)
        self._last = self._last_reads()
        self._ending: dict[int, list[Key]] = {}
        for key, index in self._last.items():
            self._ending.setdefault(index, []).append(key)
        self._after: dict[int, list[Visit]] = {}
        for v, many in self._visits.items():
            for n, site in enumerate(many):
                self._after.setdefault(self._time(v, site), []).append(Visit(site, v, self._early(v, n + 1)))

    def _time(self, v: Any, site: Site) -> int:
        """The equation after which a site is visited."""
        if self._at_once or not site.inside:
            return site.equation
        later = range(site.equation + 1, len(self._jaxpr.eqns))
        reads = (i for i in later if i not in site.inside and any(v is read for read in self._jaxpr.eqns[i].invars))
        return next(reads, len(self._jaxpr.eqns)) - 1

    def _early(self, v: Any, n: int) -> Key | None:
        return (v, n) if (v, n) in self._last else None

    def key(self, v: Any, reader: int) -> Key:
        """Under which key an equation reads an operand."""
        if not _is_variable(v) or v not in self._visits:
            return v
        visits = self._visits[v]
        passed = next((n for n, site in enumerate(visits) if reader in site.inside), len(visits))
        return v if passed == len(visits) else (v, passed)

    def visits(self, span: Span) -> list[Visit]:
        """The visits after the equations of a span: they are all after its last."""
        return self._after.get(span.stop - 1, [])

    def kept(self, span: Span) -> list[tuple[Any, Key]]:
        """The results of a span that some read as they are before any visit, and the keys under which they do."""
        made = (v for index in range(span.start, span.stop) for v in self._jaxpr.eqns[index].outvars)
        return [(v, key) for v in made if v in self._visits and (key := self._early(v, 0)) is not None]

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
            if index in alone or index in self._after:
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
    return not is_literal(v)
