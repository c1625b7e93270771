"""A directory for an evaluation: that it is free, or holds this very evaluation, and can be written."""

from __future__ import annotations

import errno
import json
import os
import stat
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ..._errors import StoreError, argument, listed
from . import disk

FORMAT = 1
"""The version of the layout; it grows with every change that an older jaxwalk would misread."""

KEY, OLD_KEY = "jaxwalk store", "jaxwalk evaluation"
"""The keys of FORMAT in the manifest; the old one is that of a saved `Evaluation` too."""

CHECKSUM = "checksum"

PLACES = ("rows", "state")

METHOD, OF_METHOD = "function and method", " of the method"
"""What an identity calls a method of attribution; and behind their names, its options."""

BECAUSE = {
    "walk of a batch": ("function", METHOD, "points", "batch size"),
    "statistics": ("function", METHOD, "points"),
    "function": (METHOD,),
    "params": (METHOD,),  # what a method closes over is among them
    "first batch": ("batch size",),
}
"""What an error does not name as changed where one of these others has changed too."""

VERSIONS = ("jax", "jaxwalk")
"""What, where it has changed, is why something that was not looked at before is looked at now."""

BEFORE_THE_MANIFEST = {".lock", disk.PROBE, ".manifest.json.tmp", *PLACES}
"""What a process that ended before it wrote the manifest may leave."""


def check(directory: Path, resume: bool) -> None:
    """Look, without writing, whether an evaluation can be written to a directory, or gone on with.

    Raises:
        StoreError: it is a file, cannot be made or read, holds something else than a whole evaluation, or one that is
            not to be resumed.
    """
    directory = Path(os.path.abspath(directory))
    try:
        is_directory = stat.S_ISDIR(os.stat(directory).st_mode)
    except FileNotFoundError:
        _check_link(directory)
        above = next(place for place in directory.parents if place.exists())
        if not os.access(above, os.W_OK | os.X_OK):
            unwritable(directory, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))
        return
    except OSError as error:
        unwritable(directory, error)
    if not is_directory:
        reject(directory, "is a file", "give a directory")
    _check_held(directory)
    check_resumed(directory, read_manifest(directory), resume)


