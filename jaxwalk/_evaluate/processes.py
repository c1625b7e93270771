"""What several processes tell each other: they take every step together, so what ends one must end all."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils

from .._errors import ArgumentError, DataError, JaxwalkError, PointError, ProcessError, StoreError, counted, first_line
from .._jax.leaves import is_array
from .batch_checksums import Fingerprint, checksum_of
from .step.host_totals import from_arrays, to_arrays
from .step.totals import Totals
from .store import npz

TEXT = 1200  # bytes, at most, of what a process says
OURS = {kind.__name__: kind for kind in (ArgumentError, DataError, PointError, StoreError, ProcessError)}


class Resumed(NamedTuple):
    """What is done before the first batch.

    Attributes:
        parts: of each part, the fingerprint of each process's batches.
        totals: of their data; None if there are none.
        is_finished: whether it is all.
    """

    parts: Sequence[Sequence[Fingerprint]] = ()
    totals: Totals | None = None
    is_finished: bool = False

    @property
    def data(self) -> int:
        """How many data are done."""
        return 0 if self.totals is None else int(self.totals.data)

    def of_process(self, together: bool) -> list[Fingerprint]:
        """Return, of each part, the fingerprint of this process's batches."""
        return [part[jax.process_index() if together else 0] for part in self.parts]


def is_first() -> bool:
    return jax.process_index() == 0


# Each of these must be called by all processes that evaluate together, in one order --------------------------


@contextlib.contextmanager
def agreed(together: bool) -> Iterator[None]:
    """Run the `with` block in every process, or fail in every.

    Raises:
        Whatever the block raises; where it is another process that fails, a sentence that says so: of the same class if
        that is one of jaxwalk's, and else a ProcessError.
    """
    try:
        yield
    except BaseException as error:
        if together:
            with contextlib.suppress(ProcessError):  # the others may be gone
                _said_by_all(_description(error))
        raise
    for process, text in enumerate(_said_by_all("") if together else []):
        if text:
            raise _error_of(process, **json.loads(text))


def check_alike(options: str, checksums: Mapping[str, int]) -> None:
    """Raise an ArgumentError in all processes where they are not called alike, or with other params.

    `checksums`: of what must be the same, as of `checksums_of`.
    """
    called = _said_by_all(options)
    for process, other in enumerate(called):
        if other != called[0]:
            both = f"with {other} in process {process}, and with {called[0]} in process 0"
            raise ArgumentError(f"`evaluate` is called {both}; give the same in all, since they take steps together.")
    with taken_together():
        _check_same(checksums)


def _check_same(checksums: Mapping[str, int]) -> None:
    names, numbers = list(checksums), np.array([*checksums.values()], np.int32)
    counts = np.asarray(multihost_utils.process_allgather(np.array([len(names), checksum_of([numbers])], np.int32)))
    if (counts == counts[0]).all():
        return
    fix = "give the same in all, since each computes its part of every step with its own"
    for process, (count, _) in enumerate(counts.tolist()):
        if count != counts[0, 0]:
            both = f"{counted(count, 'leaf', 'leaves')} in process {process}, and {counts[0, 0]} in process 0"
            raise ArgumentError(f"`params`, with what `fun` closes over, has {both}; {fix}.")
    everyone = np.asarray(multihost_utils.process_allgather(numbers))
    process, place = np.argwhere(everyone != everyone[0])[0]
    many = int((everyone != everyone[0]).any(0).sum()) - 1
    more = f", nor are {many} more" if many else ""
    raise ArgumentError(f"{names[place]} is not the same in process {process} as in process 0{more}; {fix}.")


def checksums_of(params: Any, constants: Sequence[Any]) -> dict[str, int]:
    """Return a checksum of each leaf of `params`, and of each array that the function closes over, by what it is.

    It tells numbers, shapes, dtypes and texts; of an array that is divided among processes not the numbers, of which
    each has a part; of other objects the type.
    """
    leaves = {
        f"`params{jax.tree_util.keystr(path)}`": leaf for path, leaf in jax.tree_util.tree_leaves_with_path(params)
    }
    closed_over = {f"Array {i} of those that `fun` closes over": array for i, array in enumerate(constants)}
    return {name: checksum_of([_told(leaf)]) for name, leaf in (leaves | closed_over).items()}


