"""Formulas made recognisable, lightly: what is under the same conditions is joined. Nothing else is changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy
from sympy.core.relational import Relational

from ..._errors import FormulaError
from ..entries.arithmetic import EntryOperations
from .cases import branches_of, cases, rebuilt, replaced
from .exceptions import expression_of
from .length_limit import check_length
from .shown import with_cases
from .sympy_arithmetic import symbolic


def as_formula(result: Any) -> Any:
    """Return a result, entries or machine numbers, as SymPy has it: an expression, or an array of these."""
    entries = EntryOperations(symbolic()).entries(result)
    flat = [tidied(entry) for entry in entries.flat]
    return sympy.ImmutableDenseNDimArray(flat, entries.shape) if entries.ndim else flat[0]


def tidied(entry: Any) -> sympy.Basic:
    """Return an entry as an expression that is read easily.

    Raises:
        FormulaError: it would be too long to print, or it is not a number anywhere.
    """
    expression = expression_of(entry)
    check_length(expression, {})
    if expression.has(sympy.nan, sympy.zoo):
        raise FormulaError(
            "The formula holds something that is no number, such as a division by zero; look for it in the function."
        )
    return with_cases(entry, _Tidy()(expression))


class _Tidy:
    """One pass over an expression, each different part once."""

    def __init__(self) -> None:
        self.done: dict[sympy.Basic, Any] = {}

    def __call__(self, node: sympy.Basic) -> Any:
        if not node.args:
            return node
        if node not in self.done:
            self.done[node] = self.part(node)
        return self.done[node]

    def part(self, node: sympy.Basic) -> Any:
        args = [self(a) for a in node.args]
        if isinstance(node, sympy.Piecewise):
            return _merged([_settled(e, c, node) for e, c in args])
        result = rebuilt(node, args)
        if isinstance(result, (sympy.Add, sympy.Mul)):
            return _by_three_cases(result) or _conjugates(_joined(result))
        return result


def _settled(value: Any, condition: Any, node: Any) -> tuple[Any, Any]:
    """Return a case of `node`, the cases in it that its condition decides being decided."""
    first = node.args[0][1]
    if len(node.args) != 2 or not value.has(sympy.Piecewise):
        return value, condition
    case = 1 if condition in (True, sympy.true) else 0
    inner = {p: branches_of(p) for p in value.atoms(sympy.Piecewise)}
    return replaced(value, {p: b[case][0] for p, b in inner.items() if len(b) == 2 and b[0][1] == first}), condition


def _merged(pairs: Sequence[tuple[Any, Any]]) -> Any:
    """Join cases of the same value, one after the other."""
    merged: list[tuple[Any, Any]] = []
    for value, condition in pairs:
        if merged and merged[-1][0] == value:
            condition = sympy.Or(merged.pop()[1], condition)
        merged.append((value, condition))
    return merged[0][0] if merged[0][1] in (True, sympy.true) else cases(*merged)


def _joined(node: Any) -> Any:
    """Join the cases in a sum or product that have the same conditions; a factor goes into them if some are 0."""
    groups: dict[Any, list[Any]] = {}
    for arg in filter(branches_of, node.args):
        groups.setdefault(tuple(c for _, c in branches_of(arg)), []).append(arg)
    rest = [a for a in node.args if not branches_of(a)]
    for conditions, group in groups.items():
        values = [node.func(*(p.args[i][0] for p in group)) for i in range(len(conditions))]
        if isinstance(node, sympy.Mul) and any(v == 0 for v in values):
            values, rest = [node.func(v, *rest) for v in values], []
        rest.append(_merged(list(zip(values, conditions, strict=True))))
    return node.func(*rest) if groups else node


def _conjugates(node: Any) -> Any:
    """Write (1 - a) (1 + a) as 1 - a²."""
    factors: tuple[Any, ...] = node.args if node.is_Mul else ()
    for arg in factors:
        if arg.is_Add and len(arg.args) == 2 and arg.args[0] == 1:
            other = 1 - arg.args[1]
            if other in factors and other != arg:
                return sympy.Mul(1 - arg.args[1] ** 2, *(a for a in factors if a not in (arg, other)))
    return node


def _by_three_cases(node: sympy.Basic) -> Any:
    """Write cases that all depend on how the same two values compare as cases of this: a > b, a = b, a < b.

    As JAX writes the derivative of a maximum: (1 if a ≥ b else 0) / (2 if b ≥ a else 1). None if there are none.
    """
    parts = list(node.atoms(sympy.Piecewise))
    conditions = [c for p in parts for _, c in branches_of(p) if c not in (True, sympy.true)]
    atoms = {r for c in conditions for r in c.atoms(Relational)}
    if len(parts) < 2 or len(atoms) < 2 or len({frozenset((r.lhs, r.rhs)) for r in atoms}) != 1:
        return None
    if any(v.has(sympy.Piecewise) for p in parts for v, _ in branches_of(p)):
        return None
    first = min(atoms, key=sympy.default_sort_key)
    a, b = (first.rhs, first.lhs) if first.lhs.is_number else (first.lhs, first.rhs)
    more, equal, less = (
        replaced(node, {p: _chosen(p, {r: _holds(r, a, sign) for r in atoms}) for p in parts}) for sign in (1, 0, -1)
    )  # of a - b
    relation, first, rest = sympy.Gt, more, less
    if more == equal:
        relation = sympy.Ge
    elif more == less:
        relation, first = sympy.Eq, equal
    elif equal != less:
        return cases((more, sympy.Gt(a, b, evaluate=False)), (equal, sympy.Eq(a, b, evaluate=False)), (less, True))
    return _merged([(first, relation(a, b, evaluate=False)), (rest, sympy.true)])


def _holds(relation: Any, a: sympy.Basic, sign: int) -> bool:
    """Tell whether a relation of a and b holds where a - b has a sign."""
    outcomes = {"==": (0,), "!=": (1, -1), ">": (1,), ">=": (0, 1), "<": (-1,), "<=": (-1, 0)}
    return (sign if relation.lhs == a else -sign) in outcomes[relation.rel_op]


def _chosen(piecewise: sympy.Piecewise, values: dict[Relational, bool]) -> Any:
    to = {r: sympy.true if v else sympy.false for r, v in values.items()}
    for value, condition in branches_of(piecewise):
        if condition in (True, sympy.true) or condition.xreplace(to) == sympy.true:
            return value
    raise AssertionError(piecewise)  # the last case always holds
