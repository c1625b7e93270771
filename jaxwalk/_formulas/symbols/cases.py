"""Cases: expressions that are one thing or another, and what compares and chooses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..._errors import FormulaError
from ..._optional import sympy


def cases(*pairs: tuple[Any, Any]) -> Any:
    """A Piecewise that stays as it is written: its own constructor would rewrite conditions that hold cases."""
    s = sympy()
    kind = s.functions.elementary.piecewise.ExprCondPair
    made = [s.Tuple.__new__(kind, value, s.true if condition is True else condition) for value, condition in pairs]
    return s.Basic.__new__(s.Piecewise, *made)


def rebuilt(node: Any, args: Sequence[Any]) -> Any:
    """A node with other arguments, as it is written: no condition is decided, no cases are joined."""
    s = sympy()
    if tuple(args) == node.args:
        return node
    if isinstance(node, s.Piecewise):
        return cases(*(pair.args for pair in args))
    if isinstance(node, s.functions.elementary.piecewise.ExprCondPair):
        return s.Tuple(*args)
    if isinstance(node, (s.Max, s.Min, s.core.relational.Relational)):
        return node.func(*args, evaluate=False)
    return node.func(*args)


def replaced(node: Any, to: dict[Any, Any]) -> Any:
    """An expression with parts replaced, each different part once."""
    done = dict(to)

    def replace(part: Any) -> Any:
        if part not in done:
            done[part] = rebuilt(part, [replace(a) for a in part.args]) if part.args else part
        return done[part]

    return replace(node)


def select(which: Any, values: Sequence[Any]) -> Any:
    """`values[which]`: cases, if that is not known."""
    s = sympy()
    if which in (s.true, s.false):
        return values[which == s.true]
    if which.is_Integer:
        return values[int(which)]
    if len(values) == 2:
        condition = truth(which)
        if values[0] == values[1]:
            return values[0]
        no, yes = _within(values[0], condition, False), _within(values[1], condition, True)
        return cases((yes, condition), (no, True))
    last = len(values) - 1
    return cases(*((v, s.Eq(which, i, evaluate=False)) for i, v in enumerate(values[:last])), (values[last], True))


def truth(entry: Any) -> Any:
    """A condition; of the number that one was made into, the condition."""
    s = sympy()
    if isinstance(entry, s.Piecewise) and len(entry.args) == 2:
        (yes, condition), (no, _) = entry.args
        if (yes, no) == (1, 0):
            return condition
        if (yes, no) == (0, 1):
            return s.Not(condition)
    return entry


def _within(entry: Any, condition: Any, holds: bool) -> Any:
    """An entry inside a case: of its own cases under the same condition, the one that applies."""
    if isinstance(entry, sympy().Piecewise) and len(entry.args) == 2 and entry.args[0][1] == condition:
        return entry.args[0][0] if holds else entry.args[1][0]
    return entry


def comparison(name: str) -> Callable:
    def compare(a: Any, b: Any) -> Any:
        s = sympy()
        relation = {"eq": s.Eq, "ne": s.Ne, "lt": s.Lt, "le": s.Le, "gt": s.Gt, "ge": s.Ge}[name]
        if a == b:
            return s.true if name in ("eq", "le", "ge") else s.false
        if (a.is_Number or a.is_infinite) and (b.is_Number or b.is_infinite):
            return relation(a, b)
        if b.is_Integer and isinstance(a, s.Piecewise) and all(v.is_Number for v, _ in a.args):
            return _holding(a, lambda value: relation(value, b) == s.true)
        for one, other in ((a, b), (b, a)):
            if other in (s.oo, -s.oo):  # a symbol is finite
                below = (other == s.oo) == (one is a)
                holds = {"eq": False, "ne": True, "lt": below, "le": below}.get(name, not below)
                return s.true if holds else s.false
        if name in ("eq", "ne") and (found := _attained(a, b)) is not None:
            return found if name == "eq" else s.Not(found)
        if a.is_Number:  # X >= 0, not 0 <= X
            return relation(a, b, evaluate=False).reversed
        return relation(a, b, evaluate=False)

    return compare


def _holding(piecewise: Any, test: Callable) -> Any:
    """When cases of numbers are such that a test holds."""
    s = sympy()
    earlier, found = [], []
    for value, condition in piecewise.args:
        if test(value):
            found.append(s.And(*(s.Not(c) for c in earlier), condition))
        earlier.append(condition)
    return s.Or(*found)


def _attained(a: Any, b: Any) -> Any:
    """Whether a is the maximum b of several, one of them a: whether no other is larger."""
    s = sympy()
    for one, extreme in ((a, b), (b, a)):
        if isinstance(extreme, (s.Max, s.Min)):
            better = comparison("ge" if isinstance(extreme, s.Max) else "le")
            if one in extreme.args:
                return s.And(*(better(one, other) for other in extreme.args if other != one))
    return None


def extreme_of(name: str) -> Callable:
    def extreme(*entries: Any) -> Any:
        s = sympy()
        kind = {"max": s.Max, "min": s.Min}[name]
        worst = -s.oo if name == "max" else s.oo
        flat: dict[Any, None] = {}
        for entry in entries:
            flat.update(dict.fromkeys(entry.args if isinstance(entry, kind) else [entry]))
        numbers = [e for e in flat if e.is_Number or e in (s.oo, -s.oo)]
        rest = [e for e in flat if e not in numbers]
        numbers = [] if not numbers else [n for n in [kind(*numbers)] if n != worst or not rest]
        if numbers and numbers[0] == -worst:
            return numbers[0]
        found = numbers + rest
        return found[0] if len(found) == 1 else kind(*found, evaluate=False)

    return extreme


PRINTABLE = 20_000  # parts of a formula


def check_length(expression: Any, sizes: dict[Any, int]) -> None:
    """Refuses an expression that is too long to print. `sizes` holds those that are known.

    Each part counts as often as it is written. What a function uses twice is written twice, so that some functions
    of few operations have formulas that no computer can hold: this must be seen while the formula grows.
    """
    stack = [expression]
    while stack:
        node = stack[-1]
        if node in sizes:
            stack.pop()
        elif missing := [a for a in node.args if a not in sizes]:
            stack += missing
        else:
            sizes[stack.pop()] = 1 + sum(sizes[a] for a in node.args)
    if sizes[expression] > PRINTABLE:
        raise FormulaError(
            f"The formula, written out, has more than {PRINTABLE:,} parts, because it repeats what it uses twice; ask"
            " for fewer layers at a time, or see `jw.formulas`, which gives each layer a formula of its own."
        )
