"""How SymPy's expressions are written here: as one line of text a person would write, and as LaTeX."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import sympy
from sympy.printing.pretty.pretty_symbology import pretty_symbol
from sympy.printing.str import StrPrinter

from ..entries.arithmetic import Entries
from ..notation.names import superscript
from .cases import branches_of


def text_of(expression: Any, known: Mapping[str, Entries]) -> str:
    """Return an expression as a line of text. An array that is one of `known`, arrays by name, is that name."""
    return _of(expression, known, _PRINTER.doprint, "({})")


def latex_of(expression: Any, symbols: Mapping[sympy.Basic, str], known: Mapping[str, Entries]) -> str:
    """Return an expression as LaTeX; `symbols` says how each symbol is set."""
    for array in known.values():
        if _flat(array) == _flat(expression):  # the name of its first entry, less the subscript
            return re.sub(r"_\{[\d,]*\}$", "", symbols[array.flat[0]])
    return _of(expression, {}, lambda e: sympy.latex(e, symbol_names=dict(symbols)), r"\left({}\right)")


def _of(expression: Any, known: Mapping[str, Entries], write: Callable[[Any], str], brackets: str) -> str:
    if not isinstance(expression, sympy.NDimArray):
        return write(expression)
    for name, array in known.items():
        if expression.shape == array.shape and _flat(array) == _flat(expression):
            return name
    parts = [_of(part, {}, write, brackets) for part in expression]  # type: ignore[not-iterable]
    return brackets.format(", ".join(parts) + ("," if len(parts) == 1 else ""))


def _flat(array: Any) -> list[Any]:
    if isinstance(array, np.ndarray):
        return list(array.flat)
    return list(sympy.flatten(array)) if isinstance(array, sympy.NDimArray) else [array]


class _Printer(StrPrinter):
    """Writes X²₁ for X__2_1, "a if X ≥ 0 else 0" for cases, superscripts for powers."""

    def _print_Symbol(self, expr: sympy.Symbol) -> str:
        return str(pretty_symbol(expr.name))

    def _print_Piecewise(self, expr: sympy.Piecewise) -> str:
        *pairs, (last, _) = branches_of(expr)
        grouped = lambda e: f"({self._print(e)})" if e.is_Piecewise else self._print(e)
        parts = [f"{grouped(e)} if {self._print(c)}" for e, c in pairs]
        return f"{' else '.join(parts)} else {grouped(last)}"

    def _print_Relational(self, expr: Any) -> str:
        sign = {"==": "=", "!=": "≠", "<=": "≤", ">=": "≥"}.get(expr.rel_op, expr.rel_op)
        return f"{self._print(expr.lhs)} {sign} {self._print(expr.rhs)}"

    def _print_And(self, expr: sympy.And) -> str:
        return " and ".join(self._grouped(a) for a in expr.args)

    def _print_Or(self, expr: sympy.Or) -> str:
        return " or ".join(self._grouped(a) for a in expr.args)

    def _print_Not(self, expr: sympy.Not) -> str:
        return f"not ({self._print(expr.args[0])})"

    def _grouped(self, expr: Any) -> str:
        return f"({self._print(expr)})" if expr.is_Boolean and not expr.is_Relational else self._print(expr)

    def _print_Abs(self, expr: sympy.Abs) -> str:
        return f"|{self._print(expr.args[0])}|"

    def _print_Pow(self, expr: Any, rational: bool = False) -> str:
        if not (expr.exp.is_Integer and expr.exp > 1):
            return super()._print_Pow(expr, rational)
        base = self._print(expr.base)
        if not (expr.base.is_Symbol and re.fullmatch(r"\w*[A-Za-z]", base)):
            base = f"({base})"
        return base + superscript(expr.exp)

    def _print_Mul(self, expr: sympy.Mul) -> str:
        cases = {c: sympy.Symbol(f"({self._print(c)})") for c in expr.args if c.is_Piecewise}
        if cases:
            return super()._print_Mul(expr.xreplace(cases))
        if all(a.is_Symbol for a in expr.args):  # δ³·W²₁, as a textbook has it
            return "*".join(sorted(map(self._print, expr.args), key=lambda name: not name.startswith("δ")))
        return super()._print_Mul(expr)

    def doprint(self, expr: Any) -> str:
        return super().doprint(expr).replace("*", "·").replace("-", "−")


_PRINTER = _Printer({"order": None})
