"""Classes that show themselves as a table."""

from __future__ import annotations

from typing import TypeVar

from .table import html, text

T = TypeVar("T", bound=type)


def tabular(cls: T) -> T:
    """Gives a class with a method `_table` what shows it: as text in a terminal, as HTML in a notebook."""
    cls.__repr__ = lambda self: text(self._table())
    cls._repr_html_ = lambda self: html(self._table())
    return cls
