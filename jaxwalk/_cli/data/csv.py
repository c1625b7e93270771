"""Reads tables in csv: with the standard library, or with pyarrow where that reads the same."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from ..._errors import DataError, counted
from . import csv_arrow
from .columns import choose
from .dataset import Dataset, Empty, Pair, empty_among, reading

CHUNK = 1024  # rows that are checked together

Lines = list[tuple[int, list[str]]]
"""Number and cells of some lines."""


def open_csv(path: Path, x: Sequence[str] | None, y: Sequence[str] | None) -> Dataset:
    """Open a csv: reads it to the end once to count and to check, and then again as batches are taken.

    A column is of numbers if its first cell is one or is empty; then all cells must. It is of integers if all are.
    An empty cell is NaN, and told. A column of True and False (or TRUE, true) is one of booleans: 1 and 0 beside
    numbers.
    """
    with reading(path):
        header = _header(path)
        first = next(_chunks(path, len(header), 1), None)
        if first is None:
            raise DataError(f"`{path}` has a header and no rows; give at least one.")
        cells = dict(zip(header, first[0][1]))
        columns = choose(path, {name: _is_number(cell) for name, cell in cells.items()}, x, y)
        kinds = {name: bool if _reads_as(bool, cells[name]) else int for name in columns.names}
        by_arrow = csv_arrow.scan(path, header, kinds)
        read = csv_arrow.read if by_arrow else _read
        rows, kinds, empty = by_arrow or _scan(path, header, kinds)

    def blocks(start: int, size: int) -> Iterator[Pair]:
        return map(columns.pair, read(path, header, kinds, start))

    return Dataset(path, rows, columns.unused, blocks, columns.joined, empty)


def _header(path: Path) -> dict[str, str]:
    """Return the names of the columns, and how each is written, which may be with spaces around it."""
    written = [name for _, row in itertools.islice(lines(path), 1) for name in row]
    names = [name.strip() for name in written]
    if not names:
        raise DataError(f"`{path}` is empty; its first line must name the columns.")
    if len(names) == 1 and ";" in names[0]:
        raise DataError(f"`{path}` has a single column {names[0]!r}; its cells should be divided by `,`, not by `;`.")
    if twice := [name for name in names if names.count(name) > 1]:
        raise DataError(f"`{path}` names the column `{twice[0]}` twice; give each a name of its own.")
    return dict(zip(names, written))


def lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield number and cells of every line that is not blank."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        try:
            yield from ((reader.line_num, row) for row in reader if row)
        except csv.Error as error:
            raise DataError(f"`{path}` cannot be read as csv: {error}; give a text file in UTF-8.") from error


def check_lengths(path: Path, rows: Lines, width: int) -> None:
    """Raise a DataError where a row has more or fewer cells than the header."""
    for number, row in rows:
        if len(row) != width:
            cells = f"{counted(len(row), 'cell')} where the header has {width}"
            raise DataError(f"`{path}`, line {number}: the row has {cells}; give one per column.")


def _chunks(path: Path, width: int, size: int, start: int = 0) -> Iterator[Lines]:
    rows = itertools.islice(lines(path), 1 + start, None)
    while chunk := list(itertools.islice(rows, size)):
        check_lengths(path, chunk, width)
        yield chunk


def _scan(
    path: Path, header: Mapping[str, str], kinds: Mapping[str, type]
) -> tuple[int, dict[str, type], Empty | None]:
    """Count the rows and the empty cells, and check all cells; `csv_arrow.scan` does the same."""
    rows, found, empty = 0, dict(kinds), None
    for chunk in _chunks(path, len(header), CHUNK):
        cells = dict(zip(header, zip(*(row for _, row in chunk))))
        for name, kind in found.items():
            if kind is int and not _reads_as(int, *cells[name]):
                found[name] = float
            if not _reads_as(found[name], *cells[name]):
                line, cell = next((n, c) for (n, _), c in zip(chunk, cells[name]) if not _reads_as(found[name], c))
                what = "neither True nor False, as those before it are" if kind is bool else "not a number"
                raise DataError(
                    f"`{path}`, line {line}: `{name}` is {cell!r}, which is {what}; mend it, or choose other columns"
                    " by `--x` and `--y`."
                )
        floats = [name for name, kind in found.items() if kind is float]
        which = {name: np.array([not cell.strip() for cell in cells[name]]) for name in floats}
        empty = empty_among(empty, rows, which)
        rows += len(chunk)
    return rows, found, empty


def _read(
    path: Path, header: Mapping[str, str], kinds: Mapping[str, type], start: int
) -> Iterator[dict[str, np.ndarray]]:
    """Yield the columns that are wanted, by name, from row `start` on; `csv_arrow.read` does the same."""
    for chunk in _chunks(path, len(header), CHUNK, start):
        cells = dict(zip(header, zip(*(row for _, row in chunk))))
        yield {name: _parsed(cells[name], kind) for name, kind in kinds.items()}


def _is_number(cell: str) -> bool:
    return _reads_as(float, cell) or _reads_as(bool, cell)


def _reads_as(kind: type, *cells: str) -> bool:
    try:
        _parsed(cells, kind)
    except (ValueError, OverflowError):  # an integer of more than 64 bits overflows
        return False
    return True


def _parsed(cells: Sequence[str], kind: type) -> np.ndarray:
    if kind is bool:
        return np.array([["false", "true"].index(cell.strip().lower()) for cell in cells], bool)
    if "_" in "".join(cells):
        raise ValueError("Python would read 1_000")
    if kind is float:
        cells = [cell if cell.strip() else "nan" for cell in cells]
    return np.array([kind(cell) for cell in cells], np.int64 if kind is int else np.float64)
