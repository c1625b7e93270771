"""What an evaluation was fed, so that it is not gone on with on other data."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax

from .._errors import DataError, argument, counted
from .batches import COUNTS, Batch
from .identity import contents

UNREAD = -1  # a checksum that is not known
SAME = "give the same data, or another directory"


class Fed(NamedTuple):
    """Some batches of one process: how many, how many rows, and a checksum of their numbers, or UNREAD.

    The numbers of arrays that lie on an accelerator are not read: to bring them to the host would keep it waiting.
    """

    batches: int = 0
    rows: int = 0
    numbers: int = 0

    def then(self, batch: Batch, is_read: bool = True) -> Fed:
        """These, and one more."""
        known = is_read and self.numbers != UNREAD and all(map(_is_near, batch.leaves))
        numbers = _checksum(batch.leaves, self.numbers) if known else UNREAD
        return Fed(self.batches + 1, self.rows + int((batch.counts == COUNTS).sum()), numbers)

    def is_like(self, other: Fed) -> bool:
        """Whether they may be the same."""
        unread = UNREAD in (self.numbers, other.numbers)
        return self[:2] == other[:2] and (unread or self.numbers == other.numbers)


def pass_over(batches: Iterator[Batch], done: Sequence[Fed]) -> None:
    """Goes through the batches that are done already.

    Arguments:
        batches: all of them.
        done: part by part.

    Raises:
        DataError: they are not the same, or fewer.
    """
    before = 0
    for part in done:
        found = Fed()
        for batch in itertools.islice(batches, part.batches):
            found = found.then(batch, part.numbers != UNREAD)
        if found.batches < part.batches:
            ended = f"ended after {before + found.batches} of the {_whole(done)} that are done already"
            raise DataError(f"`{argument('batches')}` {ended}; {SAME}.")
        if not found.is_like(part):
            raise DataError(_unlike(before, part, found))
        before += part.batches


def more_than(done: Sequence[Fed]) -> str:
    """What to say of batches that come after those of an evaluation that came to its end."""
    ended = f"the {_whole(done)} with which the evaluation in `{argument('out')}` came to its end"
    return f"`{argument('batches')}` goes on after {ended}; {SAME}."


def _whole(done: Sequence[Fed]) -> str:
    return counted(sum(part.batches for part in done), "batch", "batches")


def _unlike(before: int, part: Fed, found: Fed) -> str:
    last = before + part.batches - 1
    one = last == before
    batches, out = f"`{argument('batches')}`", f"`{argument('out')}`"
    if found.rows != part.rows:
        which = f"Batch {before} of {batches} has" if one else f"Batches {before} to {last} of {batches} have"
        change = f"{counted(found.rows, 'row')}, and had {part.rows}"
    else:
        which = f"{f'Batch {before}' if one else f'One of the batches {before} to {last}'} of {batches}"
        change = "is not what it was"
    return f"{which} {change} when the evaluation in {out} went through {'it' if one else 'them'}; {SAME}."


def _is_near(leaf: Any) -> bool:
    return not isinstance(leaf, jax.Array) or all(device.platform == "cpu" for device in leaf.devices())


def _checksum(leaves: Sequence[Any], before: int) -> int:
    for part in contents(leaves):
        before = zlib.crc32(part, before)
    return before & 0x7FFFFFFF  # other processes are told it in 32 bits with a sign
