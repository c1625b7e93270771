"""Of which points' values a value is a sum, at which of their steps; and to which it is bent, by more than a sum."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import jax
import numpy as np

from ..._jax import origin
from ..._points.paths.paths import Entry, Path

if TYPE_CHECKING:
    from jax.extend.core import JaxprEqn

Source: TypeAlias = Any  # the number of a point; or a token, for what a loop carries in
Scopes: TypeAlias = frozenset[Entry]


@dataclasses.dataclass(frozen=True)
class Move:
    """What moves the entries of a value, and is linear: a reshape, a transposition, a slice."""

    text: str  # equal for equal ones
    apply: Callable[[jax.Array], jax.Array] = dataclasses.field(compare=False)


class Why(NamedTuple):
    """What bends a value: something, and the equation that does it."""

    what: str
    eqn: JaxprEqn

    def __str__(self) -> str:
        place = origin.source_of(self.eqn)
        return f"{self.what} at {place}" if place else self.what


class Term(NamedTuple):
    """The value at a point, as it is in a sum: after some moves, the first one first."""

    source: Source
    moves: tuple[Move, ...] = ()


Terms: TypeAlias = Mapping[Term, np.ndarray]


class Sum(NamedTuple):
    """What a value is made of.

    Attributes:
        terms: the factor of each. Its axes: the loops that the point is in, then those that the value is in; so it says
            in which steps of the one which steps of the other are.
        bent: which points reach it by more than a sum, through equations in which of the scopes that read (all are
            around all who read the value as long as this is kept); and what did that.
        read: those of the terms that are there by way of a point that reads: what bends them is behind it.
        made: the scopes of the equation that made it.
        number: which each of its entries is, if it is of none of these, but a number that the program says.
    """

    terms: Terms
    bent: Mapping[tuple[Source, Scopes], Why] = MappingProxyType({})
    read: frozenset[Source] = frozenset()
    made: Path = ()
    number: float | None = None

    @property
    def is_nothing(self) -> bool:
        return not self.terms and not self.bent

    def within(self, scopes: Scopes) -> Sum:
        """Return it as it is read in these scopes: what was bent in another that reads is an edge of that one."""
        if all(through <= scopes for _, through in self.bent):
            return self
        return self._replace(bent={key: why for key, why in self.bent.items() if key[1] <= scopes})


NOTHING = Sum({})


def added(*sums: Sum) -> Sum:
    found = [each for each in sums if not each.is_nothing]
    if len(found) < 2:
        return found[0] if found else NOTHING
    terms: dict[Term, np.ndarray] = {}
    bent: dict[tuple[Source, Scopes], Why] = {}
    for each in found:
        add(terms, each.terms)
        bent = {**each.bent, **bent}
    unread = {term.source for each in found for term in each.terms if term.source not in each.read}
    return Sum(terms, bent, frozenset().union(*(each.read for each in found)) - unread)


def add(terms: dict[Term, np.ndarray], more: Terms) -> None:
    for term, factor in more.items():
        terms[term] = terms[term] + factor if term in terms else factor


def scaled(of: Sum, by: float) -> Sum:
    return of._replace(terms={term: factor * by for term, factor in of.terms.items()})


def moved(of: Sum, move: Move) -> Sum:
    return of._replace(terms={Term(source, (*moves, move)): f for (source, moves), f in of.terms.items()})


def bend(sums: Iterable[Sum], scopes: Scopes, why: Why) -> Sum:
    """Return what is made of these by more than a sum, in these scopes."""
    bent: dict[tuple[Source, Scopes], Why] = {}
    for each in sums:
        bent |= {(source, scopes): reason for (source, _), reason in each.bent.items()}
        sources = {term.source for term in each.terms} - each.read
        bent |= {(source, scopes): why for source in sources if (source, scopes) not in bent}
    return Sum({}, bent)


def in_each_step(of: Sum, steps: int) -> Sum:
    """Return a value from outside of a scan as it is in each of its steps."""
    terms = {term: np.broadcast_to(f[..., None], (*f.shape, steps)) for term, f in of.terms.items()}
    return of._replace(terms=terms)


def agreed(sums: list[Sum], scopes: Scopes, why: Why) -> Sum:
    """Return what comes out of one of several branches: terms that it has in all of them, all else bent."""
    first, *others = sums
    same = {
        term: factor
        for term, factor in first.terms.items()
        if all(term in other.terms and np.array_equal(other.terms[term], factor) for other in others)
    }
    rest = [s._replace(terms={t: f for t, f in s.terms.items() if t not in same}) for s in sums]
    return Sum(same, bend(rest, scopes, why).bent, first.read)
