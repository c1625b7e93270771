"""How formulas are written that are read together: parts that occur in them twice get a letter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ..tensors.term import Term
from .text import TEXT
from .writer import Style, Writer


class Written(NamedTuple):
    """Formulas in one way of writing: parts that have a name, and the wholes, with the names that each needs."""

    parts: dict[str, str]
    wholes: list[tuple[str, list[str]]]


def written(terms: Sequence[Term], style: Style, taken: Iterable[str] = (), shorter: int = 8) -> Written:
    """Write terms that are read together; parts that occur twice in them, and are longer than `shorter`, get a name.

    The name is a letter that is not among `taken`: b² is the square of b, or the weights b of layer 2, not both.
    """
    taken = set(taken)
    writer, names = Writer(style), (letter for letter in "abcdefghijklmnopqrsuvwz" if letter not in taken)
    parts: dict[str, str] = {}
    for part in _repeated(terms):
        if len(Writer(TEXT, writer.named)(part)[0]) > shorter and (letter := next(names, None)) is not None:
            parts[letter] = writer.alone(part)
            writer.named[part] = letter
    wholes = [(writer.alone(t), _needed(t, writer.named)) for t in terms]
    return Written(parts, wholes)


def _repeated(terms: Sequence[Term]) -> list[Term]:
    """Return the parts used more than once, each after those that it uses."""
    count: dict[Term, int] = {}
    order: list[Term] = []

    def visit(t: Term) -> None:
        count[t] = count.get(t, 0) + 1
        if count[t] == 1:
            for arg in t.args:
                visit(arg)
            order.append(t)

    for term in terms:
        visit(term)
    return [t for t in order if count[t] > 1 and t.args]


def _needed(term: Term, named: Mapping[Term, str]) -> list[str]:
    """Return the names in a term, and in the parts that these stand for, in the order in which they were named."""
    seen: set[Term] = set()
    stack = [term]
    while stack:
        t = stack.pop()
        if t not in seen:
            seen.add(t)
            stack += t.args
    return [name for part, name in named.items() if part in seen]
