"""Records of steps, in bounded memory: where there are too many, each second one is dropped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

BUDGET = 2**28  # bytes that all records take, about
FEWEST, MOST = 16, 2**17  # records, whatever they take


class Records:
    """The loss and what was kept of some steps: of each, or of each `stride`-th, and always of the last.

    Arguments:
        nbytes: how many bytes a record takes.
        every: each how many steps one is recorded.

    Attributes:
        stride: each how many steps one is held: `every`, times a power of two.
    """

    def __init__(self, nbytes: int, every: int):
        room = max(FEWEST, min(MOST, BUDGET // max(1, nbytes)))
        self.limit = 1 << (room.bit_length() - 1)
        self.stride = every
        self._rows: list[Record] = []
        self._last: Record | None = None

    def add(self, step: int, loss: float, vectors: Mapping[str, np.ndarray]) -> None:
        """Record a step; they come in order."""
        self._last = (step, loss, dict(vectors))
        if step % self.stride == 0:
            self._rows.append(self._last)
        if len(self._rows) > self.limit:
            self.stride *= 2
            self._rows = [row for row in self._rows if row[0] % self.stride == 0]

    def __len__(self) -> int:
        return len(self._held())

    def latest(self, count: int) -> dict[str, np.ndarray]:
        """Return the last records as arrays, with an axis of steps in front."""
        return _arrays(self._held()[-count:])

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all records as arrays with an axis of steps in front: `steps`, `loss`, and the vectors by name."""
        return _arrays(self._held())

    def restore(self, arrays: Mapping[str, np.ndarray], stride: int) -> None:
        """Take in what `arrays` gave, and the stride they were held with."""
        vectors = [name for name in arrays if name not in ("steps", "loss")]
        rows: list[Record] = [
            (int(step), float(arrays["loss"][i]), {name: arrays[name][i] for name in vectors})
            for i, step in enumerate(arrays.get("steps", ()))
        ]
        self.stride, self._last = stride, rows[-1] if rows else None
        self._rows = [row for row in rows if row[0] % stride == 0]

    def _held(self) -> list[Record]:
        last = self._last
        is_held = last is None or bool(self._rows and self._rows[-1][0] == last[0])
        return self._rows if is_held or last is None else [*self._rows, last]


Record = tuple[int, float, dict[str, Any]]


def _arrays(rows: list[Record]) -> dict[str, np.ndarray]:
    names = rows[0][2] if rows else {}
    found = {"steps": np.array([row[0] for row in rows], np.int64), "loss": np.array([row[1] for row in rows])}
    return found | {name: np.stack([row[2][name] for row in rows]) for name in names}
