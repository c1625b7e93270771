"""A value on its way out of scopes is visited as it leaves each: those who read it inside read it as it was before."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from .._jax.jaxprs import is_literal
from .._points.point import Site

if TYPE_CHECKING:
    from jax.extend.core import Jaxpr, Literal, Var

Key: TypeAlias = Any  # a variable of a jaxpr, as it is last; or (variable, n), as it is after its first n visits


class Span(NamedTuple):
    """Consecutive equations, from `start` to before `stop`, that agree on the version of what they read."""

    start: int
    stop: int
    read: Mapping[Var, Key]


class Visit(NamedTuple):
    """A visit to a variable at a site; and the key under which what comes of it is read before the next, if it is."""

    site: Site
    variable: Var
    early: Key | None


class Versions:
    """Knows who reads which version of the variables of one jaxpr, and when each is visited.

    Arguments:
        jaxpr: the jaxpr.
        sites: those at which results of its equations are visited.
        at_once: whether a value is visited as soon as it is there. Else it is before the first equation that reads what
            comes of the visit: backward, what the readers pass back is then added in the order in which it is without.
    """

    def __init__(self, jaxpr: Jaxpr, sites: Sequence[Site], at_once: bool):
        self._jaxpr, self._at_once = jaxpr, at_once
        self._sites: dict[Var, list[Site]] = {}
        for site in sorted(sites, key=lambda site: len(site.inside)):  # the innermost first
            self._sites.setdefault(jaxpr.eqns[site.equation].outvars[site.result or 0], []).append(site)
        self._last = self._last_reads()
        self._ending: dict[int, list[Key]] = {}
        for key, index in self._last.items():
            self._ending.setdefault(index, []).append(key)
        self._after: dict[int, list[Visit]] = {}
        for v, many in self._sites.items():
            for n, site in enumerate(many, 1):
                self._after.setdefault(self._time(v, site), []).append(Visit(site, v, self._early(v, n)))

    def _time(self, v: Var, site: Site) -> int:
        """Return the equation after which a site is visited."""
        if self._at_once or not site.inside:
            return site.equation
        later = range(site.equation + 1, len(self._jaxpr.eqns))
        reads = (i for i in later if i not in site.inside and any(v is read for read in self._jaxpr.eqns[i].invars))
        return next(reads, len(self._jaxpr.eqns)) - 1

    def _early(self, v: Var, n: int) -> Key | None:
        return (v, n) if (v, n) in self._last else None

    def _key(self, v: Var, reader: int) -> Key:
        """Return the key under which an equation reads an operand."""
        if v not in self._sites:
            return v
        sites = self._sites[v]
        passed = next((n for n, site in enumerate(sites) if reader in site.inside), len(sites))
        return v if passed == len(sites) else (v, passed)

    def _keys(self, reader: int) -> dict[Var, Key]:
        return {v: self._key(v, reader) for v in _variables(self._jaxpr.eqns[reader].invars)}

    def visits(self, span: Span) -> list[Visit]:
        """Return the visits after the equations of a span: they are all after its last."""
        return self._after.get(span.stop - 1, [])

    def kept(self, span: Span) -> list[tuple[Var, Key]]:
        """Return the results of a span that some read as they are before any visit, with the keys for that."""
        made = (v for index in range(span.start, span.stop) for v in self._jaxpr.eqns[index].outvars)
        return [(v, key) for v in made if v in self._sites and (key := self._early(v, 0)) is not None]

    def is_needed(self, v: Var, stop: int) -> bool:
        """Tell whether a variable is visited, or read by the equation `stop` or a later one."""
        return v in self._sites or self._last.get(v, -1) >= stop

    def spans(self, alone: Container[int]) -> Iterator[Span]:
        """Divide the equations into spans. Those of `alone` are spans of their own; visits come at the end of one."""
        start: int = 0
        read: dict[Var, Key] = {}
        for index in range(len(self._jaxpr.eqns)):
            keys = self._keys(index)
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
        """Return what is read for the last time by the equations of a span."""
        return [key for index in range(span.start, span.stop) for key in self._ending.get(index, ())]

    def _last_reads(self) -> dict[Key, int]:
        """Return for each key the last equation that reads it; past the end for the results."""
        count = len(self._jaxpr.eqns)
        last = {key: index for index in range(count) for key in self._keys(index).values()}
        return last | dict.fromkeys(_variables(self._jaxpr.outvars), count)


def _variables(operands: Sequence[Var | Literal]) -> Iterator[Var]:
    return (v for v in operands if not is_literal(v))
