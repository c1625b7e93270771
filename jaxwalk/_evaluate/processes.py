"""What several processes tell each other, and when they end: all of them at the same step."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils

from .. import _signals
from .._errors import StoreError
from .batch_checksums import Fingerprint, skip_done
from .batches import FAILED, Batch, Batches
from .device_totals import Totals
from .host_totals import from_arrays, to_arrays
from .store import npz


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

    @property
    def mine(self) -> list[Fingerprint]:
        """Of each part, the fingerprint of this process's batches."""
        return [part[jax.process_index()] for part in self.parts]


def is_first() -> bool:
    return jax.process_index() == 0


def broadcast(resumed: Resumed, refusal: StoreError | None, like: Callable[[], Totals]) -> Resumed:
    """Return what the first process resumes, in all of them. All must call it.

    Raises:
        StoreError: in all of them, if the first was refused.
    """
    header = {"parts": list(resumed.parts), "finished": resumed.is_finished, "refusal": refusal and str(refusal)}
    packed = npz.pack(header, {} if resumed.totals is None else to_arrays(resumed.totals))
    header, arrays = npz.unpack(io.BytesIO(_broadcast_bytes(packed)))
    if header["refusal"]:
        raise refusal or StoreError(f"The first process was refused: {header['refusal']}")
    parts = [[Fingerprint(*one) for one in part] for part in header["parts"]]
    return Resumed(parts, from_arrays(arrays, like) if arrays else None, header["finished"])


def gather(fingerprint: Fingerprint) -> list[Fingerprint]:
    """Return that of each process, in all of them. All must call it."""
    if jax.process_count() == 1:
        return [fingerprint]
    gathered = multihost_utils.process_allgather(np.array(fingerprint, np.int32))
    return [Fingerprint(*numbers) for numbers in gathered.tolist()]


class Feed:
    """The batches to send, and the error with which they ended, if they did.

    Several processes (`together`) take every step together, and so must end at the same one. A process that has no
    more batches sends empty ones; one that failed sends batches that say so. Each goes on until it learns of a step in
    which a process had failed or none had data. All learn of it a few steps later (`loop.AHEAD`).
    """

    def __init__(self, data: Batches, done: Sequence[Fingerprint], together: bool):
        self._data, self._done, self._together = data, done, together
        self._rest: Iterator[Batch] | None = None
        self.error: BaseException | None = None

    def batches(self, is_over: Callable[[], bool]) -> Iterator[Batch]:
        """Yield the batches to send, until `is_over` says that all processes end."""
        while (batch := self._next()) is not None:
            if self._together and is_over():
                return
            yield batch
        while self._together and not is_over():
            yield self._data.empty(0 if self.error is None else FAILED)

    def _next(self) -> Batch | None:
        """Return the next batch, or None where they end; Ctrl-C ends them as an error does."""
        try:
            with _signals.handled():
                self._rest = self.remaining() if self._rest is None else self._rest
                return next(self._rest, None)
        except BaseException as error:
            self.error = error
            return None

    def remaining(self) -> Iterator[Batch]:
        """Return the batches that are not done, of several processes without the empty ones."""
        batches = iter(self._data)
        if self._together:
            batches = (batch for batch in batches if batch.counts.any())
        skip_done(batches, self._done)
        return batches


def _broadcast_bytes(value: bytes) -> bytes:
    """Return the first process's value; the others may give anything."""
    length = int(multihost_utils.broadcast_one_to_all(np.int32(len(value))))
    buffer = np.zeros(length, np.uint8)
    if is_first():
        buffer[:] = np.frombuffer(value, np.uint8)
    return np.asarray(multihost_utils.broadcast_one_to_all(buffer)).astype(np.uint8).tobytes()
