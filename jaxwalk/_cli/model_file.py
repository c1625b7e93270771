"""Reading what users bring: patients in a csv, an objective in a Python file."""

from __future__ import annotations

import csv
import importlib.util
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .._errors import DataError, counted, listed
from .._jax.origin import file_and_line
from .._source.files import is_users


def read_csv(path: Path, columns: Sequence[str]) -> np.ndarray:
    """The rows of a csv with exactly these columns, in this order, as float32.

    Raises:
        DataError: the file or a column is missing or one too many; a row is ragged; a cell is no finite number.
    """
    if not path.exists():
        raise DataError(f"`{path}` is not there; give the path of a csv.")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [(number, row) for number, row in enumerate(csv.reader(file), 1) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = error.strerror if isinstance(error, OSError) else _first_line(error)
        raise DataError(f"`{path}` cannot be read as csv: {why}; give a text file in UTF-8.") from error
    if not rows:
        raise DataError(f"`{path}` is empty; its first line must be `{','.join(columns)}`.")
    header = [name.strip() for name in rows[0][1]]
    _check_header(path, header, columns)
    if len(rows) == 1:
        raise DataError(f"`{path}` has a header and no rows; give at least one.")
    table = np.array([_numbers(path, number, row, header) for number, row in rows[1:]], np.float32)
    return table[:, [header.index(name) for name in columns]]


def _check_header(path: Path, header: list[str], columns: Sequence[str]) -> None:
    expected = f"its first line must name {listed(columns)}"
    if missing := [name for name in columns if name not in header]:
        hint = "; its cells are divided by `;`, and should be by `,`" if ";" in header[0] else ""
        column = "column" if len(missing) == 1 else "columns"
        raise DataError(f"`{path}` lacks the {column} {listed(missing)}; {expected}{hint}.")
    if extra := [name for name in header if name not in columns]:
        raise DataError(f"`{path}` has a column {listed(extra)} that has no meaning here; {expected}.")
    if len(header) != len(columns):
        raise DataError(f"`{path}` names a column twice; {expected}, each once.")


def _numbers(path: Path, number: int, row: list[str], header: list[str]) -> list[float]:
    if len(row) != len(header):
        cells = f"{counted(len(row), 'cell')} where the header has {len(header)}"
        raise DataError(f"`{path}`, line {number}: the row has {cells}; give one per column.")
    return [_number(path, number, name, cell) for name, cell in zip(header, row, strict=True)]


def _number(path: Path, line: int, column: str, cell: str) -> float:
    try:
        value = float(cell.replace("_", "?"))  # Python would read 1_000
    except ValueError:
        raise DataError(f"`{path}`, line {line}: `{column}` is {cell!r}, which is not a number.") from None
    if not abs(value) <= float(np.finfo(np.float32).max):
        raise DataError(
            f"`{path}`, line {line}: `{column}` is {cell.strip()}; give a number that is finite in float32."
        )
    return value


class Model(NamedTuple):
    """What a user's file defines: `objective(params, x, y)` of one datum, and `params`."""

    objective: Callable[[Any, Any, Any], Any]
    params: Any


def read_model(path: Path) -> Model:
    """Runs a Python file and takes `objective` and `params` from it.

    Raises:
        DataError: the file is not there, raises, or does not define both.
    """
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise DataError(f"`{path}` is not a Python file that is there; give the path of one.")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent.resolve()))  # as `python FILE.py` does: what lies beside it can be imported
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise DataError(f"`{path}` cannot be run: {describe(error)}.") from error
    finally:
        sys.path.pop(0)
    for name, what in (
        ("objective", "objective(params, x, y), the loss of one datum"),
        ("params", "params, the weights"),
    ):
        if not hasattr(module, name):
            raise DataError(f"`{path}` does not define `{name}`; define {what}.")
    if not callable(module.objective):
        raise DataError(f"`{path}`: `objective` is not a function; define objective(params, x, y).")
    return Model(module.objective, module.params)


def describe(error: BaseException) -> str:
    """An exception in one line: its kind, the first line of its text, and where in the user's source it arose."""
    where = place(error)
    text = ": ".join(filter(None, (type(error).__name__, _first_line(error))))
    return f"{text} ({where})" if where and not isinstance(error, SyntaxError) else text  # which says it itself


def place(error: BaseException) -> str:
    """The last line of the user's source that an exception came through, as "file.py:12"; "" if there is none."""
    has = is_users(None).has
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if has(frame.filename)]
    return file_and_line(frames[-1].filename, frames[-1].lineno or 0) if frames else ""


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[0].rstrip(".")
