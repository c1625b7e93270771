"""Files that are there whole or not at all, whatever ends the process; and a lock that ends with it."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import zlib
from pathlib import Path

UNLOCKABLE = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
"""What file systems without locks answer: there, nothing guards against two writers."""

ITSELF = getattr(os, "O_NOFOLLOW", 0)
"""Not what a symbolic link of this name leads to: somebody else may have put one there."""

PROBE = ".probe"
"""The file that is written for a trial."""

_held: set[int] = set()


def temporary(path: Path) -> Path:
    """Return where a file is until it is whole. Readers of Parquet pass over names that begin with a dot."""
    return path.with_name(f".{path.name}.tmp")


def write(path: Path, data: bytes | memoryview) -> None:
    """Put `data` at `path`. At any moment, and after a power cut, all of the old file is there or all of the new.

    Raises:
        OSError: it cannot be written; also where a link, a device or the like is at `path`, which stays as it is.
    """
    _check_plain(path)
    try:
        _write_through(temporary(path), data)
        os.replace(temporary(path), path)
    except BaseException:
        remove(temporary(path))
        raise
    _sync_directory(path.parent)


def _check_plain(path: Path) -> None:
    """Raise an OSError where a link, a device or the like is at `path`. (The system itself refuses a directory.)"""
    what = no_plain_file(path)
    if what not in ("", "a directory"):
        raise OSError(errno.EEXIST, f"it is {what}" + ", or another file of a special kind" * (what == "a device"))


def no_plain_file(path: Path) -> str:
    """Return what is at `path`, if that is no file that may be replaced; "" if it is one, or nothing is there."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return ""
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    return "" if stat.S_ISREG(mode) else "a directory" if stat.S_ISDIR(mode) else "a device"


def reason(error: Exception) -> str:
    """Return what the system says, or the first line of what a library says."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).strip().split("\n")[0] or type(error).__name__


def checksum(path: Path) -> int:
    """Return the CRC-32 of a file, read piece by piece."""
    total = 0
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            total = zlib.crc32(piece, total)
    return total


def remove(path: Path) -> None:
    """Remove a file if it is there and can be removed."""
    with contextlib.suppress(OSError):
        os.unlink(path)


def probe(directory: Path) -> None:
    """Raise the OSError that a file written to `directory` would meet."""
    try:
        _write_through(directory / PROBE, b"\0" * 4096)
    finally:
        remove(directory / PROBE)


def lock(path: Path) -> int:
    """Take a lock that no other holds, and return its descriptor.

    The kernel lets go of it when the process ends, however it ends.

    Raises:
        BlockingIOError: another process, or another descriptor of this one, holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | ITSELF, 0o666)
    try:
        _lock(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    _held.add(descriptor)
    return descriptor


def unlock(descriptor: int) -> None:
    """Let go of a lock, once."""
    if descriptor in _held:
        _held.remove(descriptor)
        os.close(descriptor)


def holds(descriptor: int, path: Path) -> bool:
    """Tell whether the file at `path` is still the one that was locked."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False))
    except OSError:
        return False


def _lock(descriptor: int) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in UNLOCKABLE:
            raise


def _write_through(path: Path, data: bytes | memoryview) -> None:
    """Write a file that is new: what a killed process left there, or a link that somebody put there, is removed."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | ITSELF, 0o666), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(directory: Path) -> None:
    """Write the directory: a rename lasts once that is done, too."""
    if os.name == "nt":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # of file systems that do not sync directories
            raise
    finally:
        os.close(descriptor)


def _forget_locks() -> None:
    while _held:
        os.close(_held.pop())


if hasattr(os, "register_at_fork"):
    # Workers that a data loader forks outlive a killed parent, and would keep its locks.
    os.register_at_fork(after_in_child=_forget_locks)
