"""`Term`: an operation on tensors, in the graph of a formula."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

Shape: TypeAlias = tuple[int, ...]


EVERYWHERE = frozenset(
    "exp tanh sin cos atan sinh cosh asinh cbrt erf erfc logistic expm1 exp2 sign floor ceil abs atan2 max min".split()  # noqa: SIM905
)


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


def is_finite(term: Term) -> bool:
    """Tell whether a term is a number at all finite values of its variables, but for overflow."""
    if term.op == "number":
        return math.isfinite(term.detail)
    if term.op == "function" and term.detail not in EVERYWHERE:
        return False
    if term.op in ("divide", "primitive", "constant") or (term.op == "power" and int(term.detail) < 0):
        return (
            term.op == "divide" and term.args[1].op == "number" and term.args[1].detail != 0 and is_finite(term.args[0])
        )
    return all(map(is_finite, term.args))


def is_number(term: Term, value: float) -> bool:
    term = unspread(term)
    return term.op == "number" and term.detail == value
