"""One file of the user's, written whole or not at all; what stands against it is a sentence."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..._errors import ArgumentError, StoreError, shown
from . import disk


def path_of(path: Any) -> Path:
    """Return the path of a file.

    Raises:
        ArgumentError: it is no path, or that of a directory.
    """
    if not isinstance(path, str | os.PathLike) or "\0" in os.fsdecode(path) or not Path(os.fsdecode(path)).name:
        raise ArgumentError(f"`path` is {shown(path)}; give the path of a file.")
    return Path(os.fsdecode(path))


def replace(file: Path, data: bytes | memoryview) -> None:
    """Write a file, or put it in place of one that is there.

    Raises:
        StoreError: it cannot be written, or what is there is a link, a directory or a device: it stays as it is.
    """
    _check_plain(file)
    try:
        disk.write(file, data)
    except OSError as error:
        raise _unwritable(file, error) from error


def check(file: Path) -> None:
    """Raise the StoreError that `replace` would meet, as far as a trial in its directory tells."""
    _check_plain(file)
    try:
        disk.probe(file.parent)
    except OSError as error:
        raise _unwritable(file, error) from error


def _check_plain(file: Path) -> None:
    """Refuse what is no file that may be replaced: a link's target would not be written."""
    if what := disk.no_plain_file(file):
        raise StoreError(f"`{file}` is {what}, which is not replaced; give the path of a file.")


def _unwritable(file: Path, error: OSError) -> StoreError:
    return StoreError(f"`{file}` cannot be written: {error.strerror or error}; give another path.")
