"""Imports packages that an extra brings, where they are used; where one is missing, a sentence says what to install."""

from __future__ import annotations

import importlib
from types import ModuleType

from ._errors import FormulaError, JaxwalkError, StoreError, argument


def sympy() -> ModuleType:
    """Import SymPy, or raise a FormulaError."""
    return _imported("sympy", FormulaError, _lacking("Formulas need SymPy", "formula"))


def pandas() -> ModuleType:
    """Import pandas, or raise an ImportError."""
    return _imported("pandas", ImportError, _lacking("`to_pandas` needs pandas", "store"))


def pyarrow_parquet() -> ModuleType:
    """Import `pyarrow.parquet` to write an evaluation, or raise a StoreError."""
    return _imported("pyarrow.parquet", StoreError, _lacking(f"`{argument('out')}` needs pyarrow", "store"))


def pyarrow(module: str) -> ModuleType:
    """Import a module of pyarrow to read data, or raise a JaxwalkError."""
    return _imported(f"pyarrow.{module}", JaxwalkError, _lacking("Reading Parquet needs pyarrow", "store"))


def orbax() -> ModuleType:
    """Import `orbax.checkpoint`, or raise a StoreError."""
    return _imported(
        "orbax.checkpoint", StoreError, _lacking(f"`{argument('out')}` needs orbax-checkpoint", "checkpoint")
    )


def matplotlib(module: str) -> ModuleType:
    """Import a module of matplotlib, or raise a JaxwalkError."""
    return _imported(f"matplotlib.{module}", JaxwalkError, _lacking("Pictures need matplotlib", "plot"))


def jinja2() -> ModuleType:
    """Import Jinja2, or raise a JaxwalkError."""
    return _imported("jinja2", JaxwalkError, _lacking("`report` needs Jinja2", "report"))


def treescope(module: str) -> ModuleType:
    """Import a module of treescope, which has asked for what it shows; or raise a JaxwalkError."""
    return _imported(module, JaxwalkError, _lacking("Trees in a notebook need treescope", "notebook"))


def rich(module: str) -> ModuleType:
    """Import a module of rich, or raise a JaxwalkError."""
    missing = "Printing tables needs the package `rich`; install it, or ask for `--json`."
    return _imported(f"rich.{module}", JaxwalkError, missing)


def _imported(module: str, error: type[Exception], missing: str) -> ModuleType:
    try:
        importlib.import_module(module.partition(".")[0])
        return importlib.import_module(module)
    except ImportError as cause:
        raise error(missing) from cause


def _lacking(what: str, extra: str) -> str:
    install = f"`uv sync --extra {extra}`, or `pip install 'PATH[{extra}]'` with the path of the clone"
    return f"{what}, the extra `{extra}`: {install}."
