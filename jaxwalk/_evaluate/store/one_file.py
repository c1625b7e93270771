"""One file of the user's, written whole or not at all; what stands against it is a sentence."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
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
    with _in_sentences(file):
        disk.write(file, data)


def check(file: Path) -> None:
    """Raise the StoreError that `replace` would meet, as far as a trial in its directory tells."""
    with _in_sentences(file):
        disk.probe(file.parent)


@contextlib.contextmanager
def _in_sentences(file: Path) -> Iterator[None]:
    """Refuse what is no file that may be replaced, as a link whose target would not be written; say what fails."""
    try:
        if what := disk.no_plain_file(file):
            raise StoreError(f"`{file}` is {what}, which is not replaced; give the path of a file.")
        yield
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(f"`{file}` cannot be written: {error.strerror or error}; give another path.") from error
