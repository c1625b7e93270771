"""Reads data that lie on disk batch by batch, in memory that does not grow with the number of rows."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from ..._errors import ArgumentError, DataError, first_line, listed
from ..options import of_data

Pair = tuple[np.ndarray, np.ndarray]


class Empty(NamedTuple):
    """Empty cells of a table: how many, and the row (from 0) and the column of the first."""

    cells: int
    row: int
    column: str

    @property
    def note(self) -> str:
        """Return what to say of them."""
        are = "An empty cell of `--data` is" if self.cells == 1 else f"{self.cells} empty cells of `--data` are"
        return f"{are} read as NaN, the first in the column `{self.column}` of datum {self.row}."


@dataclass(frozen=True)
class Dataset:
    """Inputs x and expectations y on disk, a row per datum. Made by `open_data`.

    Attributes:
        path: the file or folder.
        rows: how many data there are.
        unused: names of arrays or columns that are neither x nor y.
        joined: names of the columns that are x because they hold numbers, and no others were asked for.
        blocks: `blocks(start, size)` gives x and y as they are stored, from row `start` on, in blocks of any length;
            `size` is how many rows are wanted at a time. `batches` is what to call.
        empty: the empty cells that are read as NaN, if there are any.
    """

    path: Path
    rows: int
    unused: list[str]
    blocks: Callable[[int, int], Iterator[Pair]]
    joined: Sequence[str] = ()
    empty: Empty | None = None

    @property
    def notes(self) -> list[str]:
        """Return sentences: which columns were taken, where nobody chose them, what was left, what is missing."""
        taken = [f"x is {_columns(self.joined)}; choose others by `--x`."] * bool(self.joined)
        why = "Not numbers, and not used" if self.joined else "Not used"
        left = [f"{why} of `--data`: {listed(self.unused)}."] * bool(self.unused)
        return taken + left + ([] if self.empty is None else [self.empty.note])

    def batches(self, size: int, start: int = 0) -> Iterator[Pair]:
        """Yield x (size, ...) and y (size, ...), from row `start` on, in the dtypes that JAX has for them.

        The last may be short. Each call reads anew. NaN and Inf pass.

        Raises:
            DataError: while batches are taken: a number is too large for JAX's dtype, or what is stored cannot be
                read. It names the row.
        """
        if size < 1 or not 0 <= start <= self.rows:
            raise ArgumentError(
                f"Batches of {size} from row {start} of {self.rows}: give a size of at least 1 and a row."
            )
        return self._batches(size, start)

    @property
    def first(self) -> Pair:
        """Return the x and y of the first datum, without a leading axis."""
        x, y = next(self.batches(1))
        return x[0], y[0]

    def _batches(self, size: int, start: int) -> Iterator[Pair]:
        row = start
        with of_data(), reading(self.path):
            for x, y in _exactly(self.blocks(start, size), size):
                yield _held(self.path, "x", x, row), _held(self.path, "y", y, row)
                row += len(x)


def _columns(names: Sequence[str]) -> str:
    return f"the column{'s' * (len(names) > 1)} {listed(names)}"


def empty_among(before: Empty | None, row: int, cells: Mapping[str, np.ndarray]) -> Empty | None:
    """Return the empty cells `before` and those of some rows more, from `row` on: `cells` says which are empty."""
    count = sum(int(which.sum()) for which in cells.values())
    if not count:
        return before
    if before is not None:
        return before._replace(cells=before.cells + count)
    first, column = min((int(which.argmax()), name) for name, which in cells.items() if which.any())
    return Empty(count, row + first, column)


@dataclass(frozen=True)
class DataBatches:
    """The data in batches of `size`, to be gone through any number of times."""

    data: Dataset
    size: int

    @property
    def rows(self) -> int:
        """Return how many data there are, for `evaluate`'s bar."""
        return self.data.rows

    def __iter__(self) -> Iterator[Pair]:
        return self.data.batches(self.size)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what goes wrong while `path` is read into a sentence."""
    try:
        yield
    except DataError:
        raise
    except (OSError, ValueError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        kind = path.suffix.removeprefix(".") or "a folder of arrays or tables"
        raise DataError(f"`{path}` cannot be read as {kind}: {why_unread(error)}; make it anew.") from error


def why_unread(error: Exception) -> str:
    """Return what the system, or the library that reads a file, says of it."""
    return first_line((isinstance(error, OSError) and error.strerror) or error) or "it ends early"


def check_dtype(path: Path, name: str, dtype: np.dtype) -> None:
    """Refuse what JAX has no dtype for."""
    if dtype.hasobject:
        why = "is a pickle, which could run code when read, and is refused"
        raise DataError(f"`{path}`: `{name}` {why}; save it as an array of numbers.")
    if dtype.kind not in "biufc" or dtype.itemsize > (16 if dtype.kind == "c" else 8):
        raise DataError(f"`{path}`: `{name}` has dtype {dtype}; give numbers.")


def _exactly(blocks: Iterator[Pair], size: int) -> Iterator[Pair]:
    """Turn blocks of any length into batches of `size`."""
    waiting: list[Pair] = []
    missing = size
    for x, y in blocks:
        while len(x):
            waiting.append((x[:missing], y[:missing]))
            x, y = x[missing:], y[missing:]
            missing -= len(waiting[-1][0])
            if not missing:
                yield _together(waiting)
                waiting, missing = [], size
    if waiting:
        yield _together(waiting)


def _together(pairs: list[Pair]) -> Pair:
    if len(pairs) == 1:
        return pairs[0]
    return np.concatenate([x for x, _ in pairs]), np.concatenate([y for _, y in pairs])


def _held(path: Path, name: str, array: np.ndarray, row: int) -> np.ndarray:
    """Copy an array into memory, in the dtype that JAX has for it."""
    native = array.dtype.newbyteorder("=")
    with np.errstate(over="ignore"):
        held = np.array(array, jax.dtypes.canonicalize_dtype(native), order="C")
    if held.dtype == native:
        return held
    lost = held != array if array.dtype.kind in "iu" else np.isfinite(array) & ~np.isfinite(held)
    if lost.any():
        where = row + int(np.argwhere(lost)[0][0])
        raise DataError(
            f"`{path}`: `{name}` holds a number too large for JAX's 32 bits in row {where} (from 0);"
            " set JAX_ENABLE_X64=1."
        )
    return held
