"""An evaluation on disk, part by part: what is finished stays, whatever ends the process."""

from __future__ import annotations

import hashlib
import json
import os
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from ..._errors import ArgumentError, StoreError, argument, counted, listed, shown
from ..._optional import pyarrow_parquet
from . import directory as _directory
from . import disk, npz
from . import part as _part
from .part import FIX


class Store:
    """A directory that holds an evaluation: `manifest.json`, and of each part its rows and its state.

    A part is there once its Parquet file is: the file comes under its name when it is whole, after the state. So
    `rows/` is at any moment a Parquet data set of the finished parts, whoever reads it. Each write is synced to disk.

    Attributes:
        directory: where it is.
        parts: how many parts are finished. They are numbered from 0.
        header: what `finish` was given; None until then.
    """

    def __init__(self, directory: Path, identity: Mapping[str, str], is_written: bool = True) -> None:
        self.directory = directory
        self.parts = 0
        self.header: dict[str, Any] | None = None
        self._identity = dict(identity)
        self._columns: list[list[str]] | None = None
        self._sizes: list[int] = []  # of the files of rows
        self._lock = _directory.lock(directory) if is_written else None

    @classmethod
    def open(cls, directory: str | os.PathLike[str], identity: Mapping[str, str], resume: bool = False) -> Store:
        """Make the directory, or go on with the evaluation in it, and hold it until the end of the `with` block.

        Arguments:
            directory: made if it is not there. Two processes that write there at once are kept apart, except on
                Windows and on file systems without locks. A finished evaluation is read, and nothing is written.
            identity: what an evaluation must have in common with the one that it goes on with; short texts by name.
            resume: whether to go on with an evaluation that is there: its parts are read, to see that they are what
                was written. Where there is none, one begins all the same.

        Raises:
            ArgumentError: `directory` is no path.
            StoreError: pyarrow is not installed; the directory is a file, cannot be written, holds something else, or
                holds an evaluation that is not to be resumed, has another identity, is damaged, or is being written.
        """
        pyarrow_parquet()
        if not isinstance(directory, str | os.PathLike):
            raise ArgumentError(f"`out` is {shown(directory)}; give the path of a directory.")
        if "\0" in os.fsdecode(directory):
            raise ArgumentError(f"`out` is {shown(directory)}, which holds a NUL byte; give the path of a directory.")
        directory = Path(os.path.abspath(os.fsdecode(directory)))
        _directory.make(directory)
        manifest = _directory.read_manifest(directory)
        store = cls(directory, identity, is_written=manifest is None or manifest["finished"] is None)
        try:
            store._begin(resume)
        except BaseException:
            store.close()
            raise
        return store

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let others write to the directory."""
        if self._lock is not None:
            disk.unlock(self._lock)

    @property
    def finished(self) -> bool:
        """Say whether the evaluation came to its end."""
        return self.header is not None

    def read(self, part: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return the header and the arrays of a finished part.

        Raises:
            StoreError: its file is damaged.
        """
        described, arrays = _part.read_state(self._state_file(part))
        return described["header"], arrays

    def write(
        self, part: int, rows: Mapping[str, np.ndarray], header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> None:
        """Add a part: when this returns it lasts, and if this is cut short it is not there.

        Arguments:
            part: the number of the next part, `parts`.
            rows: columns of equal length, which may be 0: `index`, int64, then others of int64, float32 or float64.
                All parts have the same.
            header: what JSON can hold.
            arrays: any shape; numbers of dtypes that NumPy has by itself.

        Raises:
            StoreError: the part cannot be written (the parts before it are whole), or does not fit the others.
        """
        if part != self.parts or self.finished:
            raise StoreError(f"Part {part} is not the next of `{self.directory}`, which has {self.parts}; write that.")
        columns = _part.columns(rows)
        self._check_columns(part, columns)
        self._check_place()
        table = _part.rows_to_parquet(rows)
        described = {"part": part, "identity": self._digest(), "columns": columns, "checksum": zlib.crc32(table)}
        state = npz.pack({**described, "header": dict(header)}, arrays)
        try:
            disk.write(self._state_file(part), state)
            disk.write(self._rows_file(part), table)
        except OSError as error:
            if not self._rows_file(part).exists():  # it exists where only syncing the directory failed
                disk.remove(self._state_file(part))
            self._unwritten(f"Part {part}", error)
        self._sizes.append(len(table))
        self.parts += 1

    def finish(self, header: Mapping[str, Any]) -> None:
        """Mark the evaluation as complete, if it is.

        Raises:
            StoreError: the manifest cannot be written (the parts are whole); a part is no longer there, or is another.
        """
        self._check_place()
        for part in range(self.parts):
            self._check_kept(part)
        for place in ("", *_directory.PLACES):  # what is finished is only read, so that nobody would remove it later
            disk.remove(self.directory / place / disk.PROBE)
        try:
            _directory.write_manifest(self.directory, self._identity, {"parts": self.parts, "header": dict(header)})
        except OSError as error:
            self._unwritten("The end", error)
        self.header = dict(header)

    def _check_place(self) -> None:
        if self._lock is None or not disk.holds(self._lock, self.directory / ".lock"):
            holds = "is no longer the directory in which this evaluation began"
            _directory.reject(self.directory, holds, "restore that, and go on with it, or give another directory")

    def _check_kept(self, part: int) -> None:
        for path in (self._rows_file(part), self._state_file(part)):
            if not path.is_file():
                raise StoreError(f"`{path}`, which this evaluation wrote, is no longer there; {FIX}.")
        if self._rows_file(part).stat().st_size != self._sizes[part]:
            raise StoreError(f"`{self._rows_file(part)}` is not what this evaluation wrote; {FIX}.")

    def _unwritten(self, what: str, error: OSError) -> NoReturn:
        reason, remedy = _directory.cause(error)
        intact = f"the {counted(self.parts, 'part')} there stay whole" if self.parts else "no part is there yet"
        fix = f"{remedy} and go on with `{argument('resume=True')}`"
        raise StoreError(f"{what} cannot be written to `{self.directory}`: {reason}; {intact}: {fix}.") from error

    def _begin(self, resume: bool) -> None:
        manifest = _directory.read_manifest(self.directory)
        _directory.check_resumed(self.directory, manifest, resume)
        if manifest is not None:
            _directory.check_identity(self.directory, manifest["identity"], self._identity)
        if self._lock is not None:
            _directory.prepare(self.directory, self._identity)
        if manifest is not None:
            self._find_parts()
            self._take_end(manifest["finished"])

    def _take_end(self, finished: Mapping[str, Any] | None) -> None:
        if finished is None:
            return
        if self.parts != finished["parts"]:
            holds = f"holds {counted(self.parts, 'part')} of {finished['parts']} of a finished evaluation"
            _directory.reject(self.directory, holds, "restore the others, or give another directory")
        self.header = finished["header"]

    def _find_parts(self) -> None:
        places = self.directory / "rows", self.directory / "state"
        if self._lock is not None:
            for place in places:
                _remove_unfinished(place)
        rows, states = map(_numbers, places)
        self.parts = len(rows)
        for part in range(self.parts):
            for path, numbers in ((self._rows_file(part), rows), (self._state_file(part), states)):
                if part not in numbers:
                    raise StoreError(f"`{path}` is missing, and part {max(rows)} is there; {FIX}.")
            self._check_part(part)
            self._sizes.append(self._rows_file(part).stat().st_size)
        for part in states - rows if self._lock is not None else ():  # of a process that ended between the two writes
            disk.remove(self._state_file(part))

    def _check_part(self, part: int) -> None:
        described, _ = _part.read_state(self._state_file(part), with_arrays=False)
        if (described["part"], described["identity"]) != (part, self._digest()):
            raise StoreError(f"`{self._state_file(part)}` is of another part or evaluation; {FIX}.")
        if _part.checksum_rows(self._rows_file(part)) != described["checksum"]:
            raise StoreError(f"`{self._rows_file(part)}` does not hold the rows that were written to it; {FIX}.")
        self._check_columns(part, described["columns"])

    def _check_columns(self, part: int, columns: list[list[str]]) -> None:
        expected = self._columns = self._columns or columns
        if columns != expected:
            differing = [name for name, dtype in columns if [name, dtype] not in expected]
            differing += [name for name, _ in expected if name not in dict(columns)]
            which = f": {listed(differing)}" if differing else ", in another order"
            raise StoreError(f"Part {part} of `{self.directory}` has other columns than part 0{which}; {FIX}.")

    def _digest(self) -> str:
        return hashlib.sha256(json.dumps(self._identity, sort_keys=True).encode()).hexdigest()

    def _rows_file(self, part: int) -> Path:
        return self.directory / "rows" / f"part-{part:05d}.parquet"

    def _state_file(self, part: int) -> Path:
        return self.directory / "state" / f"part-{part:05d}.npz"


def _remove_unfinished(place: Path) -> None:
    """Remove what a process left that ended while it wrote a file."""
    for name in os.listdir(place):
        if re.fullmatch(r"\.part-\d+\.(parquet|npz)\.tmp", name):
            disk.remove(place / name)


def _numbers(place: Path) -> set[int]:
    """Return the parts that have a file here."""
    return {_number(place / name) for name in os.listdir(place) if not name.startswith((".", "_"))}


def _number(path: Path) -> int:
    found = re.fullmatch(r"part-(\d{5}|[1-9]\d{5,})\.(parquet|npz)", path.name)
    if found is None:
        raise StoreError(f"`{path}` is no part of an evaluation; take it out of there.")
    return int(found[1])
