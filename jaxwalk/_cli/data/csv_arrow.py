"""Reads tables in csv with pyarrow, where it reads the same as the standard library, and several times as fast."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..._errors import JaxwalkError
from ..._optional import pyarrow
from .dataset import Empty, empty_among

BLOCK = 2**20  # bytes of the file that are read together

# Arrow also takes 0x10 and nan(1), which are no numbers to Python, and does not take +1, which is one. It is therefore
# given only cells that match one of these. An integer of more than 18 digits may need more than 64 bits.
SPELLINGS = {
    bool: r"^(true|True|TRUE|false|False|FALSE)$",
    int: r"^[ \t]*-?[0-9]{1,18}[ \t]*$",
    float: r"^([ \t]*-?([0-9]{1,18}(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?[ \t]*|-?(?i:inf|nan)|)$",
}
TYPES = {bool: "bool_", int: "int64", float: "float64", str: "string"}

# pyarrow has no types of its own that a checker could read: its readers, batches and columns are Any.


def scan(
    path: Path, header: Mapping[str, str], kinds: Mapping[str, type]
) -> tuple[int, dict[str, type], Empty | None] | None:
    """Count the rows, and return `kinds` with float in place of int for the columns in which not all are integers, and
    which cells are empty.

    Returns None where the standard library has to read the file: pyarrow is not installed, a cell matches none of
    `SPELLINGS`, or something is wrong with the file.

    Arguments:
        header: the name of every column, and how it is written in the file.
        kinds: the type of the first cell, for each column that is wanted.
    """
    try:
        refusals = pyarrow("lib").ArrowException
    except JaxwalkError:
        return None
    rows, found, empty = 0, dict(kinds), None
    try:
        with _opened(path, dict.fromkeys(header.values(), str)) as reader:  # all columns: each must be in UTF-8
            if reader.schema.names != list(header.values()):
                return None
            for batch in reader:
                cells = dict(zip(header, batch.columns))
                if _longest(batch.columns) > csv.field_size_limit() or not _all_match(found, cells):
                    return None
                floats = [name for name, kind in found.items() if kind is float]
                which = {name: _array(pyarrow("compute").binary_length(cells[name])) == 0 for name in floats}
                empty = empty_among(empty, rows, which)
                rows += batch.num_rows
    except refusals:
        return None
    return rows, found, empty


def read(
    path: Path, header: Mapping[str, str], kinds: Mapping[str, type], start: int
) -> Iterator[dict[str, np.ndarray]]:
    """Yield the columns that are wanted, by name, from row `start` on, as many rows at a time as Arrow reads."""
    with path.open("rb"), _opened(path, {header[name]: kind for name, kind in kinds.items()}) as reader:
        for batch in reader:
            if start < batch.num_rows:
                yield {name: _array(column) for name, column in zip(kinds, batch.slice(start).columns)}
            start = max(0, start - batch.num_rows)


def _opened(path: Path, kinds: Mapping[str, type]) -> Any:
    options = pyarrow("csv")
    convert = options.ConvertOptions(
        include_columns=list(kinds),
        column_types={name: getattr(pyarrow("lib"), TYPES[kind])() for name, kind in kinds.items()},
        null_values=[""],
        true_values=["true", "True", "TRUE"],
        false_values=["false", "False", "FALSE"],
    )
    parse = options.ParseOptions(newlines_in_values=True)
    return options.open_csv(str(path), options.ReadOptions(block_size=BLOCK), parse, convert)


def _all_match(kinds: dict[str, type], cells: Mapping[str, Any]) -> bool:
    """Return whether all cells match the spelling of their column's kind, which turns from int to float if need be."""
    for kind in (bool, int, float):
        names = [name for name in kinds if kinds[name] is kind]
        odd = [name for name, matches in zip(names, _match_each(kind, [cells[name] for name in names])) if not matches]
        if odd and kind is not int:
            return False
        kinds |= dict.fromkeys(odd, float)
    return True


def _match_each(kind: type, columns: Sequence[Any]) -> list[bool]:
    """Return for each column whether all its cells match; together, since each call of Arrow's costs some time."""
    if not columns:
        return []
    found = pyarrow("compute").match_substring_regex(pyarrow("lib").concat_arrays(columns), SPELLINGS[kind])
    return [bool(cells.all()) for cells in _array(found).reshape(len(columns), -1)]


def _array(column: Any) -> np.ndarray:
    """Return a column as an array, with NaN for what is empty; `to_numpy` and `fill_null` would import pandas."""
    if column.null_count:
        _, numbers = column.buffers()
        dense = column.from_buffers(column.type, len(column), [None, numbers], offset=column.offset)
        array = _array(dense).copy()
        array[_array(column.is_null())] = np.nan
        return array
    if column.type == pyarrow("lib").bool_():
        return np.from_dlpack(column.cast("uint8")).view(bool)
    return np.from_dlpack(column)


def _longest(columns: Sequence[Any]) -> int:
    """Return the bytes of the longest cell, which has as many characters or fewer."""
    compute = pyarrow("compute")
    return compute.max(compute.binary_length(pyarrow("lib").concat_arrays(columns))).as_py() or 0
