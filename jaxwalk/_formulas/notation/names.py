"""Names of values and of constants, in each way of writing."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from ..._printable import printable

_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def superscript(number: object) -> str:
    return str(number).translate(_SUPERSCRIPTS)


def subscript(number: object) -> str:
    return str(number).translate(_SUBSCRIPTS)


def number_of(script: str) -> int:
    """Return the number that superscripts or subscripts stand for."""
    return int(unicodedata.normalize("NFKC", script))


class Name(NamedTuple):
    """The name of a value: a letter or a word, i of Xⁱ if it has one, and what is before it (δ) and behind (a path)."""

    base: str
    number: int | None = None
    delta: bool = False
    path: str = ""

    def text(self) -> str:
        return ("δ" if self.delta else "") + self.base + self._numbered(superscript) + self.path

    def latex(self) -> str:
        is_letter = len(self.base) < 2 and escaped(self.base) == self.base
        base = self.base if is_letter else rf"\mathrm{{{escaped(self.base)}}}"
        path = rf"\mathrm{{{escaped(self.path)}}}" if self.path else ""
        return (r"\delta " if self.delta else "") + base + self._numbered("^{{{}}}".format) + path

    def numpy(self) -> str:
        return re.sub(r"\W", "_", ("δ" if self.delta else "") + self.base + self._numbered(str) + self.path)

    def symbol(self) -> str:
        """Return the name as SymPy sets it: X__2 is X²."""
        delta = ("δ" if self.base else "delta") if self.delta else ""
        return delta + self.base + self._numbered("__{}".format) + self.path

    def _numbered(self, write: Callable[[int], str]) -> str:
        return "" if self.number is None else write(self.number)


def constant_name(number: int) -> str:
    return f"C{subscript(number)}"


_IN_TEX = {
    **{sign: f"\\{sign}" for sign in "_&%#${} "},
    **{"\\": r"\backslash ", "^": r"\hat{\ }", "~": r"\sim "},
    **{"<": "{<}", ">": "{>}"},  # which no page takes for a tag
}


def escaped(text: str) -> str:
    """Return a name as TeX shows it, in mathematics: every character stands for itself."""
    return "".join(_IN_TEX.get(sign, sign) for sign in printable(text))


def _paths(tree: Any) -> list[list[str]]:
    paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(tree)]
    return [[jax.tree_util.keystr((entry,), simple=True) for entry in path] for path in paths]


def names_of(base: str, number: int | None, tree: Any) -> list[Name]:
    return [Name(base, number, path="".join(f".{key}" for key in path)) for path in _paths(tree)]


def weight_names(tree: Any, number: int) -> list[Name]:
    """Return W², or the weights' own names with the layer's number: w², b²."""
    own = [".".join(path) for path in _paths(tree)]
    if any(not name or not name[0].isalpha() or name[-1].isdigit() or name in ("X", "Loss", "Y") for name in own):
        return names_of("W", number, tree)
    return [Name(name, number) for name in own]
