"""Packages that an extra brings, imported where they are used; a sentence says what to install."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from ._errors import FormulaError, StoreError, lacking


def sympy() -> ModuleType:
    """SymPy, or an error that says how to install it."""
    try:
        import sympy
    except ImportError as error:
        raise FormulaError(lacking("Formulas need", "SymPy", "formula")) from error
    return sympy


def pandas() -> Any:
    """The module, imported where it is used.

    Raises:
        ImportError: it is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise ImportError(lacking("`to_pandas` needs", "pandas", "store")) from error
    return pandas


def pyarrow_parquet() -> Any:
    """The module `pyarrow.parquet`, imported when it is needed."""
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise StoreError(lacking("`out` needs", "pyarrow", "store")) from error
    return pyarrow.parquet
