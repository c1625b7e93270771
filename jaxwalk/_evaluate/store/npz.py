"""A header that JSON can hold, and arrays of numbers, in one npz file."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from ..._errors import StoreError


def pack(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return the bytes of a file. The arrays' names are in its text: names in an npz file may not be any.

    Raises:
        StoreError: an array is not of numbers that NumPy has by itself, which a file would not give back.
    """
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in arrays.items():
        if array.dtype.kind not in "biufc":
            raise StoreError(f"The array `{name}` has dtype {array.dtype}; give numbers of a dtype that NumPy has.")
    text = json.dumps({"names": list(arrays), "header": header})
    numbered = {f"array{i}": array for i, array in enumerate(arrays.values())}
    file = io.BytesIO()
    np.savez(file, text=np.frombuffer(text.encode(), np.uint8), **numbered)  # type: ignore[arg-type]
    return file.getvalue()


def unpack(
    file: str | os.PathLike[str] | BinaryIO, with_arrays: bool = True
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return what `pack` was given; without the arrays, they are not read. Raises whatever NumPy and zipfile do."""
    with np.load(file, allow_pickle=False) as found:
        if "said" in found:  # as `Evaluation.save` wrote it before there was `pack`: arrays under their own names
            return json.loads(found["said"].tobytes()), {name: found[name] for name in found.files if name != "said"}
        text = json.loads(found["text"].tobytes())
        names = text["names"] if with_arrays else []
        return text["header"], {name: found[f"array{i}"] for i, name in enumerate(names)}
