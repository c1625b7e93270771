"""The loop of an evaluation: batches to the device, one ahead of what is computed, and back by groups."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from .. import _signals
from .._errors import DataError
from .batch_checksums import Fingerprint, too_many
from .batches import COUNTS, FAILED, Batch, Batches
from .device_totals import GroupState
from .placement import Placement
from .processes import Feed
from .result.ranking import Rows
from .step import CompiledStep

AHEAD = 2  # batches that may be in flight at once: one is computed while the next is brought


class Group(NamedTuple):
    """Some batches that are in flight: what is found of them, in how many steps, and their fingerprint in this
    process."""

    state: GroupState
    steps: int
    fingerprint: Fingerprint


class Loop(NamedTuple):
    """What batches go through.

    Attributes:
        step: the compiled step.
        params: its first argument.
        placed: where arrays are.
        size: how many batches make a group.
        is_read: whether the numbers of batches are read, for their checksums.
        advance: is told how many more data are done.
    """

    step: CompiledStep
    params: list[Any]
    placed: Placement
    size: int
    is_read: bool
    advance: Callable[[int], None]

    def groups(self, data: Batches, done: Sequence[Fingerprint]) -> Iterator[Group]:
        """Send the batches after those that are done through the step. What they raise comes at the end.

        A group is given as soon as its last batch is in flight; to look at its numbers is to wait for them.
        """
        together = self.placed.processes > 1
        feed, in_flight, on_devices = (
            Feed(data, done, together),
            _InFlight(self.advance, together),
            _Counts(self.placed),
        )
        batches = feed.batches(lambda: in_flight.is_over)
        while (group := self._group(batches, in_flight, on_devices)).steps:
            yield group
            if group.steps < self.size:
                break
        in_flight.wait()
        if feed.error is not None:
            raise feed.error
        if in_flight.failed:
            raise DataError("`batches` failed in another process, which says why; what was done until then is kept.")

    def _group(self, batches: Iterator[Batch], in_flight: _InFlight, on_devices: _Counts) -> Group:
        state, steps, fingerprint = self.step.init(self.size), 0, Fingerprint()
        for batch in itertools.islice(batches, self.size):
            leaves, counts = self.placed.batch(batch.leaves), on_devices(batch.counts)
            state, rows = self.step.update(self.params, state, leaves, counts)
            in_flight.add(rows, batch.counts)
            steps += 1
            if self.is_read:  # it is on its way to the disk
                _signals.saving()
            if self.placed.processes == 1 or (batch.counts == COUNTS).any():
                fingerprint = fingerprint.update(batch, self.is_read)
        return Group(state, steps, fingerprint)


def check_finished(data: Batches, done: Sequence[Fingerprint], processes: int) -> None:
    """Raise a DataError if the batches are not those of an evaluation that is finished."""
    if next(Feed(data, done, processes > 1).remaining(), None) is not None:
        raise too_many(done)


class _Counts:
    """`Batch.counts` on the devices: brought there again only if it is not what it was before."""

    def __init__(self, placed: Placement):
        self._placed = placed
        self._host, self._there = np.empty(0), None

    def __call__(self, counts: np.ndarray) -> Any:
        if not np.array_equal(counts, self._host):
            self._host, (self._there,) = counts, self._placed.batch([counts])
        return self._there


class _InFlight:
    """What has been sent to the device and not been waited for.

    Attributes:
        failed: whether a step has been done in which a process had failed.
        is_over: whether there was such a step, or one in which there were no data.
    """

    def __init__(self, advance: Callable[[int], None], together: bool):
        self._steps: collections.deque[tuple[Rows, np.ndarray]] = collections.deque()
        self._advance, self._together = advance, together
        self.failed = self.is_over = False

    def add(self, rows: Rows, counts: np.ndarray) -> None:
        """Add a step; `counts` are those of the batch that this process sent."""
        self._steps.append((rows, counts))
        while len(self._steps) > AHEAD:
            self._finish_one()

    def wait(self) -> None:
        while self._steps:
            self._finish_one()

    def _finish_one(self) -> None:
        rows, counts = self._steps.popleft()
        jax.block_until_ready(rows)
        if self._together:
            counts = np.asarray(rows.counts)
        self.failed |= bool((counts == FAILED).any())
        data = int((counts == COUNTS).sum())
        self.is_over |= self.failed or data == 0
        self._advance(data)


def one_behind(items: Iterator[Any]) -> Iterator[Any]:
    """Give each item only once the next is there, or an error is: by then its numbers are computed."""
    late, error = None, None
    while True:
        try:
            item = next(items)
        except BaseException as raised:  # Ctrl-C too
            error = raised
            break
        if late is not None:
            yield late
        late = item
    if late is not None:
        yield late
    if not isinstance(error, StopIteration):
        raise error