def _told(leaf: Any) -> Any:
    """Return the array that stands for a leaf."""
    if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
        if leaf.is_fully_replicated:
            return leaf.addressable_shards[0].data
        return _text(f"{leaf.dtype}{leaf.shape}")
    if is_array(leaf):
        return leaf
    is_plain = isinstance(leaf, (bool, int, float, complex, str, bytes))
    return _text(f"{type(leaf).__qualname__} {leaf!r}" if is_plain else type(leaf).__qualname__)


def _text(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)


def broadcast(resumed: Resumed, like: Callable[[], Totals]) -> Resumed:
    """Return what the first process resumes, in all of them."""
    header = {"parts": list(resumed.parts), "finished": resumed.is_finished}
    packed = npz.pack(header, {} if resumed.totals is None else to_arrays(resumed.totals))
    with taken_together():
        header, arrays = npz.unpack(io.BytesIO(_broadcast_bytes(packed)))
    parts = [[Fingerprint(*one) for one in part] for part in header["parts"]]
    return Resumed(parts, from_arrays(arrays, like) if arrays else None, header["finished"])


def gather(fingerprint: Fingerprint, together: bool) -> list[Fingerprint]:
    """Return that of each process, in all of them."""
    if not together:
        return [fingerprint]
    gathered = multihost_utils.process_allgather(np.array(fingerprint, np.int32))
    return [Fingerprint(*numbers) for numbers in gathered.tolist()]


_looks = itertools.count(1)  # in every process the same number, since all take the same steps


def is_preempted() -> bool:
    """Tell whether a process has been sent SIGTERM, which under `jax.distributed` does not end it: at the same step in
    all of them."""
    try:
        return multihost_utils.reached_preemption_sync_point(next(_looks))
    except RuntimeError:  # JAX does not listen for it; then SIGTERM ends the process
        return False


@contextlib.contextmanager
def taken_together(together: bool = True) -> Iterator[None]:
    """Turn what JAX raises of a step, as where another process is gone, into a sentence.

    Raises:
        ProcessError: of anything raised in the block but jaxwalk's own errors and Ctrl-C.
    """
    try:
        yield
    except Exception as error:
        if not together or isinstance(error, JaxwalkError):
            raise
        failed = f"A step that all processes take together failed: {first_line(error)}"
        fix = "if another process has ended, start all of them again, with `resume=True` where there is an `out`"
        raise ProcessError(f"{failed}; {fix}.") from error


def _description(error: BaseException) -> str:
    kind, text = type(error).__name__, str(error)
    if not isinstance(error, JaxwalkError):
        kind, text = "", f"{kind}: {first_line(error)}; mend that there." if str(error) else f"{kind}; mend that there."
    if not isinstance(error, Exception):
        text = f"{type(error).__name__}; call it again, with `resume=True` where there is an `out`."
    while len(said := json.dumps({"kind": kind, "text": text})) > TEXT:
        text = text[: len(text) // 2] + "…"
    return said


def _error_of(process: int, kind: str, text: str) -> JaxwalkError:
    what = f"`evaluate` failed in process {process}, and so ends in all: {text}"
    return OURS.get(kind, ProcessError)(what)


def _said_by_all(text: str) -> list[str]:
    mine = np.frombuffer(text.encode()[:TEXT].ljust(TEXT, b"\0"), np.uint8)
    with taken_together():
        everyone: Any = np.asarray(multihost_utils.process_allgather(mine)).astype(np.uint8)
    return [bytes(one).rstrip(b"\0").decode(errors="ignore") for one in everyone]


def _broadcast_bytes(value: bytes) -> bytes:
    """Return the first process's value; the others may give anything."""
    length = int(multihost_utils.broadcast_one_to_all(np.int32(len(value))))
    buffer = np.zeros(length, np.uint8)
    if is_first():
        buffer[:] = np.frombuffer(value, np.uint8)
    return np.asarray(multihost_utils.broadcast_one_to_all(buffer)).astype(np.uint8).tobytes()
