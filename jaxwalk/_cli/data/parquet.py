"""Reads tables in Parquet, with pyarrow (the extra `store`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..._errors import DataError, counted, listed
from ..._optional import pyarrow
from .columns import Columns, choose
from .dataset import Dataset, Pair, reading

BUFFER = 2**18  # bytes of each column that are read together

# pyarrow has no types of its own that a checker could read: its arrays, types, schemas and files are Any.


def open_parquet(path: Path, x: Sequence[str] | None, y: Sequence[str] | None) -> Dataset:
    """Open a Parquet file, or a folder of them in the order of their names.

    A list in a row is an axis of that row's datum; all must be as long. Of floats, what is missing is NaN.
    """
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    with reading(path):
        tables = [_opened(file) for file in files]
        rows = sum(table.metadata.num_rows for table in tables)
        if not rows:
            raise DataError(f"`{path}` has no rows; give at least one.")
        columns = _columns(path, files, [table.schema_arrow for table in tables], x, y)
        first = next(_batches(files, columns.names, 0, 1))
        shapes = {name: _shape(path, name, first.column(name)) for name in columns.names}

    def blocks(start: int, size: int) -> Iterator[Pair]:
        row = start
        for batch in _batches(files, columns.names, start, size):
            yield columns.pair({n: _dense(path, n, batch.column(n), shape, row) for n, shape in shapes.items()})
            row += batch.num_rows

    return Dataset(path, rows, columns.unused, blocks, columns.joined)


def _opened(file: Path) -> Any:
    # `pyarrow.dataset` would hold a row group whole, and so would `pre_buffer`; many files are a single row group.
    return pyarrow("parquet").ParquetFile(file, pre_buffer=False, buffer_size=BUFFER)


def _columns(
    path: Path, files: Sequence[Path], schemas: Sequence[Any], x: Sequence[str] | None, y: Sequence[str] | None
) -> Columns:
    first = schemas[0]
    columns = choose(path, {field.name: _is_number(field.type) for field in first}, x, y)
    for name in columns.names:
        for file, schema in zip(files, schemas):
            _check_once(file, schema, name)
        _check_type(path, name, first.field(name).type, [columns.x, columns.y])
        for file, schema in zip(files, schemas):
            _check_alike(file, schema, name, first.field(name).type)
    return columns


def _batches(files: Sequence[Path], names: Sequence[str], start: int, size: int) -> Iterator[Any]:
    """Yield record batches of at most `size` rows, from row `start` on."""
    for file in files:
        with _opened(file) as opened:
            for group in range(opened.num_row_groups):
                rows = opened.metadata.row_group(group).num_rows
                if start >= rows:
                    start -= rows
                    continue
                for batch in opened.iter_batches(size, row_groups=[group], columns=names):
                    if start < batch.num_rows:
                        yield batch.slice(start)
                    start = max(0, start - batch.num_rows)


def _is_number(kind: Any) -> bool:
    types = pyarrow("types")
    return types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)


def _is_list(kind: Any) -> bool:
    types = pyarrow("types")
    return types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)


def _is_tensor(kind: Any) -> bool:
    return isinstance(kind, pyarrow("lib").FixedShapeTensorType)


def _check_type(path: Path, name: str, kind: Any, sides: list[list[str]]) -> None:
    entry = kind.value_type if _is_tensor(kind) else kind
    while _is_list(entry):
        entry = entry.value_type
    if not _is_number(entry):
        raise DataError(f"`{path}`: `{name}` holds {entry}; give numbers, or choose other columns by `--x` and `--y`.")
    for side in sides:
        if name in side and len(side) > 1 and not _is_number(kind):
            raise DataError(
                f"`{path}`: `{name}` holds {kind}, which is not put beside {listed(side)}; choose it alone."
            )


def _check_once(file: Path, schema: Any, name: str) -> None:
    if schema.names.count(name) != 1:
        there = "lacks" if name not in schema.names else "has more than one of"
        raise DataError(f"`{file}` {there} the column `{name}`; give it once in every file.")


def _check_alike(file: Path, schema: Any, name: str, kind: Any) -> None:
    if (found := schema.field(name).type) != kind:
        raise DataError(f"`{file}`: `{name}` holds {found}, and {kind} in the first file; make them alike.")


def _shape(path: Path, name: str, array: Any) -> tuple[int, ...]:
    """Return the shape of one datum, as the first row has it."""
    _check_present(path, name, array, 0, 1)
    if _is_tensor(array.type):
        return array.to_numpy_ndarray().shape[1:]
    if not _is_list(array.type):
        return ()
    width = len(array[0])
    return (width, *(_shape(path, name, array.flatten()) if width else ()))


def _dense(path: Path, name: str, array: Any, shape: Sequence[int], row: int, per_row: int = 1) -> np.ndarray:
    """Return a column as an array (rows, *shape). `per_row`: how many of `array` belong to one row of the table."""
    _check_present(path, name, array, row, per_row)
    if _is_tensor(array.type):
        return array.to_numpy_ndarray()
    if not _is_list(array.type):
        return array.to_numpy(zero_copy_only=False)
    widths = pyarrow("compute").list_value_length(array).to_numpy(zero_copy_only=False)
    if (odd := np.flatnonzero(widths != shape[0])).size:
        has = f"{counted(int(widths[odd[0]]), 'entry', 'entries')} in row {row + odd[0] // per_row}"
        raise DataError(f"`{path}`: `{name}` has {has} (from 0), {shape[0]} in the first; make all as long.")
    inner = _dense(path, name, array.flatten(), shape[1:], row, per_row * shape[0])
    return inner.reshape(len(array), *shape)


def _check_present(path: Path, name: str, array: Any, row: int, per_row: int) -> None:
    if array.null_count and not pyarrow("types").is_floating(array.type):
        where = row + int(np.argmax(array.is_null().to_numpy(zero_copy_only=False))) // per_row
        raise DataError(f"`{path}`: `{name}` has nothing in row {where} (from 0), and only floats can be NaN; mend it.")
