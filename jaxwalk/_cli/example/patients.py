"""Reads other patients for the worked example from a csv."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..._errors import DataError, listed
from ..data.csv import check_lengths, lines
from ..data.dataset import why_unread
from ..options import COLUMNS
from .walkthrough import PATIENTS, Cohort


def cohort_of(path: Path | None) -> Cohort:
    """Return the patients in a csv, or those of the worked example.

    Raises:
        DataError: as of `read_csv`.
    """
    if path is None:
        return PATIENTS
    table = read_csv(path, COLUMNS)
    return Cohort(table[:, :-1], table[:, -1])


def read_csv(path: Path, columns: Sequence[str]) -> np.ndarray:
    """Return the rows of a csv with exactly these columns, in this order, as float32.

    Raises:
        DataError: the file or a column is missing or one too many; a row is ragged; a cell is no finite number.
    """
    if not path.exists():
        raise DataError(f"`{path}` is not there; give the path of a csv.")
    try:
        found = list(lines(path))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"`{path}` cannot be read as csv: {why_unread(error)}; give a text file in UTF-8.") from error
    if not found:
        raise DataError(f"`{path}` is empty; its first line must be `{','.join(columns)}`.")
    (_, names), *rows = found
    header = [name.strip() for name in names]
    _check_header(path, header, columns)
    if not rows:
        raise DataError(f"`{path}` has a header and no rows; give at least one.")
    check_lengths(path, rows, len(header))
    table = [[_number(path, line, name, cell) for name, cell in zip(header, row)] for line, row in rows]
    return np.array(table, np.float32)[:, [header.index(name) for name in columns]]


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
