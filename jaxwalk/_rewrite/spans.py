"""Dividing the equations of a jaxpr into spans: what is run at once, up to the next value that is visited."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from .._jax.jaxpr.jaxprs import is_literal
from .._points.point import Site

if TYPE_CHECKING:
    from jax.extend.core import Jaxpr, Literal, Var


class Span(NamedTuple):
    """Consecutive equations, from `start` to before `stop`."""

    start: int
    stop: int


class Spans:
    """Knows which results of the equations of one jaxpr are visited, and until when each variable is needed.

    A value is visited as soon as it is there, so that all who read it read what comes of the visit.

    Arguments:
        jaxpr: the jaxpr.
        sites: those at which results of its equations are visited.
        reads: by equation the operands of what stands in for it.
    """

    def __init__(self, jaxpr: Jaxpr, sites: Sequence[Site], reads: Mapping[int, Sequence[Var | Literal]]):
        self._jaxpr = jaxpr
        self._visits: dict[int, list[tuple[Site, Var]]] = {}
        for site in sites:
            v = jaxpr.eqns[site.equation].outvars[site.result or 0]
            self._visits.setdefault(site.equation, []).append((site, v))
        self._visited = {v for many in self._visits.values() for _, v in many}
        read_by = [reads.get(index, eqn.invars) for index, eqn in enumerate(jaxpr.eqns)]
        last = {v: index for index, operands in enumerate(read_by) for v in _variables(operands)}
        self._last = last | dict.fromkeys(_variables(jaxpr.outvars), len(jaxpr.eqns))
        self._ending: dict[int, list[Var]] = {}
        for v, index in self._last.items():
            self._ending.setdefault(index, []).append(v)

    def visits(self, span: Span) -> list[tuple[Site, Var]]:
        """Return the sites and variables visited after the equations of a span: they are results of its last."""
        return self._visits.get(span.stop - 1, [])

    def is_needed(self, v: Var, stop: int) -> bool:
        """Tell whether a variable is visited, or read by the equation `stop` or a later one."""
        return v in self._visited or self._last.get(v, -1) >= stop

    def divide(self, alone: Container[int]) -> Iterator[Span]:
        """Divide the equations into spans. Those of `alone` are spans of their own; visits come at the end of one."""
        start: int = 0
        for index in range(len(self._jaxpr.eqns)):
            if start < index and index in alone:
                yield Span(start, index)
                start = index
            if index in alone or index in self._visits:
                yield Span(start, index + 1)
                start = index + 1
        if start < len(self._jaxpr.eqns):
            yield Span(start, len(self._jaxpr.eqns))

    def dead(self, span: Span) -> list[Var]:
        """Return what is read for the last time by the equations of a span."""
        return [v for index in range(span.start, span.stop) for v in self._ending.get(index, ())]


def _variables(operands: Sequence[Var | Literal]) -> Iterator[Var]:
    return (v for v in operands if not is_literal(v))
