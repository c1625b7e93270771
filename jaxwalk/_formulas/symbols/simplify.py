"""Formulas made recognisable, lightly: what is under the same conditions is joined. Nothing else is changed."""

from __future__ import annotations

from typing import Any

from ..._errors import FormulaError
from ..._optional import sympy
from .cases import cases, check_length, rebuilt, replaced


def tidied(expression: Any) -> Any:
    """The same expression, read more easily.

    Raises:
        FormulaError: it would be too long to print, or it is not a number anywhere.
    """
    check_length(expression, {})
    s = sympy()
    if expression.has(s.nan, s.zoo):
        raise FormulaError(
            "The formula holds something that is no number, such as a division by zero; look for it in the function."
        )
    return _Tidy()(expression)


class _Tidy:
    """One pass over an expression, each different part once."""

    def __init__(self) -> None:
        self.done: dict[Any, Any] = {}

    def __call__(self, node: Any) -> Any:
        if not node.args:
            return node
        if node not in self.done:
            self.done[node] = self.part(node)
        return self.done[node]

    def part(self, node: Any) -> Any:
        s = sympy()
        args = [self(a) for a in node.args]
        if isinstance(node, s.Piecewise):
            return _merged([_settled(e, c, node) for e, c in args])
        result = rebuilt(node, args)
        if isinstance(result, (s.Add, s.Mul)):
            return _by_three_cases(result) or _conjugates(_joined(result))
        return result


def _settled(value: Any, condition: Any, node: Any) -> tuple[Any, Any]:
    """A case of `node`, the cases in it that its condition decides being decided."""
    s = sympy()
    first = node.args[0][1]
    if len(node.args) != 2 or not value.has(s.Piecewise):
        return value, condition
    case = 1 if condition in (True, s.true) else 0
    known = {p: p.args[case][0] for p in value.atoms(s.Piecewise) if len(p.args) == 2 and p.args[0][1] == first}
    return replaced(value, known), condition


def _merged(pairs: list[tuple[Any, Any]]) -> Any:
    """Cases of the same value, one after the other, as one."""
    s = sympy()
    merged: list[tuple[Any, Any]] = []
    for value, condition in pairs:
        if merged and merged[-1][0] == value:
            merged[-1] = (value, s.Or(merged[-1][1], condition))
        else:
            merged.append((value, condition))
    return merged[0][0] if merged[0][1] in (True, s.true) else cases(*merged)


def _joined(node: Any) -> Any:
    """Of a sum or a product, the cases that have the same conditions as one; a factor goes into them if some are 0."""
    s = sympy()
    groups: dict[Any, list[Any]] = {}
    for arg in node.args:
        if isinstance(arg, s.Piecewise):
            groups.setdefault(tuple(c for _, c in arg.args), []).append(arg)
    rest = [a for a in node.args if not isinstance(a, s.Piecewise)]
    for conditions, group in groups.items():
        values = [node.func(*(p.args[i][0] for p in group)) for i in range(len(conditions))]
        if isinstance(node, s.Mul) and any(v == 0 for v in values):
            values, rest = [node.func(v, *rest) for v in values], []
        rest.append(_merged(list(zip(values, conditions, strict=True))))
    return node.func(*rest) if groups else node


def _conjugates(node: Any) -> Any:
    """(1 - a) (1 + a) as 1 - a²."""
    s = sympy()
    if not isinstance(node, s.Mul):
        return node
    for arg in node.args:
        if isinstance(arg, s.Add) and len(arg.args) == 2 and arg.args[0] == 1:
            other = 1 - arg.args[1]
            if other in node.args and other != arg:
                return s.Mul(1 - arg.args[1] ** 2, *(a for a in node.args if a not in (arg, other)))
    return node


def _by_three_cases(node: Any) -> Any:
    """Cases that all depend on how the same two values compare, as cases of this: a > b, a = b, a < b.

    As JAX writes the derivative of a maximum: (1 if a ≥ b else 0) / (2 if b ≥ a else 1). None if there are none.
    """
    s = sympy()
    parts = list(node.atoms(s.Piecewise))
    conditions = [c for p in parts for _, c in p.args if c not in (True, s.true)]
    atoms = {r for c in conditions for r in c.atoms(s.core.relational.Relational)}
    if len(parts) < 2 or len(atoms) < 2 or len({frozenset((r.lhs, r.rhs)) for r in atoms}) != 1:
        return None
    if any(v.has(s.Piecewise) for p in parts for v, _ in p.args):
        return None
    first = min(atoms, key=s.default_sort_key)
    a, b = (first.rhs, first.lhs) if first.lhs.is_number else (first.lhs, first.rhs)
    outcomes = []
    for sign in (1, 0, -1):  # of a - b
        values = {r: _holds(r, a, sign) for r in atoms}
        outcomes.append(replaced(node, {p: _chosen(p, values) for p in parts}))
    more, equal, less = outcomes
    if more == equal:
        return _merged([(more, s.Ge(a, b, evaluate=False)), (less, s.true)])
    if equal == less:
        return _merged([(more, s.Gt(a, b, evaluate=False)), (less, s.true)])
    if more == less:
        return _merged([(equal, s.Eq(a, b, evaluate=False)), (less, s.true)])
    return cases((more, s.Gt(a, b, evaluate=False)), (equal, s.Eq(a, b, evaluate=False)), (less, True))


def _holds(relation: Any, a: Any, sign: int) -> bool:
    sign = sign if relation.lhs == a else -sign
    return {
        "==": sign == 0, "!=": sign != 0, ">": sign > 0, ">=": sign >= 0, "<": sign < 0, "<=": sign <= 0
    }[relation.rel_op]  # fmt: skip


def _chosen(piecewise: Any, values: dict[Any, bool]) -> Any:
    s = sympy()
    to = {r: s.true if v else s.false for r, v in values.items()}
    for value, condition in piecewise.args:
        if condition in (True, s.true) or condition.xreplace(to) == s.true:
            return value
    raise AssertionError(piecewise)  # the last case always holds
