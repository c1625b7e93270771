"""The loop of an evaluation: batches to the device, one ahead of what is computed, and back by groups."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from .._errors import DataError
from .batches import COUNTS, FAILED, Batch, Batches
from .group import Carry, Rows
from .placement import Placement
from .replay import Fed, more_than, pass_over
from .step import Step

AHEAD = 2  # batches that may be under way at once: one is computed while the next is brought


class Group(NamedTuple):
    """Some batches that are under way: what is carried of them, their rows, how many steps, and what this process was
    fed."""

    carry: Carry
    rows: Rows
    steps: int
    fed: Fed


def groups(
    step: Step,
    params: list[Any],
    data: Batches,
    done: Sequence[Fed],
    placed: Placement,
    size: int,
    advance: Callable[[int], None],
    is_watched: bool,
) -> Iterator[Group]:
    """Sends the batches after those that are done through the step, `size` to a group. What they raise comes at the
    end.

    A group is given as soon as its last batch is under way; to look at its numbers is to wait for them. `advance` is
    told how many data are done. If it is watched what is fed, its checksums are known.
    """
    feed, under_way, counts_of = (
        _Feed(data, done, placed.processes),
        _UnderWay(advance, placed.processes),
        _Counts(placed),
    )
    sent = feed.of(under_way)
    while (group := _group(step, params, sent, size, placed, counts_of, under_way, is_watched)).steps:
        yield group
        if group.steps < size:
            break
    under_way.wait()
    if feed.error is not None:
        raise feed.error
    if under_way.failed:
        raise DataError("`batches` failed in another process, which says why; what was done until then is kept.")


def _group(
    step: Step,
    params,
    batches: Iterator[Batch],
    size: int,
    placed: Placement,
    counts_of: _Counts,
    under_way,
    is_watched: bool,
) -> Group:
    group, steps, fed = step.begin(size), 0, Fed()
    for batch in itertools.islice(batches, size):
        leaves, counts = placed.batch(batch.leaves), counts_of(batch.counts)
        group, of_batch = step.advance(params, group, leaves, counts)
        under_way.add(of_batch, batch.counts)
        steps += 1
        if placed.processes == 1 or (batch.counts == COUNTS).any():
            fed = fed.then(batch, is_watched)
    return Group(*step.end(group), steps, fed)


def check_finished(data: Batches, done: Sequence[Fed], processes: int) -> None:
    """Raises a DataError if the batches are not those of an evaluation that came to its end."""
    left = _Feed(data, done, processes).left()
    if next(left, None) is not None:
        raise DataError(more_than(done))


class _Counts:
    """What the rows of a batch count as, on the devices: brought there again only if it is not what it was before."""

    def __init__(self, placed: Placement):
        self._placed = placed
        self._host, self._there = np.empty(0), None

    def __call__(self, counts: np.ndarray) -> Any:
        if not np.array_equal(counts, self._host):
            self._host, (self._there,) = counts, self._placed.batch([counts])
        return self._there


class _Feed:
    """The batches to send, and the error with which they ended, if they did.

    Several processes take every step together, and so must end at the same one. Each sends batches, empty ones if it
    has no more, or such as say that it failed, until it hears of a step in which none had data or one had failed. All
    hear of it `AHEAD` steps later.
    """

    def __init__(self, data: Batches, done: Sequence[Fed], processes: int):
        self._data, self._done, self._together = data, done, processes > 1
        self.error: Exception | None = None

    def of(self, under_way: _UnderWay) -> Iterator[Batch]:
        try:
            for batch in self.left():
                if self._together and (under_way.failed or under_way.idle):
                    return
                yield batch
        except Exception as error:
            self.error = error
        while self._together and not (under_way.failed or under_way.idle):
            yield self._data.nothing(0 if self.error is None else FAILED)

    def left(self) -> Iterator[Batch]:
        """The batches that are not done, of several processes without the empty ones."""
        batches = iter(self._data)
        if self._together:
            batches = (batch for batch in batches if batch.counts.any())
        pass_over(batches, self._done)
        return batches


class _UnderWay:
    """What has been sent to the device and not been waited for.

    Attributes:
        failed: a step was heard of in which a process had failed.
        idle: one was heard of in which there were no data.
    """

    def __init__(self, advance: Callable[[int], None], processes: int):
        self._steps: collections.deque[tuple[Rows, np.ndarray]] = collections.deque()
        self._advance, self._together = advance, processes > 1
        self.failed = self.idle = False

    def add(self, rows: Rows, counts: np.ndarray) -> None:
        """A step; `counts` is what the rows that this process sent count as."""
        self._steps.append((rows, counts))
        while len(self._steps) > AHEAD:
            self._done()

    def wait(self) -> None:
        while self._steps:
            self._done()

    def _done(self) -> None:
        rows, counts = self._steps.popleft()
        jax.block_until_ready(rows)
        if self._together:
            counts = np.asarray(rows.counts)
        self.failed |= bool((counts == FAILED).any())
        data = int((counts == COUNTS).sum())
        self.idle |= data == 0
        self._advance(data)


def one_late(items: Iterator[Any]) -> Iterator[Any]:
    """The same, each only once the next is there (or an error is): by then its numbers are computed."""
    late = None
    try:
        for item in items:
            if late is not None:
                yield late
            late = item
    except Exception:
        if late is not None:
            yield late
        raise
    if late is not None:
        yield late
