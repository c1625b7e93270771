"""SymPy, if it is there; and how long a formula may become."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from ..._errors import FormulaError, lacking

PRINTABLE = 20_000  # parts of a formula


def sympy() -> ModuleType:
    """SymPy, or an error that says how to install it."""
    try:
        import sympy
    except ImportError as error:
        raise FormulaError(lacking("Formulas need", "SymPy", "formula")) from error
    return sympy


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
