"""What a run leaves on disk: params, state, records and place, in a directory that a killed run leaves whole."""

from __future__ import annotations

import contextlib
import os
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import jax
import jax.numpy as jnp
import numpy as np

from ..._errors import StoreError, argument, listed
from ..._evaluate.run_identity import contents
from ..._evaluate.store import disk
from ..._optional import orbax

SECONDS = 30.0  # at least, between two checkpoints
SHARE = 20  # so many times as long as the last one took, at least
KEPT = 2  # checkpoints, the last ones

FORMAT = 1
"""The version of the layout; it grows with every change that an older jaxwalk would misread."""

CHECKPOINTS, EVALUATIONS, LOCK = "checkpoints", "evaluations", ".lock"


class Saved(NamedTuple):
    """A checkpoint.

    Attributes:
        state: the leaves of params and optimizer's state.
        records: arrays by name.
        about: what JSON can hold.
    """

    state: list[Any]
    records: dict[str, np.ndarray]
    about: dict[str, Any]


class Checkpoints:
    """The checkpoints in a directory. Use as made by `opened`.

    Arguments:
        directory: of the run.
        identity: texts, by what each is about, that must be the same for a run to go on with another.
        manager: orbax's.
    """

    def __init__(self, directory: Path, identity: Mapping[str, str], manager: Any):
        self._directory, self._identity, self._manager = directory, dict(identity), manager
        self._next = time.monotonic() + SECONDS

    @property
    def is_due(self) -> bool:
        """Whether the last checkpoint is old enough for another."""
        return time.monotonic() >= self._next

    def evaluation(self, epoch: int) -> Path:
        """Return where the evaluation at the end of an epoch is."""
        return self._directory / EVALUATIONS / f"epoch_{epoch:06}.npz"

    def save(self, saved: Saved) -> None:
        """Write a checkpoint, whole or not at all.

        Raises:
            StoreError: it cannot be written.
        """
        begun, args = time.monotonic(), orbax().args
        state, records = _named(saved.state), _with_entries(saved.records)
        about = {"format": FORMAT, "identity": self._identity, "recorded": bool(records)}
        about |= {"checksum": _checksum(state, records), **saved.about}
        parts = {"state": args.StandardSave(state), "about": args.JsonSave(about)}
        if records:
            parts["records"] = args.StandardSave(records)
        try:
            number = self._manager.latest_step()
            self._manager.save(0 if number is None else number + 1, args=args.Composite(**parts), force=True)
            self._manager.wait_until_finished()
        except Exception as error:  # what is raised of a full disk is of many kinds
            _unwritable(self._directory, error)
        self._next = time.monotonic() + max(SECONDS, SHARE * (time.monotonic() - begun))

    def restore(self, like: list[Any]) -> Saved | None:
        """Read the last checkpoint, or return None if there is none; `like`: arrays as the state's leaves are.

        Raises:
            StoreError: it is of another run, or damaged.
        """
        number, args = self._manager.latest_step(), orbax().args
        if number is None:
            return None
        with self._refusing():
            about = self._manager.restore(number, args=args.Composite(about=args.JsonRestore()))["about"]
            known = about["identity"]
        if about.get("format") != FORMAT:
            _reject(self._directory, "holds a run of another version of jaxwalk", "read it with that")
        _check_identity(self._directory, known, self._identity)
        with self._refusing():
            parts = {"state": args.StandardRestore(_named(like)), "records": args.StandardRestore()}
            if not about["recorded"]:
                del parts["records"]
            found = self._manager.restore(number, args=args.Composite(**parts))
            state, records = found["state"], dict(found["records"] or {}) if about["recorded"] else {}
            if _checksum(state, records) != about["checksum"]:
                raise ValueError("other numbers")
        leaves = [_wrapped(state[str(i)], leaf) if str(i) in state else leaf for i, leaf in enumerate(like)]
        return Saved(leaves, {name: np.asarray(value) for name, value in records.items()}, about)

    @contextlib.contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # what is raised of a damaged file is of many kinds
            fix = f"restore it, or remove its last folder in `{CHECKPOINTS}`, or give another directory"
            said = f"holds a checkpoint that is damaged: {disk.reason(error)[:200]}"
            raise _rejection(self._directory, said, fix) from error


