"""Reads arrays from an npz file, or a folder of npy files."""

from __future__ import annotations

import math
import re
import struct
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from ..._errors import DataError, counted, listed
from ..._evaluate.store.npy_header import Header, read_header
from .dataset import Dataset, check_dtype, reading

PIECE = 2**20  # bytes that are read together where nothing is made of them
LOCAL_HEADER = struct.Struct("<26x2H")  # of a zip's member; at its end the lengths of the name and of the extra field


class Array(NamedTuple):
    """An array on disk, and `blocks(start, size)`, which reads it from row `start` on, `size` rows at a time."""

    shape: tuple[int, ...]
    dtype: np.dtype
    blocks: Callable[[int, int], Iterator[np.ndarray]]


def open_npz(path: Path, x: str, y: str) -> Dataset:
    """Open the arrays `x` and `y` of an npz file. Saved by `np.savez`, they are read to the end once, to compare sums.

    Of `np.savez_compressed`, they are decompressed as they are read, and sums are compared then; only an array in
    Fortran order is held whole.
    """
    with reading(path):
        try:
            members = _members(path)
        except zipfile.BadZipFile:
            raise DataError(_no_npz(path)) from None
        arrays = [_member(path, members, name) for name in (x, y)]
    _check_as_many(path, arrays, (x, y))
    return _dataset(path, arrays, [name for name in members if name not in (x, y)])


def open_folder(path: Path, x: str, y: str) -> Dataset:
    """Open `x.npy` and `y.npy` of a folder, or shards of them, `x-000.npy`, `x-001.npy`."""
    shards = {name: _shards(path, name) for name in (x, y)}
    if shards[x].keys() != shards[y].keys():
        number = min(shards[x].keys() ^ shards[y].keys())
        has, lacks = (x, y) if number in shards[x] else (y, x)
        raise DataError(
            f"`{path}` holds `{shards[has][number].name}` and no shard of `{lacks}` of that number; add it."
        )
    files = {name: list(of_name.values()) for name, of_name in shards.items()}
    arrays = {name: [_npy(path, file) for file in files[name]] for name in (x, y)}
    for *pair, x_file, y_file in zip(arrays[x], arrays[y], files[x], files[y]):
        _check_as_many(path, pair, (x_file.stem, y_file.stem))
    unused = sorted(file.stem for file in path.glob("*.npy") if file not in (*files[x], *files[y]))
    return _dataset(path, [_joined(files[name], arrays[name]) for name in (x, y)], unused)


def _no_npz(path: Path) -> str:
    with path.open("rb") as file:
        if file.read(6) == np.lib.format.MAGIC_PREFIX:
            return f"`{path}` holds a single array; save both with `np.savez(file, x=..., y=...)`."
    return f"`{path}` cannot be read as npz: it is no npz; make it with `np.savez`."


def _members(path: Path) -> dict[str, zipfile.ZipInfo]:
    with zipfile.ZipFile(path) as archive:
        return {info.filename.removesuffix(".npy"): info for info in archive.infolist()}


def _member(path: Path, members: dict[str, zipfile.ZipInfo], name: str) -> Array:
    if name not in members:
        raise DataError(f"`{path}` lacks the array `{name}`; it holds {listed(members) or 'none'}.")
    info = members[name]
    with zipfile.ZipFile(path) as archive, archive.open(info) as file:
        header = _header(path, name, file)
        if info.file_size != header.end:
            raise DataError(f"`{path}` cannot be read as npz: `{name}` is not as long as it says; make it anew.")
        if info.compress_type != zipfile.ZIP_STORED:
            return _unpacked(path, info, header)
        while file.read(PIECE):  # to the end, where the checksum is compared
            pass
    with path.open("rb") as plain:
        plain.seek(info.header_offset)
        name_length, extra_length = LOCAL_HEADER.unpack(plain.read(LOCAL_HEADER.size))
    member = info.header_offset + LOCAL_HEADER.size + name_length + extra_length
    return _stored(path, header._replace(offset=member + header.offset))


def _npy(path: Path, file: Path) -> Array:
    with reading(file), file.open("rb") as opened:
        header = _header(path, file.stem, opened)
        if opened.seek(0, 2) < header.end:
            raise DataError(f"`{file}` cannot be read as npy: it ends early; make it anew.")
    return _stored(file, header)


def _header(path: Path, name: str, file: IO[bytes]) -> Header:
    try:
        header = read_header(file)
    except ValueError as error:
        raise DataError(f"`{path}`: `{name}` {error}; give numbers, saved with NumPy.") from None
    if not header.shape or not header.shape[0]:
        raise DataError(
            f"`{path}`: `{name}` has shape {header.shape}: no rows; give at least one along the first axis."
        )
    check_dtype(path, name, header.dtype)
    return header


