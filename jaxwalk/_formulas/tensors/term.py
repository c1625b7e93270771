"""`Term`: an operation on tensors, in the graph of a formula."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

Shape: TypeAlias = tuple[int, ...]


class Term(NamedTuple):
    """An operation on terms. `detail` is what it needs to know besides, axes say."""

    op: str
    args: tuple[Term, ...]
    shape: Shape
    detail: Any = None

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other


class Builder(Protocol):
    """What makes terms, as far as `patterns` need it."""

    def make(self, op: str, args: Sequence[Term], shape: Sequence[int], detail: Any = None) -> Term: ...
    def times(self, factors: Sequence[Term], shape: Sequence[int]) -> Term: ...
    def minus(self, a: Term, b: Term, shape: Sequence[int]) -> Term: ...
    def power(self, x: Term, n: int, shape: Sequence[int]) -> Term: ...


def unspread(term: Term) -> Term:
    """Return a term as it was before it was broadcast."""
    return term.args[0] if term.op == "spread" else term


def is_number(term: Term, value: float) -> bool:
    term = unspread(term)
    return term.op == "number" and term.detail == value
