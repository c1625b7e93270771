"""What several processes tell each other: what the first found on disk, and the fingerprints of their batches."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils

from .._errors import StoreError
from .fingerprint import Fingerprint
from .group import Totals
from .store import npz
from .totals import from_arrays, to_arrays


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


def _broadcast_bytes(value: bytes) -> bytes:
    """Return the first process's value; the others may give anything."""
    length = int(multihost_utils.broadcast_one_to_all(np.int32(len(value))))
    buffer = np.zeros(length, np.uint8)
    if is_first():
        buffer[:] = np.frombuffer(value, np.uint8)
    return np.asarray(multihost_utils.broadcast_one_to_all(buffer)).astype(np.uint8).tobytes()
