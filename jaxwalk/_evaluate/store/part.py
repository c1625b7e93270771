"""One part of an evaluation on disk: its rows, as Parquet, and beside them its state, a header and arrays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..._errors import StoreError
from ..._optional import pyarrow_parquet
from . import disk, npz

DTYPES = ("int64", "float32", "float64")
FIX = "restore it, or begin in another directory"


def rows_to_parquet(rows: Mapping[str, np.ndarray]) -> memoryview:
    """Return the bytes of a Parquet file with these columns."""
    import pyarrow

    sink = pyarrow.BufferOutputStream()
    table = pyarrow.Table.from_arrays([_column(column) for column in rows.values()], list(rows))
    pyarrow_parquet().write_table(table, sink, use_dictionary=False)  # norms seldom repeat
    return memoryview(sink.getvalue())


def _column(column: np.ndarray) -> Any:
    """Wrap a column without a copy, and not by `pyarrow.array`, which imports pandas where there is one: a second."""
    import pyarrow

    native = np.ascontiguousarray(column, column.dtype.name)
    dtype = pyarrow.from_numpy_dtype(native.dtype)
    return pyarrow.Array.from_buffers(dtype, len(column), [None, pyarrow.py_buffer(native)])


def columns(rows: Mapping[str, np.ndarray]) -> list[list[str]]:
    """Return name and dtype of each column.

    Raises:
        StoreError: there is no `index` of int64; columns differ in length, or have more axes than one, or a dtype that
            is not kept.
    """
    for name, column in rows.items():
        if column.ndim != 1 or column.dtype.name not in DTYPES or len(column) != len(rows.get("index", ())):
            is_ = f"has shape {column.shape} and dtype {column.dtype}"
            raise StoreError(f"Column `{name}` {is_}; give each row of `index` one number, of {' or '.join(DTYPES)}.")
    if "index" not in rows or rows["index"].dtype != np.int64:
        raise StoreError("The rows lack `index`; give one of int64.")
    return [[name, column.dtype.name] for name, column in rows.items()]


def read_state(path: Path, with_arrays: bool = True) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the header and the arrays of a part; without the arrays, they are not read.

    Raises:
        StoreError: the file cannot be read, or is not whole.
    """
    try:
        with path.open("rb") as file:
            return npz.unpack(file, with_arrays)
    except Exception as error:  # what NumPy and zipfile raise at a damaged file is of many kinds
        raise StoreError(f"`{path}` cannot be read: {disk.reason(error)}; {FIX}.") from error


def checksum_rows(path: Path) -> int:
    """Return the checksum of a part's Parquet file.

    Raises:
        StoreError: the file cannot be read.
    """
    try:
        return disk.checksum(path)
    except OSError as error:
        raise StoreError(f"`{path}` cannot be read: {disk.reason(error)}; {FIX}.") from error
