"""Arrays on disk: an npz file, or a folder of npy files."""

from __future__ import annotations

import re
import struct
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from ..._errors import DataError, counted, listed
from .dataset import Dataset, Pair, check_dtype, reading

LOCAL_HEADER = struct.Struct("<26x2H")  # of a zip's member; at its end the lengths of the name and of the extra field


class Array(NamedTuple):
    """An array on disk, and `blocks(start, size)`, which reads it from row `start` on, `size` rows at a time."""

    shape: tuple[int, ...]
    dtype: np.dtype
    blocks: Callable[[int, int], Iterator[np.ndarray]]


def open_npz(path: Path, x: str, y: str) -> Dataset:
    """The arrays `x` and `y` of an npz file. Saved by `np.savez`, they are memory-mapped.

    Of `np.savez_compressed`, they are decompressed as they are read; only an array in Fortran order is then held
    whole.
    """
    with reading(path):
        try:
            members = _members(path)
        except zipfile.BadZipFile:
            raise DataError(_no_npz(path)) from None
        arrays = [_member(path, members, name) for name in (x, y)]
    return _dataset(path, arrays, (x, y), [name for name in members if name not in (x, y)])


def open_folder(path: Path, x: str, y: str) -> Dataset:
    """The arrays `x.npy` and `y.npy` of a folder, or shards of them, `x-000.npy`, `x-001.npy`; memory-mapped."""
    shards = {name: _shards(path, name) for name in (x, y)}
    if shards[x].keys() != shards[y].keys():
        number = min(shards[x].keys() ^ shards[y].keys())
        has, lacks = (x, y) if number in shards[x] else (y, x)
        raise DataError(
            f"`{path}` holds `{shards[has][number].name}` and no shard of `{lacks}` of that number; add it."
        )
    parts = [_folder_part(path, [(name, shards[name][number]) for name in (x, y)]) for number in shards[x]]
    used = {file for of_name in shards.values() for file in of_name.values()}
    unused = sorted(file.stem for file in path.glob("*.npy") if file not in used)
    return _joined(path, parts, unused)


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
        shape, fortran, dtype = _header(path, name, file)
        header = file.tell()
    if info.file_size != header + _bytes(shape, dtype):
        raise DataError(f"`{path}` cannot be read as npz: `{name}` is not as long as it says; make it with `np.savez`.")
    if info.compress_type != zipfile.ZIP_STORED:
        return Array(shape, dtype, _unpacked(path, info, shape, fortran, dtype, header))
    with path.open("rb") as plain:
        plain.seek(info.header_offset)
        name_length, extra_length = LOCAL_HEADER.unpack(plain.read(LOCAL_HEADER.size))
    offset = info.header_offset + LOCAL_HEADER.size + name_length + extra_length + header
    return Array(shape, dtype, _mapped(path, shape, fortran, dtype, offset))


def _npy(path: Path, name: str, file: Path) -> Array:
    with reading(file), file.open("rb") as opened:
        shape, fortran, dtype = _header(path, name, opened)
        offset = opened.tell()
        if opened.seek(0, 2) < offset + _bytes(shape, dtype):
            raise DataError(f"`{file}` cannot be read as npy: it ends early; make it anew.")
    return Array(shape, dtype, _mapped(file, shape, fortran, dtype, offset))


