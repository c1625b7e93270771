"""How SymPy's expressions are written here: as one line of text a person would write, and as LaTeX."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import sympy
from sympy.printing.latex import LatexPrinter
from sympy.printing.precedence import PRECEDENCE
from sympy.printing.pretty.pretty_symbology import pretty_symbol
from sympy.printing.str import StrPrinter

from ..entries.arithmetic import Entries
from ..notation.names import superscript
from .cases import branches_of, is_condition
from .exceptions import UNDEFINED

_SIGNS = {sympy.nan: "NaN", sympy.oo: "∞", -sympy.oo: "-∞", sympy.zoo: "±∞"}


def text_of(expression: Any, known: Mapping[str, Entries]) -> str:
    """Return an expression as a line of text. An array that is one of `known`, arrays by name, is that name."""
    return _of(expression, known, _PRINTER.doprint, "({})")


def latex_of(expression: Any, symbols: Mapping[sympy.Basic, str], known: Mapping[str, Entries]) -> str:
    """Return an expression as LaTeX; `symbols` says how each symbol is set."""
    for array in known.values():
        if _flat(array) == _flat(expression):  # the name of its first entry, less the subscript
            return re.sub(r"_\{[\d,]*\}$", "", symbols[array.flat[0]])
    return _of(
        expression,
        {},
        _Latex({"symbol_names": {**symbols, UNDEFINED: r"\mathrm{undefined}"}}).doprint,
        r"\left({}\right)",
    )


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
    """Writes X²₁ for X__2_1, "a if X ≥ 0 else 0" for cases, superscripts for powers.

    Cases are in parentheses wherever they are a part of something: what stands to the left of an "if" belongs to it.
    """

    def _print(self, expr: Any, **kwargs: Any) -> str:
        return _SIGNS[expr] if expr in _SIGNS else super()._print(expr, **kwargs)

    def _print_Symbol(self, expr: sympy.Symbol) -> str:
        return str(pretty_symbol(expr.name))

    def _print_Piecewise(self, expr: sympy.Piecewise) -> str:
        return f"({self._cases(expr)})"

    def _cases(self, expr: sympy.Piecewise) -> str:
        *pairs, (last, _) = branches_of(expr)
        parts = [f"{self._print(e)} if {self._bare(c)}" for e, c in pairs]
        return f"{' else '.join(parts)} else {self._print(last)}"

    def _bare(self, expr: Any) -> str:
        """Write what stands alone, or between brackets of its own."""
        return self._cases(expr) if branches_of(expr) else self._print(expr)

    def _print_Function(self, expr: Any) -> str:
        return f"{expr.func.__name__}({', '.join(map(self._bare, expr.args))})"

    def _print_Relational(self, expr: Any) -> str:
        sign = {"==": "=", "!=": "≠", "<=": "≤", ">=": "≥"}.get(expr.rel_op, expr.rel_op)
        return f"{self._grouped(expr.lhs)} {sign} {self._grouped(expr.rhs)}"

    def _print_And(self, expr: sympy.And) -> str:
        return " and ".join(self._joined(a) for a in expr.args)

    def _print_Or(self, expr: sympy.Or) -> str:
        return " or ".join(self._joined(a) for a in expr.args)

    def _print_Xor(self, expr: sympy.Xor) -> str:
        return functools.reduce(lambda a, b: f"({a}) ≠ ({b})", map(self._print, expr.args))

    def _print_Not(self, expr: sympy.Not) -> str:
        return f"not ({self._print(expr.args[0])})"

    def _joined(self, expr: Any) -> str:
        return self._print(expr) if expr.is_Relational else self._grouped(expr)

    def _grouped(self, expr: Any) -> str:
        return f"({self._print(expr)})" if is_condition(expr) else self._print(expr)

    def _print_Abs(self, expr: sympy.Abs) -> str:
        return f"|{self._print(expr.args[0])}|"

    def _print_Pow(self, expr: Any, rational: bool = False) -> str:
        base, exponent = expr.args
        if abs(exponent) == sympy.S.Half:
            return ("1/" if exponent < 0 else "") + f"sqrt({self._bare(base)})"
        if exponent.is_Number and exponent < 0:
            return f"1/{self._raised(base, -exponent)}"
        return self._raised(base, exponent)

    def _raised(self, base: Any, exponent: Any) -> str:
        if exponent == 1:
            return self.parenthesize(base, PRECEDENCE["Pow"])
        written = self._bare(base)
        if not (base.is_Integer and base > 0) and not (base.is_Symbol and re.fullmatch(r"\w*[A-Za-z]", written)):
            written = f"({written})"
        if exponent.is_Integer:
            return written + superscript(exponent)
        return f"{written}^{self._print(exponent)}" if exponent.is_Symbol else f"{written}^({self._bare(exponent)})"

    def _print_Mul(self, expr: sympy.Mul) -> str:
        if all(a.is_Symbol for a in expr.args):  # δ³·W²₁, as a textbook has it
            return "*".join(sorted(map(self._print, expr.args), key=lambda name: not name.startswith("δ")))
        return super()._print_Mul(expr)

    def doprint(self, expr: Any) -> str:
        text = self._bare(expr)
        if is_condition(expr):  # not X² = X¹ > 0
            text = f"({text})"
        return text.replace("*", "·").replace("-", "−")


class _Latex(LatexPrinter):
    """Puts cases in brackets wherever they are a part of something: their environment ends without one."""

    def _print_Piecewise(self, expr: sympy.Piecewise) -> str:
        return rf"\left({super()._print_Piecewise(expr)}\right)"

    def doprint(self, expr: Any) -> str:
        return super()._print_Piecewise(expr) if branches_of(expr) else super().doprint(expr)


_PRINTER = _Printer({"order": None})
