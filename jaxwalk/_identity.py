"""What makes two evaluations the same: so that one is not gone on with as if it were another."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._points import Points
from ._stage import Staged


def identity(staged: Staged, params: Iterable[Any], points: Points, **others: object) -> dict[str, str]:
    """By what it is about, a string that differs where that does.

    The function is its traced program, with the arrays that it closes over; where it stands in the source does not
    matter.
    """
    program = re.sub(r"0x[0-9a-f]+", "0x", str(staged.closed.jaxpr))  # functions within are shown by their address
    function = _digest([program.encode(), *_contents(staged.closed.consts)])
    said = {"function": function, "params": _digest(_contents(params)), "points": ", ".join(points)}
    return said | {name.replace("_", " "): str(value) for name, value in others.items()}


def _digest(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()[:32]


def _contents(arrays: Iterable[Any]) -> Iterable[bytes]:
    """Of each array its dtype, its shape and its numbers; of one divided among processes, those that are here."""
    for array in arrays:
        if isinstance(array, jax.Array) and jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
            array = jax.random.key_data(array)
        parts = array.addressable_shards if isinstance(array, jax.Array) and not array.is_fully_addressable else None
        for part in [array] if parts is None else [shard.data for shard in parts]:
            part = np.asarray(part)
            yield f"{part.dtype}{part.shape}".encode()
            yield np.ascontiguousarray(part).tobytes()
