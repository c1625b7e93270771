"""What one of several processes found on disk, told to all."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils

from ._errors import StoreError
from ._group import Carry
from ._total import packed, unpacked


class Begun(NamedTuple):
    """What is done before the first batch: how many batches of each process, what is known of their data, whether it is
    all."""

    batches: Sequence[int] = ()
    total: Carry | None = None
    is_finished: bool = False

    @property
    def data(self) -> int:
        """How many data are done."""
        return 0 if self.total is None else int(self.total.data)


def is_first() -> bool:
    return jax.process_index() == 0


def shared(begun: Begun, refusal: StoreError | None, like: Callable[[], Carry]) -> Begun:
    """What the first process has begun with, in all of them. All must call it.

    Raises:
        StoreError: in all of them, if the first was refused.
    """
    said = {"batches": list(begun.batches), "finished": begun.is_finished, "refusal": refusal and str(refusal)}
    file = io.BytesIO()
    arrays = {} if begun.total is None else packed(begun.total)
    np.savez(file, allow_pickle=False, said=np.array(json.dumps(said)), **arrays)
    with np.load(io.BytesIO(_from_first(file.getvalue()))) as found:
        arrays = {name: found[name] for name in found.files}
    said = json.loads(str(arrays.pop("said")))
    if said["refusal"]:
        raise refusal or StoreError(f"The first process was refused: {said['refusal']}")
    return Begun(said["batches"], unpacked(arrays, like) if arrays else None, said["finished"])


def everyones(number: int) -> list[int]:
    """The number that each process gives, in all of them. All must call it."""
    if jax.process_count() == 1:
        return [number]
    return multihost_utils.process_allgather(np.int32(number)).tolist()


def _from_first(value: bytes) -> bytes:
    """What the first process gives; the others may give anything."""
    length = int(multihost_utils.broadcast_one_to_all(np.int32(len(value))))
    buffer = np.zeros(length, np.uint8)
    if is_first():
        buffer[:] = np.frombuffer(value, np.uint8)
    return np.asarray(multihost_utils.broadcast_one_to_all(buffer)).astype(np.uint8).tobytes()
