"""What a formula shows of where it is no number; the rest is written as cases of it."""

from __future__ import annotations

from typing import Any

import sympy

from .cases import branches_of, cases
from .exceptions import ASKED, NAN, PARTIAL, UNDEFINED, Guarded, restricted
from .regions import EVERYWHERE, Region, as_condition, joined

_FUNCTIONS: dict[Any, str] = {
    sympy.log: "log",
    sympy.asin: "asin",
    sympy.acos: "acos",
    sympy.acosh: "acosh",
    sympy.atanh: "atanh",
    sympy.erfinv: "erf_inv",
    sympy.gamma: "lgamma",
    sympy.polygamma: "digamma",
    sympy.Mod: "rem",
    sympy.Pow: "pow",
}


def regions_shown(expression: Any) -> set[Region]:
    """Return the regions where a reader sees that an expression is no number: the logarithm of a negative one, say."""
    found: set[Region] = set()
    seen: set[tuple[Any, Region]] = set()

    def visit(node: Any, path: Region | None) -> None:
        if path is None or (node, path) in seen:
            return
        seen.add((node, path))
        if branches := branches_of(node):
            for value, condition in branches:
                visit(condition, path)
                visit(value, None if path is None else joined(path, condition))
                path = None if path is None else joined(path, sympy.Not(condition))
            return
        for region, _ in PARTIAL.get(_FUNCTIONS.get(node.func, ""), lambda *_: ())(*node.args):
            found.update(r for r in [joined(path, *region)] if r is not None)
        for a in node.args:
            visit(a, path)

    visit(expression, EVERYWHERE)
    return found


def with_cases(entry: Any, expression: Any) -> Any:
    """Return the expression that an entry has become, with what it does not show of the exceptions as cases."""
    if not isinstance(entry, Guarded):
        return expression
    shown = regions_shown(expression)
    groups: dict[Any, list[Region]] = {}
    for region, value in entry.exceptions:
        is_shown = value != ASKED and any(s <= region for s in shown)
        value = UNDEFINED if value == ASKED else value
        if not is_shown and (value in (NAN, UNDEFINED) or restricted(expression, region) != value):
            groups.setdefault(value, []).append(region)
    pairs = [(value, as_condition(regions)) for value, regions in groups.items()]
    if not pairs:
        return expression
    rest = sympy.Not(sympy.Or(*(condition for _, condition in pairs)))
    inside = joined(EVERYWHERE, *sympy.And.make_args(rest))
    expression = expression if inside is None else restricted(expression, inside)
    if branches_of(expression) or len(pairs) > 1:
        return cases(*pairs, *(branches_of(expression) or [(expression, True)]))
    return cases((expression, rest), (pairs[0][0], True))
