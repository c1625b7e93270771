"""The batches to send, joined where they are small; and the error with which they ended, told to other processes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import _signals
from .._errors import ProcessError
from .batch_checksums import Fingerprint, skip_done
from .batches import COUNTS, FAILED, Batch, Batches, padded
from .placement import Placement
from .processes import is_preempted

PREEMPTED = (
    "A process was sent SIGTERM, so `evaluate` ends in all; call it again, with `resume=True` if there is `out`."
)


class Sent(NamedTuple):
    """What a step takes.

    Attributes:
        batches: those that come with it, as `Batches` gives them.
        leaves: their arrays, one batch after the other, on the devices.
        counts: as of `Batch`.
    """

    batches: list[Batch]
    leaves: list[Any]
    counts: np.ndarray


class Feed:
    """The batches to send, and the error with which they ended, if they did.

    Several processes (of `placed`) take every step together, and so must end at the same one. A process that has no
    more batches sends empty ones; one that failed sends batches that say so, and no data count in these steps. Each
    goes on until it learns of a step in which a process had failed or none had data. All learn of it a few steps later
    (`loop.AHEAD`).

    Arguments:
        data: the batches.
        done: fingerprints of those that are done.
        placed: where they go.
        rows: how many a step takes, of this process. Batches are joined as long as another one fits.
    """

    def __init__(self, data: Batches, done: Sequence[Fingerprint], placed: Placement, rows: int):
        self._data, self._done, self._placed, self._rows = data, done, placed, rows
        self._together = placed.processes > 1
        self._rest: Iterator[Batch] | None = None
        self.error: BaseException | None = None

    def steps(self, is_over: Callable[[], bool]) -> Iterator[Sent]:
        """Yield what to send, until `is_over` says that all processes end."""
        while not (self._together and is_over()):
            if self._together and is_preempted():
                self.error = self.error or ProcessError(PREEMPTED)
            step = self._next() if self.error is None else None
            if step is None and not self._together:
                return
            yield step or self._placed_step([self._data.empty(0 if self.error is None else FAILED)])

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Let what the `with` block raises end all processes at the same step, where there are several."""
        try:
            yield
        except BaseException as error:
            if not self._together:
                raise
            self.error = self.error or error

    def remaining(self) -> Iterator[Batch]:
        """Return the batches that are not done, of several processes without the empty ones."""
        batches = iter(self._data)
        if self._together:
            batches = (batch for batch in batches if batch.counts.any())
        skip_done(batches, self._done)
        return batches

    def _next(self) -> Sent | None:
        """Return the next batches, as many as fit, or None where they end."""
        taken, room = [], self._rows
        while room >= self._data.size and (batch := self._batch()) is not None:
            taken.append(batch)
            room -= _length(batch)
        try:
            return self._placed_step(taken) if taken else None
        except BaseException as error:
            self.error = error
            return None

    def _batch(self) -> Batch | None:
        """Return the next batch, or None where they end; Ctrl-C ends them as an error does."""
        try:
            with _signals.handled():
                self._rest = self.remaining() if self._rest is None else self._rest
                return next(self._rest, None)
        except BaseException as error:
            self.error = error
            return None

    def _placed_step(self, batches: list[Batch]) -> Sent:
        for batch in batches:
            self._placed.check(batch.leaves)
        joined = batches[0] if len(batches) == 1 and self._rows == self._data.size else _joined(batches, self._rows)
        return Sent(batches, self._placed.batch(joined.leaves), joined.counts)


def _joined(batches: Sequence[Batch], rows: int) -> Batch:
    """Return the data of the batches as one of `rows` rows."""
    parts = [[np.asarray(leaf)[: _length(batch)] for leaf in batch.leaves] for batch in batches]
    leaves = [padded(np.concatenate(leaf), rows) for leaf in zip(*parts, strict=True)]
    return Batch(leaves, (np.arange(rows) < sum(map(_length, batches))).astype(np.int8))


def _length(batch: Batch) -> int:
    return int((batch.counts == COUNTS).sum())