def _header(path: Path, name: str, file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether in Fortran order, and dtype; `file` then stands at the data."""
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
    return shape, fortran, dtype


def _bytes(shape: Sequence[int], dtype: np.dtype) -> int:
    return int(np.prod(shape, dtype=np.int64)) * dtype.itemsize


def _mapped(path: Path, shape: tuple[int, ...], fortran: bool, dtype: np.dtype, offset: int) -> Any:
    order = "F" if fortran else "C"

    def blocks(start: int, size: int) -> Iterator[np.ndarray]:
        with path.open("rb") as file:
            for row in range(start, shape[0], size):
                # Mapped anew for each block: pages that were read would stay resident as long as a map lives.
                whole = (
                    np.memmap(file, dtype, "r", offset, shape, order)
                    if _bytes(shape, dtype)
                    else np.empty(shape, dtype)
                )
                yield whole[row : row + size]
                del whole

    return blocks


def _unpacked(
    path: Path, info: zipfile.ZipInfo, shape: tuple[int, ...], fortran: bool, dtype: np.dtype, header: int
) -> Any:
    row_bytes = _bytes(shape[1:], dtype)

    def blocks(start: int, size: int) -> Iterator[np.ndarray]:
        with zipfile.ZipFile(path) as archive, archive.open(info) as file:
            if fortran:
                whole = np.lib.format.read_array(file, allow_pickle=False)
                yield from (whole[row : row + size] for row in range(start, shape[0], size))
                return
            file.seek(header + start * row_bytes)
            for row in range(start, shape[0], size):
                count = min(size, shape[0] - row)
                yield np.frombuffer(file.read(count * row_bytes), dtype).reshape(count, *shape[1:])
            file.read()  # to the end, where the checksum is compared

    return blocks


def _dataset(path: Path, arrays: Sequence[Array], names: Sequence[str], unused: list[str]) -> Dataset:
    x, y = arrays
    if x.shape[0] != y.shape[0]:
        rows = f"`{names[0]}` has {counted(x.shape[0], 'row')} and `{names[1]}` has {y.shape[0]}"
        raise DataError(f"`{path}`: {rows}; they must be as many.")
    return Dataset(path, x.shape[0], unused, lambda start, size: zip(x.blocks(start, size), y.blocks(start, size)))


def _shards(path: Path, name: str) -> dict[int, Path]:
    """The files of an array by number; a single one has the number -1."""
    whole = path / f"{name}.npy"
    shards: dict[int, Path] = {}
    for file in sorted(path.glob("*.npy")):
        if match := re.fullmatch(rf"{re.escape(name)}-(\d+)", file.stem):
            if (number := int(match[1])) in shards:
                raise DataError(f"`{path}` holds both `{shards[number].name}` and `{file.name}`; take one away.")
            shards[number] = file
    if whole.exists() and shards:
        raise DataError(f"`{path}` holds both `{whole.name}` and `{min(shards.values()).name}`; take one away.")
    if whole.exists():
        return {-1: whole}
    if not shards:
        there = listed(sorted(file.name for file in path.glob("*.npy"))) or "no npy"
        raise DataError(f"`{path}` lacks `{whole.name}`; it holds {there}.")
    for number in range(min(min(shards), 1), max(shards)):
        if number not in shards:
            raise DataError(f"`{path}` lacks the shard {number} of `{name}`, and has {max(shards)}; add it.")
    return dict(sorted(shards.items()))


class _Part(NamedTuple):
    dataset: Dataset
    kinds: list[tuple[tuple[int, ...], np.dtype]]
    files: list[Path]


def _folder_part(path: Path, files: Sequence[tuple[str, Path]]) -> _Part:
    arrays = [_npy(path, file.stem, file) for _, file in files]
    dataset = _dataset(path, arrays, [file.stem for _, file in files], [])
    return _Part(dataset, [(array.shape[1:], array.dtype) for array in arrays], [file for _, file in files])


def _joined(path: Path, parts: Sequence[_Part], unused: list[str]) -> Dataset:
    for part in parts[1:]:
        for file, (shape, dtype), (first_shape, first_dtype) in zip(part.files, part.kinds, parts[0].kinds):
            if (shape, dtype) != (first_shape, first_dtype):
                theirs, ours = f"{dtype} of shape {shape}", f"{first_dtype} of shape {first_shape}"
                raise DataError(f"`{file}` holds rows of {theirs}, the first shard of {ours}; make them alike.")

    def blocks(start: int, size: int) -> Iterator[Pair]:
        for part in parts:
            if start < part.dataset.rows:
                yield from part.dataset.blocks(start, size)
            start = max(0, start - part.dataset.rows)

    return Dataset(path, sum(part.dataset.rows for part in parts), unused, blocks)
