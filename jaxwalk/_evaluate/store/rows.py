"""Rows of one part of an evaluation, as Parquet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..._errors import StoreError
from ..._optional import pyarrow_parquet

DTYPES = ("int64", "float32", "float64")


def packed(rows: Mapping[str, np.ndarray]) -> memoryview:
    """The bytes of a Parquet file with these columns."""
    import pyarrow

    sink = pyarrow.BufferOutputStream()
    table = pyarrow.Table.from_arrays([_column(column) for column in rows.values()], list(rows))
    pyarrow_parquet().write_table(table, sink, use_dictionary=False)  # norms seldom repeat
    return memoryview(sink.getvalue())


def _column(column: np.ndarray) -> Any:
    """Without a copy, and not by `pyarrow.array`, which imports pandas: a second, where there is pandas."""
    import pyarrow

    native = np.ascontiguousarray(column, column.dtype.name)
    dtype = pyarrow.from_numpy_dtype(native.dtype)
    return pyarrow.Array.from_buffers(dtype, len(column), [None, pyarrow.py_buffer(native)])


def columns(rows: Mapping[str, np.ndarray]) -> list[list[str]]:
    """Name and dtype of each column.

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
