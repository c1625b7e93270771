"""The loop of an evaluation: batches to the device, one ahead of what is computed, and back by groups."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from ._batches import COUNTS, FAILED, Batch, Batches
from ._errors import DataError
from ._placement import Placement
from ._step import Carry, Rows, Step

AHEAD = 2  # batches that may be under way at once: one is computed while the next is brought


class Group(NamedTuple):
    """Some batches that are under way: what is carried of them, the rows of each if they are wanted, and how many."""

    carry: Carry
    rows: list[Rows]
    batches: int


def groups(
    step: Step,
    params: list[Any],
    data: Batches,
    skipped: int,
    placed: Placement,
    size: int,
    with_rows: bool,
    advance: Callable[[int], None],
) -> Iterator[Group]:
    """Sends the batches after those to skip through the step, `size` to a group. What they raise comes at the end.

    A group is given as soon as its last batch is under way; to look at its numbers is to wait for them. `advance` is
    told how many data are done.
    """
    feed, under_way = _Feed(data.after(skipped), data.nothing, placed.processes), _UnderWay(advance)
    sent = feed.of(under_way)
    while (group := _group(step, params, itertools.islice(sent, size), placed, with_rows, under_way)).batches:
        yield group
        if group.batches < size:
            break
    under_way.wait()
    if feed.error is not None:
        raise feed.error


def _group(step: Step, params, batches: Iterator[Batch], placed: Placement, with_rows: bool, under_way) -> Group:
    carry, rows, sent = step.start(), [], 0
    for batch in batches:
        *leaves, counts = placed.batch([*batch.leaves, batch.counts])
        carry, of_batch = step.advance(params, carry, leaves, counts)
        rows += [of_batch] if with_rows else []
        under_way.add(of_batch)
        sent += 1
    return Group(carry, rows, sent)


class _Feed:
    """The batches to send, and the error with which they ended, if they did.

    Several processes take every step together: one that has no more batches sends empty ones as long as any other has
    some; one whose batches fail says so to the others, until all have heard it.
    """

    def __init__(self, batches: Iterator[Batch], empty: Callable[[int], Batch], processes: int):
        self._batches, self._empty, self._processes = batches, empty, processes
        self.error: Exception | None = None

    def of(self, under_way: _UnderWay) -> Iterator[Batch]:
        try:
            yield from self._batches
        except Exception as error:
            self.error = error
        if self._processes > 1:
            yield from self._with_the_others(under_way)

    def _with_the_others(self, under_way: _UnderWay) -> Iterator[Batch]:
        if self.error is not None:
            yield from itertools.repeat(self._empty(FAILED), AHEAD + 1)
            return
        while under_way.wait() != 0:
            yield self._empty(0)


class _UnderWay:
    """What has been sent to the device and not been waited for."""

    def __init__(self, advance: Callable[[int], None]):
        self._steps: collections.deque[Rows] = collections.deque()
        self._advance = advance
        self._last: int | None = None

    def add(self, rows: Rows) -> None:
        self._steps.append(rows)
        while len(self._steps) > AHEAD:
            self._done()

    def wait(self) -> int | None:
        """Until all is done. How many data there were in the last step, if there was one."""
        while self._steps:
            self._done()
        return self._last

    def _done(self) -> None:
        counts = np.asarray(jax.block_until_ready(self._steps.popleft()).counts)
        if (counts == FAILED).any():
            raise DataError("`batches` failed in another process, which says why; what was done until then is kept.")
        self._last = int((counts == COUNTS).sum())
        self._advance(self._last)


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