@contextlib.contextmanager
def opened(
    path: str | os.PathLike[str], resume: bool, identity: Callable[[], Mapping[str, str]]
) -> Iterator[Checkpoints]:
    """Open a directory for checkpoints, with a lock on it.

    Raises:
        StoreError: it is a file, cannot be written, holds something else or a run that is not to be resumed; another
            run writes to it now; orbax-checkpoint is not installed.
    """
    library, directory = orbax(), Path(os.path.abspath(path))
    _make(directory)
    held = _locked(directory)
    try:
        if not resume and _holds_a_run(directory):
            fix = f"give `{argument('resume=True')}` to go on with it, or another directory"
            _reject(directory, "holds a run", fix)
        options = library.CheckpointManagerOptions(max_to_keep=KEPT, enable_async_checkpointing=False, create=True)
        try:
            disk.probe(directory)
            (directory / EVALUATIONS).mkdir(exist_ok=True)
            manager = library.CheckpointManager(directory / CHECKPOINTS, options=options)
        except OSError as error:
            _unwritable(directory, error)
        with manager:
            yield Checkpoints(directory, identity(), manager)
    finally:
        disk.unlock(held)


def _holds_a_run(directory: Path) -> bool:
    place = directory / CHECKPOINTS
    return place.is_dir() and any(name.isdecimal() for name in os.listdir(place))


def _make(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        foreign = sorted({*os.listdir(directory)} - {CHECKPOINTS, EVALUATIONS, LOCK, disk.PROBE})
    except FileExistsError:
        _reject(directory, "is a file", "give a directory")
    except OSError as error:
        _unwritable(directory, error)
    if foreign:
        _reject(directory, f"is not empty and no run: it holds {listed(foreign, 3)}", "give one that is new or empty")


def _locked(directory: Path) -> int:
    try:
        return disk.lock(directory / LOCK)
    except BlockingIOError as error:
        said = "which another run is writing to now; wait until it ends, or give another directory"
        raise StoreError(f"`{argument('out')}` is `{directory}`, {said}.") from error
    except OSError as error:
        _unwritable(directory, error)


def _check_identity(directory: Path, known: Mapping[str, str], given: Mapping[str, str]) -> None:
    """Raise a StoreError that says what has changed; the first of these that has is often why the rest has."""
    changed = [name for name in given if known.get(name) != given[name]]
    if changed:
        name, more = changed[0], f" (and {listed(changed[1:], 4)})" if changed[1:] else ""
        before, after = known.get(name, "not there"), given[name]
        what = (
            f"`{name}` was {before} and is {after}" if max(len(before), len(after)) <= 40 else f"`{name}` has changed"
        )
        said = f"holds a run that cannot be resumed, since {what}{more}"
        _reject(directory, said, "give what it began with, or another directory")


def _rejection(directory: Path, holds: str, fix: str) -> StoreError:
    return StoreError(f"`{argument('out')}` is `{directory}`, which {holds}; {fix}.")


def _reject(directory: Path, holds: str, fix: str) -> NoReturn:
    raise _rejection(directory, holds, fix)


def _unwritable(directory: Path, error: Exception) -> NoReturn:
    said = f"cannot be written: {disk.reason(error)[:200]}"
    raise _rejection(directory, said, "mend that, or give another directory") from error


# Arrays ------------------------------------------------------------------------------------------------------


def _named(leaves: list[Any]) -> dict[str, Any]:
    """Return leaves by number, random keys as their numbers; those without an entry cannot be written, nor need be."""
    return _with_entries({str(i): jax.random.key_data(x) if _is_key(x) else x for i, x in enumerate(leaves)})


def _with_entries(arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {name: array for name, array in arrays.items() if array.size}


def _wrapped(array: Any, like: Any) -> Any:
    return jax.random.wrap_key_data(array, impl=jax.random.key_impl(like)) if _is_key(like) else array


def _is_key(array: Any) -> bool:
    return jnp.issubdtype(array.dtype, jax.dtypes.prng_key)


def _checksum(*parts: Mapping[str, Any]) -> int:
    total = 0
    for arrays in parts:
        for piece in contents(arrays[name] for name in sorted(arrays)):
            total = zlib.crc32(piece, total)
    return total
