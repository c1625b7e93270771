"""Cases: expressions that are one thing or another, and what compares and chooses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sympy
from sympy.core.relational import Relational
from sympy.functions.elementary.piecewise import ExprCondPair
from sympy.logic.boolalg import Boolean


def cases(*pairs: tuple[Any, Any]) -> sympy.Basic:
    """Return a Piecewise that stays as it is written: its own constructor would rewrite conditions that hold cases."""
    made = [sympy.Tuple.__new__(ExprCondPair, v, sympy.true if holds is True else holds) for v, holds in pairs]
    return sympy.Basic.__new__(sympy.Piecewise, *made)


def branches_of(entry: sympy.Basic) -> Sequence[tuple[Any, Any]]:
    """Return the (value, condition) of each case; of what is no cases, nothing."""
    args: Any = entry.args if isinstance(entry, sympy.Piecewise) else ()
    return args


def is_condition(entry: Any) -> bool:
    """Tell whether an entry is a truth value; a symbol is a number."""
    return isinstance(entry, Boolean) and not isinstance(entry, sympy.Symbol)


def rebuilt(node: sympy.Basic, args: Sequence[Any]) -> Any:
    """Return a node with other arguments, as it is written: no condition is decided, no cases are joined."""
    if tuple(args) == node.args:
        return node
    if isinstance(node, sympy.Piecewise):
        return cases(*(pair.args for pair in args))
    if isinstance(node, ExprCondPair):
        return sympy.Tuple(*args)
    if isinstance(node, (sympy.Max, sympy.Min, Relational)):
        return node.func(*args, evaluate=False)
    return node.func(*args)


def replaced(node: sympy.Basic, to: dict[sympy.Basic, Any]) -> Any:
    """Return an expression with parts replaced, each different part once."""
    done = dict(to)

    def replace(part: sympy.Basic) -> Any:
        if part not in done:
            done[part] = rebuilt(part, [replace(a) for a in part.args]) if part.args else part
        return done[part]

    return replace(node)


def select(which: Any, values: Sequence[sympy.Basic]) -> sympy.Basic:
    """Return `values[which]`: cases, if that is not known."""
    if which in (sympy.true, sympy.false):
        return values[which == sympy.true]
    if which.is_Integer:
        return values[int(which)]
    if len(values) == 2:
        condition = truth(which)
        if values[0] == values[1]:
            return values[0]
        no, yes = _within(values[0], condition, False), _within(values[1], condition, True)
        return cases((yes, condition), (no, True))
    last = len(values) - 1
    return cases(*((v, sympy.Eq(which, i, evaluate=False)) for i, v in enumerate(values[:last])), (values[last], True))


def truth(entry: sympy.Basic) -> sympy.Basic:
    """Return a condition as it is; of the number that one was made into, the condition."""
    branches = branches_of(entry)
    values = [value for value, _ in branches]
    if values == [1, 0]:
        return branches[0][1]
    return sympy.Not(branches[0][1]) if values == [0, 1] else entry


def _within(entry: sympy.Basic, condition: sympy.Basic, holds: bool) -> sympy.Basic:
    """Return what an entry is inside a case: of its own cases under the same condition, the one that applies."""
    branches = branches_of(entry)
    return branches[not holds][0] if len(branches) == 2 and branches[0][1] == condition else entry


def comparison(name: str) -> Callable:
    def compare(a: Any, b: Any) -> Any:
        relation = {"eq": sympy.Eq, "ne": sympy.Ne, "lt": sympy.Lt, "le": sympy.Le, "gt": sympy.Gt, "ge": sympy.Ge}[
            name
        ]
        if is_condition(a) and is_condition(b) and name in ("eq", "ne"):
            return sympy.Xor(a, b) if name == "ne" else sympy.Not(sympy.Xor(a, b))
        if a == b:
            return sympy.true if name in ("eq", "le", "ge") else sympy.false
        if (a.is_Number or a.is_infinite) and (b.is_Number or b.is_infinite):
            return relation(a, b)
        if b.is_Integer and branches_of(a) and all(v.is_Number for v, _ in branches_of(a)):
            return _holding(a, lambda value: relation(value, b) == sympy.true)
        for one, other in ((a, b), (b, a)):
            if other in (sympy.oo, -sympy.oo):  # a symbol is finite
                below = (other == sympy.oo) == (one is a)
                holds = {"eq": False, "ne": True, "lt": below, "le": below}.get(name, not below)
                return sympy.true if holds else sympy.false
        if name in ("eq", "ne") and (found := _attained(a, b)) is not None:
            return found if name == "eq" else sympy.Not(found)
        if a.is_Number:  # X >= 0, not 0 <= X
            return relation(a, b, evaluate=False).reversed
        return relation(a, b, evaluate=False)

    return compare


def _holding(piecewise: sympy.Piecewise, test: Callable) -> Any:
    """Return the condition under which cases of numbers are such that a test holds."""
    earlier, found = [], []
    for value, condition in branches_of(piecewise):
        if test(value):
            found.append(sympy.And(*(sympy.Not(c) for c in earlier), condition))
        earlier.append(condition)
    return sympy.Or(*found)


def _attained(a: sympy.Basic, b: sympy.Basic) -> Any:
    """Return the condition that a is the maximum b of several, one of them a: that no other is larger."""
    for one, extreme in ((a, b), (b, a)):
        if isinstance(extreme, (sympy.Max, sympy.Min)):
            better = comparison("ge" if isinstance(extreme, sympy.Max) else "le")
            if one in extreme.args:
                return sympy.And(*(better(one, other) for other in extreme.args if other != one))
    return None


def counts_the_largest(total: sympy.Add) -> bool:
    """Tell whether a sum counts which of several are the largest, or the smallest: it is not 0."""
    cases_of_1 = [branches_of(a) for a in total.args]
    if not all(len(b) == 2 and (b[0][0], b[1][0]) == (1, 0) for b in cases_of_1):
        return False
    conditions = [b[0][1] for b in cases_of_1]
    several = {e for c in conditions for r in c.atoms(Relational) for e in r.args}
    for better in (comparison("ge"), comparison("le")):
        wins = [sympy.And(*(better(one, other) for other in several if other != one)) for one in several]
        if set(wins) <= set(conditions):
            return True
    return False


def extreme_of(name: str) -> Callable:
    def extreme(*entries: Any) -> Any:
        kind = {"max": sympy.Max, "min": sympy.Min}[name]
        worst = -sympy.oo if name == "max" else sympy.oo
        flat: dict[Any, None] = {}
        for entry in entries:
            flat.update(dict.fromkeys(entry.args if isinstance(entry, kind) else [entry]))
        numbers = [e for e in flat if e.is_Number or e in (sympy.oo, -sympy.oo)]
        rest = [e for e in flat if e not in numbers]
        numbers = [] if not numbers else [n for n in [kind(*numbers)] if n != worst or not rest]
        if numbers and numbers[0] == -worst:
            return numbers[0]
        found = numbers + rest
        return found[0] if len(found) == 1 else kind(*found, evaluate=False)

    return extreme
