"""Reading what users bring: patients in a csv, data in an npz, an objective in a Python file."""

from __future__ import annotations

import csv
import importlib.util
import sys
import traceback
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from ._errors import DataError, counted, listed


def read_csv(path: Path, columns: Sequence[str]) -> np.ndarray:
    """The rows of a csv with exactly these columns, in this order, as float32.

    Raises:
        DataError: the file or a column is missing or one too many; a row is ragged; a cell is no finite number.
    """
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


class Data(NamedTuple):
    """Inputs and expectations along a leading axis, and the names of arrays in the file that were not used."""

    x: np.ndarray
    y: np.ndarray
    unused: list[str]


def read_npz(path: Path) -> Data:
    """The arrays `x` and `y` of an npz file.

    Raises:
        DataError: the file or an array is missing; an array holds a pickle, text or non-finite numbers, or has no
            rows; the two have different lengths.
    """
    try:
        with path.open("rb") as file:
            arrays = np.load(file, allow_pickle=False)
            if not hasattr(arrays, "files"):
                raise DataError(f"`{path}` holds a single array; save both with `np.savez(file, x=..., y=...)`.")
            x, y = (_array(path, arrays, name) for name in ("x", "y"))
            unused = [name for name in arrays.files if name not in ("x", "y")]
    except DataError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        why = "it is no npz" if "pickle" in str(error) else _first_line(error)  # NumPy would advise to load it unsafely
        raise DataError(f"`{path}` cannot be read as npz: {why}; make it with `np.savez`.") from error
    if len(x) != len(y):
        raise DataError(f"`{path}`: `x` has {counted(len(x), 'row')} and `y` has {len(y)}; they must be as many.")
    return Data(x, y, unused)


def _array(path: Path, arrays: Any, name: str) -> np.ndarray:
    if name not in arrays.files:
        raise DataError(f"`{path}` lacks the array `{name}`; it holds {listed(arrays.files) or 'none'}.")
    try:
        array = arrays[name]
    except ValueError as error:
        if "pickle" not in str(error):
            raise
        why = "is a pickle, which could run code when read, and is refused"
        raise DataError(f"`{path}`: `{name}` {why}; save it as an array of numbers.") from error
    _check_array(path, name, array)
    return array


def _check_array(path: Path, name: str, array: Any) -> None:
    if not isinstance(array, np.ndarray):
        raise DataError(f"`{path}`: `{name}` is not an array; make the file with `np.savez`.")
    if array.ndim == 0 or len(array) == 0:
        raise DataError(f"`{path}`: `{name}` has shape {array.shape}: no rows; give at least one along the first axis.")
    if array.dtype.kind not in "biufc":
        raise DataError(f"`{path}`: `{name}` has dtype {array.dtype}; give numbers.")
    if array.dtype.kind in "fc" and not (finite := np.isfinite(array)).all():
        row = int(np.argwhere(~finite)[0][0])
        raise DataError(f"`{path}`: `{name}` has a NaN or an Inf in row {row} (from 0); mend it or leave the row out.")
    with np.errstate(over="ignore"):
        held = array.astype(jax.dtypes.canonicalize_dtype(array.dtype))
    if (held != array).any() if array.dtype.kind in "iu" else not np.isfinite(held).all():
        raise DataError(f"`{path}`: `{name}` holds numbers too large for JAX's 32 bits; set JAX_ENABLE_X64=1.")


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
        raise DataError(f"`{path}` cannot be run: {describe(error, path)}.") from error
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


def describe(error: BaseException, path: Path) -> str:
    """An exception in one line: its kind, the first line of its text, and the last line of the file it came through."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == path]
    where = f" (line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {_first_line(error)}{where}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[0].rstrip(".")
