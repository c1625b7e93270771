"""What one of several processes found on disk, told to all."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils

from .._errors import StoreError
from .group import Carry
from .replay import Fed
from .total import packed, unpacked


class Begun(NamedTuple):
    """What is done before the first batch: of each part what each process was fed, what is known of their data, whether
    it is all."""

    parts: Sequence[Sequence[Fed]] = ()
    total: Carry | None = None
    is_finished: bool = False

    @property
    def data(self) -> int:
        """How many data are done."""
        return 0 if self.total is None else int(self.total.data)

    @property
    def mine(self) -> list[Fed]:
        """Of each part, what this process was fed."""
        return [part[jax.process_index()] for part in self.parts]


def is_first() -> bool:
    return jax.process_index() == 0


def shared(begun: Begun, refusal: StoreError | None, like: Callable[[], Carry]) -> Begun:
    """What the first process has begun with, in all of them. All must call it.

    Raises:
        StoreError: in all of them, if the first was refused.
    """
    said = {"parts": list(begun.parts), "finished": begun.is_finished, "refusal": refusal and str(refusal)}
    file = io.BytesIO()
    arrays = {} if begun.total is None else packed(begun.total)
    np.savez(file, allow_pickle=False, said=np.array(json.dumps(said)), **arrays)
    with np.load(io.BytesIO(_from_first(file.getvalue()))) as found:
        arrays = {name: found[name] for name in found.files}
    said = json.loads(str(arrays.pop("said")))
    if said["refusal"]:
        raise refusal or StoreError(f"The first process was refused: {said['refusal']}")
    parts = [[Fed(*fed) for fed in part] for part in said["parts"]]
    return Begun(parts, unpacked(arrays, like) if arrays else None, said["finished"])


def everyones(fed: Fed) -> list[Fed]:
    """What each process gives, in all of them. All must call it."""
    if jax.process_count() == 1:
        return [fed]
    return [Fed(*numbers) for numbers in multihost_utils.process_allgather(np.array(fed, np.int32)).tolist()]


def _from_first(value: bytes) -> bytes:
    """What the first process gives; the others may give anything."""
    length = int(multihost_utils.broadcast_one_to_all(np.int32(len(value))))
    buffer = np.zeros(length, np.uint8)
    if is_first():
        buffer[:] = np.frombuffer(value, np.uint8)
    return np.asarray(multihost_utils.broadcast_one_to_all(buffer)).astype(np.uint8).tobytes()
