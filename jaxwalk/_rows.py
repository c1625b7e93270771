"""Rows of one part of an evaluation, as Parquet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from . import _disk
from ._errors import StoreError, counted

DTYPES = ("int64", "float32", "float64")


def parquet() -> Any:
    """The module `pyarrow.parquet`, imported when it is needed."""
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise StoreError("`out` needs pyarrow; install it: pip install 'jaxwalk[store]'.") from error
    return pyarrow.parquet


def packed(rows: Mapping[str, np.ndarray]) -> memoryview:
    """The bytes of a Parquet file with these columns."""
    import pyarrow

    sink = pyarrow.BufferOutputStream()
    table = pyarrow.Table.from_arrays([_column(column) for column in rows.values()], list(rows))
    parquet().write_table(table, sink, use_dictionary=False)  # norms seldom repeat
    return memoryview(sink.getvalue())


def _column(column: np.ndarray) -> Any:
    """Without a copy, and not by `pyarrow.array`, which imports pandas: a second, where there is pandas."""
    import pyarrow

    native = np.ascontiguousarray(column, column.dtype.name)
    dtype = pyarrow.from_numpy_dtype(native.dtype)
    return pyarrow.Array.from_buffers(dtype, len(column), [None, pyarrow.py_buffer(native)])


def described(rows: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """What `described_file` is to find in the file of these rows.

    Raises:
        StoreError: there is no `index` of int64; columns differ in length, or have more axes than one, or a dtype that
            is not kept.
    """
    for name, column in rows.items():
        if column.ndim != 1 or column.dtype.name not in DTYPES or len(column) != len(rows.get("index", ())):
            is_ = f"has shape {column.shape} and dtype {column.dtype}"
            raise StoreError(f"Column `{name}` {is_}; give each row of `index` one number, of {' or '.join(DTYPES)}.")
    index = rows.get("index", np.empty(0))
    if index.dtype != np.int64:
        raise StoreError("The rows lack `index`; give one of int64.")
    ends = [int(index.min()), int(index.max())] if len(index) else []
    columns = [[name, column.dtype.name] for name, column in rows.items()]
    return {"rows": len(index), "index": ends, "columns": columns}


def described_file(path: Path) -> dict[str, Any]:
    """How many rows a Parquet file has, from which index to which, and its columns, read from its footer alone.

    Raises:
        StoreError: it is no Parquet file, or not all of one.
    """
    try:
        with path.open("rb") as file:
            footer = parquet().read_metadata(file)
        schema = footer.schema.to_arrow_schema()
        columns = [[field.name, np.dtype(field.type.to_pandas_dtype()).name] for field in schema]
        ends = _ends(footer, schema.names.index("index"))
    except Exception as error:  # what pyarrow raises at a damaged file is of many kinds
        why = _disk.reason(error)
        raise StoreError(f"`{path}` cannot be read: {why}; restore it, or begin in another directory.") from error
    return {"rows": footer.num_rows, "index": ends, "columns": columns}


def _ends(footer: Any, column: int) -> list[int]:
    groups = [footer.row_group(i) for i in range(footer.num_row_groups)]
    extents = [group.column(column).statistics for group in groups if group.num_rows]
    if any(extent is None or not extent.has_min_max for extent in extents):
        raise ValueError("the file does not say from which index to which it goes")
    return [min(e.min for e in extents), max(e.max for e in extents)] if extents else []


def extent(description: Mapping[str, Any]) -> str:
    """ "12 rows, index 30 to 41"."""
    rows = counted(description["rows"], "row")
    return f"{rows}, index {description['index'][0]} to {description['index'][1]}" if description["index"] else rows
