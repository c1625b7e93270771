"""A writer: writes terms in a style, by the rules that all styles share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ..tensors.term import Term
from .names import Name

# How tightly an expression holds together: what binds less is put in parentheses.
CASE, COMPARE, SUM, PRODUCT, ATOM = range(5)


class Style(NamedTuple):
    """What differs between the ways of writing."""

    name: Callable[[Name], str]
    number: Callable[[Any], tuple[str, int]]
    signs: Mapping[str, Any]
    call: Callable[[str, Sequence[str], Any], str]
    rules: Mapping[str, Callable]


class Writer:
    """Writes terms in one style."""

    def __init__(self, style: Style, named: Mapping[Term, str] | None = None):
        self.style, self.named = style, dict(named or {})

    def __call__(self, term: Term) -> tuple[str, int]:
        if term in self.named:
            return self.named[term], ATOM
        own = self.style.rules.get(term.op)
        return own(self, term) if own is not None else _RULES[term.op](self, term)

    def inside(self, term: Term, level: int) -> str:
        """A term as part of one that binds at `level`: in parentheses if it binds no tighter."""
        text, own = self(term)
        return text if own > level else self.style.signs["("] + text + self.style.signs[")"]

    def bare(self, term: Term) -> str:
        return self(term)[0]

    def call(self, name: str, term: Term, detail: Any = None) -> tuple[str, int]:
        return self.style.call(name, [self.bare(a) for a in term.args], detail), ATOM


# Rules for every style ------------------------------------------------------------------------------------


def _plus(writer: Writer, t: Term) -> tuple[str, int]:
    a, b = t.args
    return f"{writer.inside(a, COMPARE)} + {writer.inside(b, COMPARE if b.op == 'plus' else SUM)}", SUM


def _minus(writer: Writer, t: Term) -> tuple[str, int]:
    a, b = t.args
    return f"{writer.inside(a, COMPARE)} {writer.style.signs['−']} {writer.inside(b, SUM)}", SUM


def _negative(writer: Writer, t: Term) -> tuple[str, int]:
    return writer.style.signs["−"] + writer.inside(t.args[0], SUM), SUM


def _times(writer: Writer, t: Term) -> tuple[str, int]:
    parts = [writer.inside(a, PRODUCT) for a in t.args]
    parts[0] = writer.inside(t.args[0], SUM) if t.args[0].op == "number" else parts[0]
    text = parts[0]
    for previous, arg, part in zip(t.args, t.args[1:], parts[1:]):
        by_number = previous.shape == () or arg.shape == ()
        text += f" {writer.style.signs['·' if by_number else '⊙']} {part}"
    return text, PRODUCT


def _divide(writer: Writer, t: Term) -> tuple[str, int]:
    a, b = t.args
    return f"{writer.inside(a, SUM)} / {writer.inside(b, PRODUCT)}", PRODUCT


def _compare(writer: Writer, t: Term) -> tuple[str, int]:
    a, b = t.args
    return f"{writer.inside(a, COMPARE)} {writer.style.signs[t.detail]} {writer.inside(b, COMPARE)}", COMPARE


def _joined(sign: str) -> Callable:
    def rule(writer: Writer, t: Term) -> tuple[str, int]:
        return f" {writer.style.signs[sign]} ".join(f"({writer.bare(a)})" for a in t.args), COMPARE

    return rule


def _not(writer: Writer, t: Term) -> tuple[str, int]:
    return f"{writer.style.signs['¬']}({writer.bare(t.args[0])})", COMPARE


def _einsum(writer: Writer, t: Term) -> tuple[str, int]:
    (a, b), (x, y, out) = t.args, t.detail
    found = _as_matrices(x, y, out)
    if found is None:
        return writer.style.call("einsum", [writer.bare(a), writer.bare(b)], t.detail), ATOM
    swapped, turn_first, turn_second, sign = found
    first, second = (b, a) if swapped else (a, b)
    one = writer.style.signs["T"](writer.inside(first, PRODUCT)) if turn_first else writer.inside(first, PRODUCT)
    other = writer.style.signs["T"](writer.inside(second, PRODUCT)) if turn_second else writer.inside(second, PRODUCT)
    if sign == "⊗":
        return writer.style.signs["outer"](one, other), PRODUCT
    return f"{one}{writer.style.signs['@' if sign == '@' else 'dot']}{other}", PRODUCT


def _as_matrices(x: str, y: str, out: str) -> tuple[bool, bool, bool, str] | None:
    """Whether a sum of products is one of matrices and vectors: operands swapped, first and second transposed, sign.

    In front there may be axes that both have (of as many products), or that only the first has (rows more).
    """
    if len(x) == len(y) == 1 and len(out) in (0, 2):
        return (False, False, False, "·") if not out else (out != x + y, False, False, "⊗")
    for swapped, (first, second) in ((False, (x, y)), (True, (y, x))):
        batch = 0
        while first[: batch + 1] == second[: batch + 1] == out[: batch + 1] and batch < min(
            map(len, (first, second, out))
        ):
            batch += 1
        if batch and (len(first) != batch + 2 or len(second) != batch + 2):
            batch = 0
        a, b, o = first[batch:], second[batch:], out[batch:]
        shared = [letter for letter in a if letter in b and letter not in o]
        if len(shared) != 1 or any(letter in b for letter in a if letter not in shared):
            continue
        (k,) = shared
        rows, columns = a.replace(k, ""), b.replace(k, "")
        if o != rows + columns or len(b) > 2 or len(a) < 1:
            continue
        if len(b) == 1 and len(a) > 2 and a[-1] != k:
            continue
        turn_first = len(a) > 1 and a[-1] != k
        turn_second = len(b) == 2 and b[0] != k
        if turn_first and len(a) != 2:
            continue
        return swapped, turn_first, turn_second, "@"
    return None


def _function(writer: Writer, t: Term) -> tuple[str, int]:
    return writer.call(t.detail, t)


def _named_call(name: str) -> Callable:
    return lambda writer, t: writer.call(name, t, t.detail)


_RULES: dict[str, Callable[[Writer, Term], tuple[str, int]]] = {
    "variable": lambda writer, t: (writer.style.name(t.detail), ATOM),
    "number": lambda writer, t: writer.style.number(t.detail),
    "plus": _plus,
    "minus": _minus,
    "negative": _negative,
    "times": _times,
    "divide": _divide,
    "compare": _compare,
    "and": _joined("∧"),
    "or": _joined("∨"),
    "not": _not,
    "einsum": _einsum,
    "function": _function,
    "softmax": _named_call("softmax"),
    "concatenate": _named_call("concat"),
    "along": lambda writer, t: writer.call(t.detail[0], t, t.detail[1]),
    "reduce": lambda writer, t: writer.call(
        t.detail[0], t, t.detail[1] if len(t.detail[1]) < len(t.args[0].shape) else ()
    ),
}
