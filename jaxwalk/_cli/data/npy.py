"""Reads arrays from an npz file, or a folder of npy files."""

from __future__ import annotations

import re
import struct
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from ..._errors import DataError, counted, listed
from .dataset import Dataset, check_dtype, reading

LOCAL_HEADER = struct.Struct("<26x2H")  # of a zip's member; at its end the lengths of the name and of the extra field


class Array(NamedTuple):
    """An array on disk, and `blocks(start, size)`, which reads it from row `start` on, `size` rows at a time."""

    shape: tuple[int, ...]
    dtype: np.dtype
    blocks: Callable[[int, int], Iterator[np.ndarray]]


class Header(NamedTuple):
    """What an npy file says of its array, and the byte at which the numbers begin."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype
    offset: int

    @property
    def row_bytes(self) -> int:
        return int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize

    @property
    def end(self) -> int:
        """Return the byte after the last of the numbers."""
        return self.offset + self.shape[0] * self.row_bytes


def open_npz(path: Path, x: str, y: str) -> Dataset:
    """Open the arrays `x` and `y` of an npz file. Saved by `np.savez`, they are memory-mapped.

    Of `np.savez_compressed`, they are decompressed as they are read; only an array in Fortran order is then held
    whole.
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
    """Open `x.npy` and `y.npy` of a folder, or shards of them, `x-000.npy`, `x-001.npy`; memory-mapped."""
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
        raise DataError(f"`{path}` cannot be read as npz: `{name}` is not as long as it says; make it with `np.savez`.")
    if info.compress_type != zipfile.ZIP_STORED:
        return _unpacked(path, info, header)
    with path.open("rb") as plain:
        plain.seek(info.header_offset)
        name_length, extra_length = LOCAL_HEADER.unpack(plain.read(LOCAL_HEADER.size))
    member = info.header_offset + LOCAL_HEADER.size + name_length + extra_length
    return _mapped(path, header._replace(offset=member + header.offset))


def _npy(path: Path, file: Path) -> Array:
    with reading(file), file.open("rb") as opened:
        header = _header(path, file.stem, opened)
        if opened.seek(0, 2) < header.end:
            raise DataError(f"`{file}` cannot be read as npy: it ends early; make it anew.")
    return _mapped(file, header)


def _header(path: Path, name: str, file: IO[bytes]) -> Header:
    try:
        version = np.lib.format.read_magic(file)
    except ValueError:
        raise DataError(f"`{path}`: `{name}` is not an array; save it with NumPy.") from None
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:  # 3.0 is for the names of a structured dtype
        raise DataError(f"`{path}`: `{name}` is in version {version[0]}.{version[1]} of npy; give numbers.")
    shape, fortran, dtype = readers[version](file)
    if not shape or not shape[0]:
        raise DataError(f"`{path}`: `{name}` has shape {shape}: no rows; give at least one along the first axis.")
    check_dtype(path, name, dtype)
    return Header(shape, fortran, dtype, file.tell())


def _mapped(path: Path, header: Header) -> Array:
    shape, dtype = header.shape, header.dtype

    def blocks(start: int, size: int) -> Iterator[np.ndarray]:
        with path.open("rb") as file:
            for row in range(start, shape[0], size):
                if not header.row_bytes:  # nothing to map
                    yield np.empty(shape, dtype)[row : row + size]
                    continue
                # Mapped anew for each block: pages that were read would stay resident as long as a map lives.
                whole = np.memmap(file, dtype, "r", header.offset, shape, "F" if header.fortran else "C")
                yield whole[row : row + size]
                del whole

    return Array(header.shape, header.dtype, blocks)


def _unpacked(path: Path, info: zipfile.ZipInfo, header: Header) -> Array:
    rows, *row_shape = header.shape

    def blocks(start: int, size: int) -> Iterator[np.ndarray]:
        with zipfile.ZipFile(path) as archive, archive.open(info) as file:
            if header.fortran:
                whole = np.lib.format.read_array(file, allow_pickle=False)
                yield from (whole[row : row + size] for row in range(start, rows, size))
                return
            file.seek(header.offset + start * header.row_bytes)
            for row in range(start, rows, size):
                count = min(size, rows - row)
                yield np.frombuffer(file.read(count * header.row_bytes), header.dtype).reshape(count, *row_shape)
            file.read()  # to the end, where the checksum is compared

    return Array(header.shape, header.dtype, blocks)


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
