"""Tables in Parquet, read by pyarrow (the extra `store`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..._errors import DataError, JaxwalkError, counted, lacking, listed
from .csv import Columns, choose, stacked
from .dataset import Dataset, Pair, reading

BUFFER = 2**18  # bytes of each column that are read together

# pyarrow has no types of its own that a checker could read: its arrays, types, schemas and files are Any.


class _Table(NamedTuple):
    """The files of a table, the rows in each, and the columns to read."""

    path: Path
    files: list[Path]
    counts: list[int]
    columns: Columns
    names: list[str]


def open_parquet(path: Path, x: Sequence[str] | None, y: Sequence[str] | None) -> Dataset:
    """A Parquet file, or a folder of them in the order of their names.

    A list in a row is an axis of that row's datum; all must be as long. Of floats, what is missing is NaN.
    """
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    with reading(path):
        table = _table(path, files, [_opened(file) for file in files], x, y)
        first = next(_batches(table, 0, 1))
        shapes = {name: _shape(path, name, first.column(name)) for name in table.names}

    def blocks(start: int, size: int) -> Iterator[Pair]:
        row = start
        for batch in _batches(table, start, size):
            arrays = {n: _dense(path, n, batch.column(n), shapes[n], row) for n in table.names}
            yield (
                stacked([arrays[name] for name in table.columns.x], table.columns.x_is_one),
                stacked([arrays[name] for name in table.columns.y], table.columns.y_is_one),
            )
            row += batch.num_rows

    return Dataset(path, sum(table.counts), table.columns.unused, blocks, table.columns.joined)


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.compute
        import pyarrow.parquet
    except ImportError as error:
        raise JaxwalkError(lacking("Reading Parquet needs", "pyarrow", "store")) from error
    return pyarrow


def _opened(file: Path) -> Any:
    # By default a row group is read whole, and many files are a single one.
    return _pyarrow().parquet.ParquetFile(file, pre_buffer=False, buffer_size=BUFFER)


def _table(
    path: Path, files: list[Path], opened: list[Any], x: Sequence[str] | None, y: Sequence[str] | None
) -> _Table:
    schemas = [file.schema_arrow for file in opened]
    counts = [file.metadata.num_rows for file in opened]
    if not sum(counts):
        raise DataError(f"`{path}` has no rows; give at least one.")
    columns = choose(path, {field.name: _is_number(field.type) for field in schemas[0]}, x, y)
    names = list(dict.fromkeys((*columns.x, *columns.y)))
    for name in names:
        _check_type(path, name, schemas[0].field(name).type, [columns.x, columns.y])
        for file, schema in zip(files, schemas):
            _check_alike(file, schema, name, schemas[0].field(name).type)
    return _Table(path, files, counts, columns, names)


def _batches(table: _Table, start: int, size: int) -> Iterator[Any]:
    """Record batches of at most `size` rows, from row `start` on."""
    for file, rows in zip(table.files, table.counts):
        if start < rows:
            with _opened(file) as opened:
                yield from _file_batches(opened, table.names, start, size)
        start = max(0, start - rows)


def _file_batches(opened: Any, names: list[str], skip: int, size: int) -> Iterator[Any]:
    for group in range(opened.num_row_groups):
        rows = opened.metadata.row_group(group).num_rows
        if skip < rows:
            for batch in opened.iter_batches(size, row_groups=[group], columns=names):
                if skip < batch.num_rows:
                    yield batch.slice(skip)
                skip = max(0, skip - batch.num_rows)
        else:
            skip -= rows


def _is_number(kind: Any) -> bool:
    types = _pyarrow().types
    return types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)


def _is_list(kind: Any) -> bool:
    types = _pyarrow().types
    return types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)


def _is_tensor(kind: Any) -> bool:
    return isinstance(kind, _pyarrow().FixedShapeTensorType)


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


def _check_alike(file: Path, schema: Any, name: str, kind: Any) -> None:
    if schema.names.count(name) != 1:
        there = "lacks" if name not in schema.names else "has more than one of"
        raise DataError(f"`{file}` {there} the column `{name}`; give it once in every file.")
    if (found := schema.field(name).type) != kind:
        raise DataError(f"`{file}`: `{name}` holds {found}, and {kind} in the first file; make them alike.")


def _shape(path: Path, name: str, array: Any) -> tuple[int, ...]:
    """Of one datum, as the first row has it."""
    _check_present(path, name, array, 0, 1)
    if _is_tensor(array.type):
        return array.to_numpy_ndarray().shape[1:]
    if not _is_list(array.type):
        return ()
    width = len(array[0])
    return (width, *(_shape(path, name, array.flatten()) if width else ()))


def _dense(path: Path, name: str, array: Any, shape: Sequence[int], row: int, per_row: int = 1) -> np.ndarray:
    """A column as an array (rows, *shape). `per_row`: how many of `array` belong to one row of the table."""
    _check_present(path, name, array, row, per_row)
    if _is_tensor(array.type):
        return array.to_numpy_ndarray()
    if not _is_list(array.type):
        return array.to_numpy(zero_copy_only=False)
    widths = _pyarrow().compute.list_value_length(array).to_numpy(zero_copy_only=False)
    if (odd := np.flatnonzero(widths != shape[0])).size:
        has = f"{counted(int(widths[odd[0]]), 'entry').replace('entrys', 'entries')} in row {row + odd[0] // per_row}"
        raise DataError(f"`{path}`: `{name}` has {has} (from 0), {shape[0]} in the first; make all as long.")
    inner = _dense(path, name, array.flatten(), shape[1:], row, per_row * shape[0])
    return inner.reshape(len(array), *shape)


def _check_present(path: Path, name: str, array: Any, row: int, per_row: int) -> None:
    if array.null_count and not _pyarrow().types.is_floating(array.type):
        where = row + int(np.argmax(array.is_null().to_numpy(zero_copy_only=False))) // per_row
        raise DataError(f"`{path}`: `{name}` has nothing in row {where} (from 0), and only floats can be NaN; mend it.")
