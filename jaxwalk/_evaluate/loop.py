"""The loop of an evaluation: batches to the device, one ahead of what is computed, and back by groups."""

from __future__ import annotations

import collections
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from .. import _signals
from .._depth import deep_calls
from .batch_checksums import Fingerprint, too_many
from .batches import COUNTS, FAILED
from .feed import Feed, Sent
from .placement import Placement
from .step.step import CompiledStep
from .step.totals import Found, may_be_wrong

AHEAD = 2  # batches that may be in flight at once: one is computed while the next is brought


@dataclasses.dataclass
class Group:
    """Some steps that are in flight.

    Attributes:
        settle: waits for them.
        merged: the states that are merged on the device.
        found: what is found of each that has been waited for, as NumPy's arrays.
        fingerprints: per step, that of this process's batches in it and in those before it.
    """

    settle: Callable[[], None]
    merged: list[Any]
    found: list[Found] = dataclasses.field(default_factory=list)
    fingerprints: list[Fingerprint] = dataclasses.field(default_factory=list)

    def fingerprint(self) -> Fingerprint:
        """Return that of this process's batches, without those of the last steps, if a process had failed in them."""
        self.settle()
        failed = sum((step.rows.counts == FAILED).any() for step in self.found)
        counted = self.fingerprints[: len(self.fingerprints) - failed]
        return counted[-1] if counted else Fingerprint()


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

    def groups(self, feed: Feed) -> Iterator[Group]:
        """Send batches through the step, until they end or `feed` has an error.

        A group is given as soon as its last batch is in flight; to look at its numbers is to wait for them.
        """
        in_flight, on_devices = _InFlight(self), _Counts(self.placed)
        steps = feed.steps(lambda: in_flight.is_over)
        while (group := self._group(steps, in_flight, on_devices)).fingerprints:
            yield group
            if len(group.fingerprints) < self.size:
                break
        in_flight.wait()

    def _group(self, sent: Iterator[Sent], in_flight: _InFlight, on_devices: _Counts) -> Group:
        group = Group(lambda: in_flight.wait(group), self.step.init())
        fingerprint = Fingerprint()
        for batches, leaves, counts in itertools.islice(sent, self.size):
            there = self.params, leaves, on_devices(counts)
            with deep_calls():  # the first one traces and compiles
                found, group.merged = self.step.update(*there, group.merged)
            in_flight.add(_Step(group, there, counts, found))
            if self.is_read:  # it is on its way to the disk
                _signals.saving()
            for batch in batches:
                if self.placed.processes == 1 or (batch.counts == COUNTS).any():
                    fingerprint = fingerprint.update(batch, self.is_read)
            group.fingerprints.append(fingerprint)
        return group


def check_finished(feed: Feed, done: Sequence[Fingerprint]) -> None:
    """Raise a DataError if the batches of `feed` are not those of an evaluation that is finished."""
    if next(feed.remaining(), None) is not None:
        raise too_many(done)


class _Counts:
    """`Batch.counts` as a step takes it: brought to a mesh again only if it is not what it was before."""

    def __init__(self, placed: Placement):
        self._placed = placed
        self._host, self._there = np.empty(0), None

    def __call__(self, counts: np.ndarray) -> Any:
        if not np.array_equal(counts, self._host):
            self._host, (self._there,) = counts, self._placed.batch([counts])
        return self._there


class _Step(NamedTuple):
    """A step that has been sent to the device.

    Attributes:
        group: whose it is.
        there: what the compiled step takes beside the states: params, a batch and its counts.
        counts: those of the batch that this process sent.
        found: what is found of it.
    """

    group: Group
    there: tuple[Any, ...]
    counts: np.ndarray
    found: Found


class _InFlight:
    """What has been sent to the device and not been waited for.

    Attributes:
        is_over: whether a step has been done in which a process had failed, or in which there were no data.
    """

    def __init__(self, loop: Loop):
        self._steps: collections.deque[_Step] = collections.deque()
        self._again, self._advance = loop.step.again, loop.advance
        self._together = loop.placed.processes > 1
        self.is_over = False

    def add(self, step: _Step) -> None:
        self._steps.append(step)
        while len(self._steps) > AHEAD:
            self._finish_one()

    def wait(self, group: Group | None = None) -> None:
        """Wait for all steps, or those of a group and of groups before it."""
        while any(group is None or step.group is group for step in self._steps):
            self._finish_one()

    def _finish_one(self) -> None:
        group, there, counts, found = self._steps.popleft()
        found = jax.device_get(found)
        if self._again is not None and may_be_wrong(found.rows):
            with deep_calls():
                again, group.merged = self._again(*there, group.merged)
            found = jax.device_get(again)
        group.found.append(found)
        counts = found.rows.counts if self._together else counts
        data = int((counts == COUNTS).sum())
        self.is_over |= data == 0 or bool((counts == FAILED).any())
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
