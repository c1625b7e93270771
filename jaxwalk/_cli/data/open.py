"""Opens the data that users bring, of every kind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..._errors import DataError, listed
from ..options import check_data, of_data
from .csv import open_csv
from .dataset import Dataset
from .npy import open_folder, open_npz
from .parquet import open_parquet


def open_data(path: Path, x: Sequence[str] | None = None, y: Sequence[str] | None = None) -> Dataset:
    """Open data on disk, to be read batch by batch; what is held in memory does not grow with the number of rows.

    Arguments:
        path: an npz file; a folder of `x.npy` and `y.npy`, or of shards `x-000.npy`, `x-001.npy` ... of both; a csv;
            a Parquet file or a folder of them.
        x: the name of the array of inputs, or names of columns. By default the array or column "x", or where a table
            has none, all columns of numbers that are not in y. A single column named gives a scalar per datum.
        y: the name of the array of expectations, or names of columns; by default "y".

    Returns:
        A `Dataset`: `rows`, `batches(size, start)`, `first`, and in `unused` the names that are neither x nor y.

    Raises:
        DataError: the file, an array or a column is missing; it holds a pickle, text, no rows; lengths differ.
        JaxwalkError: Parquet is to be read and pyarrow is not installed.

    >>> import tempfile, pathlib, numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "data.npz"
    ...     np.savez(path, x=np.zeros((5, 3)), y=np.arange(5))
    ...     data = open_data(path)
    ...     [(x.shape, y.tolist()) for x, y in data.batches(2)]
    [((2, 3), [0, 1]), ((2, 3), [2, 3]), ((1, 3), [4])]
    """
    path = Path(path)
    check_data(path)
    with of_data():
        return _open_folder(path, x, y) if path.is_dir() else _open_file(path, x, y)


def _open_file(path: Path, x: Sequence[str] | None, y: Sequence[str] | None) -> Dataset:
    match path.suffix.lower():
        case ".npz":
            return open_npz(path, _alone(path, "x", x), _alone(path, "y", y))
        case ".csv":
            return open_csv(path, x, y)
        case ".parquet":
            return open_parquet(path, x, y)
        case ".npy":
            raise DataError(f"`{path}` holds a single array; give its folder, with `x.npy` and `y.npy`.")
    raise DataError(f"`{path}` is no npz, csv, parquet or folder by its name; give one of these.")


def _open_folder(path: Path, x: Sequence[str] | None, y: Sequence[str] | None) -> Dataset:
    has_npy, has_parquet = (any(path.glob(f"*.{kind}")) for kind in ("npy", "parquet"))
    if has_npy and has_parquet:
        raise DataError(f"`{path}` holds both npy and parquet files; give a folder of one kind.")
    if has_npy:
        return open_folder(path, _alone(path, "x", x), _alone(path, "y", y))
    if has_parquet:
        return open_parquet(path, x, y)
    raise DataError(f"`{path}` is a folder without npy or parquet files; give `x.npy` and `y.npy`, or a table.")


def _alone(path: Path, default: str, names: Sequence[str] | None) -> str:
    if names and len(names) > 1:
        raise DataError(f"`{path}` holds arrays, not columns; give one name by `--{default}`, not {listed(names)}.")
    return names[0] if names else default
