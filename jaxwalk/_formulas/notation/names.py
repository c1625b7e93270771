"""Names of values and of constants, in each way of writing."""

from __future__ import annotations

import re
from typing import NamedTuple

SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


class Name(NamedTuple):
    """The name of a value: a letter or a word, i of Xⁱ if it has one, and what is before it (δ) and behind (a path)."""

    base: str
    number: int | None = None
    delta: bool = False
    path: str = ""

    def text(self) -> str:
        number = "" if self.number is None else str(self.number).translate(SUPERSCRIPTS)
        return ("δ" if self.delta else "") + self.base + number + self.path

    def latex(self) -> str:
        base = self.base if len(self.base) == 1 or not self.base else rf"\mathrm{{{escaped(self.base)}}}"
        number = "" if self.number is None else f"^{{{self.number}}}"
        path = rf"\mathrm{{{escaped(self.path)}}}" if self.path else ""
        return (r"\delta " if self.delta else "") + base + number + path

    def numpy(self) -> str:
        number = "" if self.number is None else str(self.number)
        return re.sub(r"\W", "_", ("δ" if self.delta else "") + self.base + number + self.path)

    def symbol(self) -> str:
        """As SymPy sets it: X__2 is X²."""
        number = "" if self.number is None else f"__{self.number}"
        return ("delta" if self.delta and not self.base else "δ" if self.delta else "") + self.base + number + self.path


def constant_name(number: int) -> str:
    return f"C{str(number).translate(SUBSCRIPTS)}"


def escaped(text: str) -> str:
    return re.sub(r"([_&%#$])", r"\\\1", text)
