"""`Term`: an operation on tensors, in the graph of a formula."""

from __future__ import annotations

from typing import Any, NamedTuple


class Term(NamedTuple):
    """An operation on terms. `detail` is what it needs to know besides, axes say."""

    op: str
    args: tuple[Term, ...]
    shape: tuple[int, ...]
    detail: Any = None

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other


def is_number(term: Term, value: int) -> bool:
    term = term.args[0] if term.op == "spread" else term
    return term.op == "number" and term.detail == value
