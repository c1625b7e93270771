"""Writing terms in a style, by the rules that all styles share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from ..tensors.term import Term
from .names import Name

# How tightly an expression holds together: what binds less is put in parentheses.
CASE, COMPARE, SUM, PRODUCT, ATOM = range(5)

Text: TypeAlias = tuple[str, int]  # what is written, and how tightly it holds together
Rule: TypeAlias = "Callable[[Writer, Term], Text]"


class Style(NamedTuple):
    """What differs between the ways of writing."""

    name: Callable[[Name], str]
    number: Callable[[Any], Text]
    signs: Mapping[str, Any]
    call: Callable[[str, Sequence[str], Any], str]
    rules: Mapping[str, Rule]


class Writer:
    """Writes terms in one style."""

    def __init__(self, style: Style, named: Mapping[Term, str] | None = None):
        self.style, self.named = style, dict(named or {})

    def __call__(self, term: Term) -> Text:
        if term in self.named:
            return self.named[term], ATOM
        return (self.style.rules.get(term.op) or _RULES[term.op])(self, term)

    def inside(self, term: Term, level: int) -> str:
        """Write a term as part of one that binds at `level`: in parentheses if it binds no tighter."""
        text, own = self(term)
        return text if own > level else self.style.signs["("] + text + self.style.signs[")"]

    def bare(self, term: Term) -> str:
        return self(term)[0]

    def alone(self, term: Term) -> str:
        """Write a term behind "=": a comparison in parentheses."""
        text = self.bare(term)
        is_comparison = term.op == "compare" and term not in self.named
        return self.style.signs["("] + text + self.style.signs[")"] if is_comparison else text

    def bare_args(self, term: Term) -> list[str]:
        return list(map(self.bare, term.args))

    def call(self, name: str, term: Term, detail: Any = None) -> Text:
        return self.style.call(name, self.bare_args(term), detail), ATOM


def template(text: str) -> Rule:
    """Return a rule that fills in the operands, {0} and {1}, {detail} and {shape}."""
    return lambda writer, t: (text.format(*writer.bare_args(t), detail=t.detail, shape=t.shape), ATOM)


# Rules for every style ------------------------------------------------------------------------------------


def _infix(sign: str, left: int, right: int, level: int) -> Rule:
    def rule(writer: Writer, t: Term) -> Text:
        a, b = t.args
        written = writer.style.signs.get(sign or t.detail, sign)
        return f"{writer.inside(a, left)} {written} {writer.inside(b, right)}", level

    return rule


def _plus(writer: Writer, t: Term) -> Text:
    return _infix("+", COMPARE, COMPARE if t.args[1].op == "plus" else SUM, SUM)(writer, t)


def _negative(writer: Writer, t: Term) -> Text:
    return writer.style.signs["−"] + writer.inside(t.args[0], SUM), SUM


def _times(writer: Writer, t: Term) -> Text:
    parts = [writer.inside(a, PRODUCT) for a in t.args]
    text = writer.inside(t.args[0], SUM) if t.args[0].op == "number" else parts[0]
    for previous, arg, part in zip(t.args, t.args[1:], parts[1:]):
        by_number = previous.shape == () or arg.shape == ()
        text += f" {writer.style.signs['·' if by_number else '⊙']} {part}"
    return text, PRODUCT


def _joined(sign: str) -> Rule:
    return lambda writer, t: (f" {writer.style.signs[sign]} ".join(f"({a})" for a in writer.bare_args(t)), COMPARE)


def _not(writer: Writer, t: Term) -> Text:
    return f"{writer.style.signs['¬']}({writer.bare(t.args[0])})", COMPARE


def _einsum(writer: Writer, t: Term) -> Text:
    (a, b), (x, y, out) = t.args, t.detail
    found = _as_matrices(x, y, out)
    if found is None:
        return writer.call("einsum", t, t.detail)
    swapped, *turned, sign = found
    operands = [writer.inside(arg, PRODUCT) for arg in ((b, a) if swapped else (a, b))]
    one, other = (writer.style.signs["T"](text) if turn else text for text, turn in zip(operands, turned))
    if sign == "⊗":
        return writer.style.signs["outer"](one, other), PRODUCT
    return f"{one}{writer.style.signs[sign]}{other}", PRODUCT


def _as_matrices(x: str, y: str, out: str) -> tuple[bool, bool, bool, str] | None:
    """Tell whether a sum of products is one of matrices and vectors: if swapped, if first and second turned, sign.

    In front there may be axes that both have (of as many products), or that only the first has (rows more).
    """
    if len(x) == len(y) == 1 and len(out) in (0, 2):
        return (out not in ("", x + y), False, False, "⊗" if out else "dot")
    for swapped, (first, second) in ((False, (x, y)), (True, (y, x))):
        shortest = min(map(len, (first, second, out)))
        batch = next((i for i, letters in enumerate(zip(first, second, out)) if len(set(letters)) > 1), shortest)
        if len(first) != batch + 2 or len(second) != batch + 2:
            batch = 0
        a, b, o = first[batch:], second[batch:], out[batch:]
        shared = [letter for letter in a if letter in b and letter not in o]
        if len(shared) != 1 or any(letter in b for letter in a if letter not in shared):
            continue
        (k,) = shared
        turn_first, turn_second = len(a) > 1 and a[-1] != k, len(b) == 2 and b[0] != k
        if o == a.replace(k, "") + b.replace(k, "") and len(b) <= 2 and not (turn_first and len(a) != 2):
            return swapped, turn_first, turn_second, "@"
    return None


_RULES: dict[str, Rule] = {
    "variable": lambda writer, t: (writer.style.name(t.detail), ATOM),
    "number": lambda writer, t: writer.style.number(t.detail),
    "plus": _plus,
    "minus": _infix("−", COMPARE, SUM, SUM),
    "negative": _negative,
    "times": _times,
    "divide": _infix("/", SUM, PRODUCT, PRODUCT),
    "compare": _infix("", COMPARE, COMPARE, COMPARE),
    "and": _joined("∧"),
    "or": _joined("∨"),
    "not": _not,
    "einsum": _einsum,
    "function": lambda writer, t: writer.call(t.detail, t),
    "convert": lambda writer, t: writer.call(t.detail.name, t),
    "softmax": lambda writer, t: writer.call("softmax", t, t.detail),
    "concatenate": lambda writer, t: writer.call("concat", t, t.detail),
    "along": lambda writer, t: writer.call(t.detail[0], t, t.detail[1]),
}
