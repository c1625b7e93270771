"""What is kept of one part of an evaluation beside its rows: a header and arrays, in one npz file."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..._errors import StoreError
from . import disk


class State(NamedTuple):
    """A header that JSON can hold, and arrays of numbers by name."""

    header: dict[str, Any]
    arrays: dict[str, np.ndarray]


def packed(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """The bytes of an npz file. Names go into a text beside the arrays, for a name may be any, and that of a file not.

    Raises:
        StoreError: an array is not of numbers that NumPy has by itself, which a file would not give back.
    """
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in arrays.items():
        if array.dtype.kind not in "biufc":
            raise StoreError(f"The array `{name}` has dtype {array.dtype}; give numbers of a dtype that NumPy has.")
    text = json.dumps({"names": list(arrays), "header": header})
    buffer = io.BytesIO()
    numbered = {f"array{i}": array for i, array in enumerate(arrays.values())}
    np.savez(buffer, text=np.frombuffer(text.encode(), np.uint8), **numbered)  # type: ignore[arg-type]
    return buffer.getvalue()


def unpacked(path: Path, with_arrays: bool = True) -> State:
    """What `packed` was given, from a file; without the arrays, they are not read.

    Raises:
        StoreError: the file cannot be read, or is not whole.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
            text = json.loads(found["text"].tobytes())
            names = text["names"] if with_arrays else []
            return State(text["header"], {name: found[f"array{i}"] for i, name in enumerate(names)})
    except Exception as error:  # what NumPy and zipfile raise at a damaged file is of many kinds
        why = disk.reason(error)
        raise StoreError(f"`{path}` cannot be read: {why}; restore it, or begin in another directory.") from error