def _stored(path: Path, header: Header) -> Array:
    rows = header.shape[0]

    def blocks(start: int, size: int) -> Iterator[np.ndarray]:
        with path.open("rb") as file:
            for row in range(start, rows, size):
                yield _rows(file, header, row, min(size, rows - row))

    return Array(header.shape, header.dtype, blocks)


def _rows(file: IO[bytes], header: Header, row: int, count: int) -> np.ndarray:
    """Read some rows: as a memory map, a file that is cut meanwhile would end the process.

    In Fortran order they are a run of numbers for each place of a row.
    """
    rows, *row_shape = header.shape
    runs, of_row = (math.prod(row_shape), header.dtype.itemsize) if header.fortran else (1, header.row_bytes)
    found = np.empty((runs, count * of_row), np.uint8)
    for i, run in enumerate(found):
        file.seek(header.offset + (i * rows + row) * of_row)
        if file.readinto(run) != len(run):  # type: ignore[attr-defined]
            raise EOFError
    array = found.view(header.dtype)
    return array.reshape(*reversed(row_shape), count).T if header.fortran else array.reshape(count, *row_shape)


def _unpacked(path: Path, info: zipfile.ZipInfo, header: Header) -> Array:
    rows, *row_shape = header.shape

    def blocks(start: int, size: int) -> Iterator[np.ndarray]:
        with zipfile.ZipFile(path) as archive, archive.open(info) as file:
            if header.fortran:
                whole = np.lib.format.read_array(file, allow_pickle=False)
                yield from (whole[row : row + size] for row in range(start, rows, size))
                return
            _pass_over(file, header.offset + start * header.row_bytes)
            for row in range(start, rows, size):
                count = min(size, rows - row)
                numbers = file.read(count * header.row_bytes)
                if len(numbers) != count * header.row_bytes:
                    raise EOFError
                yield np.frombuffer(numbers, header.dtype).reshape(count, *row_shape)
            file.read()  # to the end, where the checksum is compared

    return Array(header.shape, header.dtype, blocks)


def _pass_over(file: IO[bytes], size: int) -> None:
    """Read what is not wanted: from where it has been set by `seek`, a member's checksum is not compared."""
    while size > 0 and (piece := file.read(min(PIECE, size))):
        size -= len(piece)


def _check_as_many(path: Path, arrays: Sequence[Array], names: Sequence[str]) -> None:
    x, y = (array.shape[0] for array in arrays)
    if x != y:
        rows = f"`{names[0]}` has {counted(x, 'row')} and `{names[1]}` has {y}"
        raise DataError(f"`{path}`: {rows}; they must be as many.")


def _dataset(path: Path, arrays: Sequence[Array], unused: list[str]) -> Dataset:
    x, y = arrays
    return Dataset(path, x.shape[0], unused, lambda start, size: zip(x.blocks(start, size), y.blocks(start, size)))


def _shards(path: Path, name: str) -> dict[int, Path]:
    """Return the files of an array by number; a single one has the number -1."""
    whole = path / f"{name}.npy"
    shards: dict[int, Path] = {}
    for file in sorted(path.glob("*.npy")):
        if match := re.fullmatch(rf"{re.escape(name)}-(\d+)", file.stem):
            if (number := int(match[1])) in shards:
                raise DataError(f"`{path}` holds both `{shards[number].name}` and `{file.name}`; take one away.")
            shards[number] = file
    if whole.exists():
        if shards:
            raise DataError(f"`{path}` holds both `{whole.name}` and `{min(shards.values()).name}`; take one away.")
        return {-1: whole}
    if not shards:
        there = listed(sorted(file.name for file in path.glob("*.npy"))) or "no npy"
        raise DataError(f"`{path}` lacks `{whole.name}`; it holds {there}.")
    for number in range(min(min(shards), 1), max(shards)):
        if number not in shards:
            raise DataError(f"`{path}` lacks the shard {number} of `{name}`, and has {max(shards)}; add it.")
    return dict(sorted(shards.items()))


def _joined(files: Sequence[Path], arrays: Sequence[Array]) -> Array:
    for file, array in zip(files, arrays):
        theirs, ours = (f"{a.dtype} of shape {a.shape[1:]}" for a in (array, arrays[0]))
        if theirs != ours:
            raise DataError(f"`{file}` holds rows of {theirs}, the first shard of {ours}; make them alike.")

    def blocks(start: int, size: int) -> Iterator[np.ndarray]:
        for array in arrays:
            if start < array.shape[0]:
                yield from array.blocks(start, size)
            start = max(0, start - array.shape[0])

    return Array((sum(array.shape[0] for array in arrays), *arrays[0].shape[1:]), arrays[0].dtype, blocks)
