"""Classes that show themselves as a table."""

from __future__ import annotations

from typing import Any, TypeVar

from .table import html, text

T = TypeVar("T")


def tabular(cls: type[T]) -> type[T]:
    """Give a class with a method `_table` what shows it: as text in a terminal, as HTML in a notebook."""
    shown: Any = cls
    shown.__repr__ = lambda self: text(self._table())
    shown._repr_html_ = lambda self: html(self._table())
    return cls
