"""How long a formula may become before it is refused."""

from __future__ import annotations

import sympy

from ..._errors import FormulaError

PRINTABLE = 20_000  # parts of a formula


def check_length(expression: sympy.Basic, sizes: dict[sympy.Basic, int]) -> None:
    """Refuse an expression that is too long to print. `sizes` holds those that are known.

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
