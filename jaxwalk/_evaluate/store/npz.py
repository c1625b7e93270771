"""A header that JSON can hold, and arrays of numbers, in one npz file."""

from __future__ import annotations

import io
import json
import os
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from ..._errors import StoreError
from .npy_header import read_header


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
    return _sealed(file)


def unpack(
    file: str | os.PathLike[str] | BinaryIO, with_arrays: bool = True
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return what `pack` was given; without the arrays, they are not read.

    What the file says of its sizes is looked at first: no more is allocated than its own length.

    Raises:
        ValueError: it says that it is larger than it is, or is compressed, or is not what was written. And whatever
            NumPy and zipfile raise.
    """
    with zipfile.ZipFile(file) as archive:
        _check_sizes(archive)
        _check_seal(archive)
        names = [info.filename.removesuffix(".npy") for info in archive.infolist()]
        if "said" in names:  # as `Evaluation.save` wrote it before there was `pack`: arrays under their own names
            names.remove("said")
            return json.loads(_array(archive, "said").tobytes()), {name: _array(archive, name) for name in names}
        text = json.loads(_array(archive, "text").tobytes())
        names = text["names"] if with_arrays else []
        return text["header"], {name: _array(archive, f"array{i}") for i, name in enumerate(names)}


def _sealed(file: io.BytesIO) -> bytes:
    """Return the bytes of a zip with their checksum as its comment: those of its members cover no name and no size."""
    seal = b"%08x" % zlib.crc32(file.getvalue())
    with zipfile.ZipFile(file, "a") as archive:
        archive.comment = seal
    return file.getvalue()


def _check_seal(archive: zipfile.ZipFile) -> None:
    """Raise a ValueError if the bytes of a zip are not those that were sealed. Older files have no seal."""
    seal, file = archive.comment, archive.fp
    if not seal:
        return
    assert file is not None
    file.seek(0)
    content = file.read().removesuffix(seal)
    length = len(seal).to_bytes(2, "little")  # which the zip ends with, and which was 0 before it had a comment
    if not content.endswith(length) or b"%08x" % zlib.crc32(bytes(2), zlib.crc32(content[:-2])) != seal:
        raise ValueError("it is not what was written")


def _check_sizes(archive: zipfile.ZipFile) -> None:
    members, file = archive.infolist(), archive.fp
    assert file is not None
    if any(info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size for info in members):
        raise ValueError("it is compressed")
    if sum(info.file_size for info in members) > file.seek(0, os.SEEK_END):
        raise ValueError("it is not as long as it says")


def _array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(f"{name}.npy") as member:
        header = read_header(member)
        if header.end != archive.getinfo(member.name).file_size:
            raise ValueError(f"`{name}` is not as long as it says")
    with archive.open(member.name) as member:
        return np.lib.format.read_array(member, allow_pickle=False)