def make(directory: Path) -> None:
    """Make the directory if it is not there.

    Raises:
        StoreError: it is a file, cannot be made, or holds something else than a whole evaluation.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        _check_link(directory)
        reject(directory, "is a file", "give a directory")
    except OSError as error:
        unwritable(directory, error)
    _check_held(directory)


def _check_link(directory: Path) -> None:
    """Raise a StoreError where a symbolic link leads to nothing that is there."""
    if directory.is_symlink() and not directory.exists():
        reject(directory, "is a symbolic link to what is not there", "give a directory, or mend the link")


def _check_held(directory: Path) -> None:
    try:
        foreign = _foreign(directory) if read_manifest(directory) is None else []
    except StoreError:
        raise
    except OSError as error:
        unwritable(directory, error)
    if foreign:
        holds = f"is not empty and no evaluation: it holds {listed(foreign, 3)}"
        reject(directory, holds, "give a directory that is new or empty")


def check_resumed(directory: Path, manifest: Mapping[str, Any] | None, resume: bool) -> None:
    """Raise a StoreError where the directory has a manifest and the evaluation is not to be resumed."""
    if manifest is not None and not resume:
        fix = f"give `{argument('resume=True')}` to go on with it, or another directory"
        reject(directory, "holds an evaluation", fix)


def _manifest(directory: Path) -> Path:
    return directory / "manifest.json"


def _foreign(directory: Path) -> list[str]:
    inside = [place for place in PLACES if (directory / place).exists() and not (directory / place).is_symlink()]
    names = [*os.listdir(directory), *(f"{place}/{name}" for place in inside for name in os.listdir(directory / place))]
    is_ours = lambda path: path.name in BEFORE_THE_MANIFEST and not path.is_symlink()
    return sorted(name for name in names if not is_ours(directory / name))


def lock(directory: Path) -> int:
    """Take a lock on the directory, for `disk.unlock`.

    Raises:
        StoreError: another has it; the directory cannot be written.
    """
    try:
        return disk.lock(directory / ".lock")
    except BlockingIOError as error:
        is_taken = f"`{argument('out')}` is `{directory}`, which another evaluation is writing now"
        raise StoreError(f"{is_taken}; wait until it ends, or give another directory.") from error
    except OSError as error:
        unwritable(directory, error)


def prepare(directory: Path, identity: Mapping[str, str]) -> None:
    """Make the places for parts, write to each for a trial, and put the manifest there.

    Raises:
        StoreError: that does not succeed.
    """
    try:
        for place in (directory, *(directory / name for name in PLACES)):
            place.mkdir(exist_ok=True)
            disk.probe(place)
        if not _manifest(directory).exists():
            write_manifest(directory, identity, None)
    except OSError as error:
        unwritable(directory, error)


def write_manifest(directory: Path, identity: Mapping[str, str], finished: Mapping[str, Any] | None) -> None:
    """Say that the directory holds an evaluation, and what it ended with."""
    disk.write(_manifest(directory), _encoded({KEY: FORMAT, "identity": dict(identity), "finished": finished}))


def _encoded(manifest: Mapping[str, Any]) -> bytes:
    """Return the bytes of a manifest, with a checksum of what it says."""
    checksum = zlib.crc32(json.dumps(manifest, sort_keys=True).encode())
    return json.dumps({**manifest, CHECKSUM: checksum}, indent=1).encode()


def _is_intact(content: bytes, manifest: Mapping[str, Any]) -> bool:
    """Tell whether a manifest is as it was written. Older ones have no checksum."""
    said = {key: value for key, value in manifest.items() if key != CHECKSUM}
    known = said.keys() <= {KEY, OLD_KEY, "identity", "finished"}
    return known and (CHECKSUM not in manifest or _encoded(said) == content)


def read_manifest(directory: Path) -> dict[str, Any] | None:
    """Return the `identity` and `finished` of the evaluation in the directory, or None where there is none.

    Raises:
        StoreError: the manifest is damaged, or of a newer jaxwalk.
    """
    try:
        content = _manifest(directory).read_bytes()
        manifest = json.loads(content)
        version = manifest[KEY if KEY in manifest else OLD_KEY]
        is_whole = isinstance(version, int) and _is_whole(manifest["identity"], manifest["finished"])
        is_whole = is_whole and _is_intact(content, manifest)
    except FileNotFoundError:
        return None
    except OSError as error:
        unwritable(directory, error)
    except (ValueError, LookupError, TypeError, RecursionError):
        manifest, version, is_whole = {}, FORMAT, False
    if isinstance(version, int) and version > FORMAT:
        holds = f"holds an evaluation of format {version}, newer than this jaxwalk, which reads format {FORMAT}"
        reject(directory, holds, "install a newer jaxwalk, or give another directory")
    if not is_whole:
        reject(
            directory,
            "holds a `manifest.json` that is damaged, or of something else",
            "restore it, or give another directory",
        )
    return manifest


def _is_whole(identity: Any, finished: Any) -> bool:
    texts = isinstance(identity, dict) and all(isinstance(text, str) for text in identity.values())
    if finished is None or not texts:
        return texts
    return isinstance(finished["parts"], int) and isinstance(finished["header"], dict)


def check_identity(directory: Path, known: Mapping[str, str], given: Mapping[str, str]) -> None:
    """Raise a StoreError that says what of the identity has changed, if anything has."""
    changed = [name for name in {**known, **given} if known.get(name) != given.get(name)]
    if changes := [_change(name, known, given) for name in changed if not _is_explained(name, changed, known, given)]:
        holds = f"holds an evaluation that cannot be resumed, since {', '.join(changes)}"
        reject(directory, holds, "give what it began with, or another directory")


def _is_explained(name: str, changed: Sequence[str], known: Mapping[str, str], given: Mapping[str, str]) -> bool:
    """Say whether another change is why this differs, so that it need not be said: not where its title differs too."""
    title = lambda identity: identity.get(name, "").partition(" (")[0] if name in ("statistics", METHOD) else ""
    return title(known) == title(given) and any(other in changed for other in _reasons(name, changed, known, given))


def _reasons(name: str, changed: Sequence[str], known: Mapping[str, str], given: Mapping[str, str]) -> Sequence[str]:
    """Return what else may be why this differs."""
    if name == METHOD:
        return [other for other in changed if other.endswith(OF_METHOD) and other in known and other in given]
    if name.endswith(OF_METHOD) and not (name in known and name in given):
        return METHOD, *VERSIONS
    return BECAUSE.get(name, VERSIONS if name not in known and name not in VERSIONS else ())


def _change(name: str, known: Mapping[str, str], given: Mapping[str, str]) -> str:
    before, after = known.get(name, "not there"), given.get(name, "not there")
    is_short = max(len(before), len(after)) <= 40
    return f"`{argument(name)}` was {before} and is {after}" if is_short else f"`{name}` has changed"


def reject(directory: Path, holds: str, fix: str) -> NoReturn:
    """Raise the StoreError about `out`."""
    raise StoreError(f"`{argument('out')}` is `{directory}`, which {holds}; {fix}.")


def unwritable(directory: Path, error: OSError) -> NoReturn:
    """Raise the StoreError about a directory that cannot be written."""
    reason, remedy = cause(error)
    fix = f"{remedy}, or give another directory"
    raise StoreError(f"`{argument('out')}` is `{directory}`, which cannot be written: {reason}; {fix}.") from error


def cause(error: OSError) -> tuple[str, str]:
    """Return why the system did not write, and what to do."""
    is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return disk.reason(error), "free space there" if is_full else "mend that"
