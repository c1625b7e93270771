"""Fingerprints of the batches that an evaluation has gone through, so that it is not resumed with other data."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax

from .._errors import DataError, argument, counted
from .batches import COUNTS, Batch
from .run_identity import contents

UNREAD = -1  # a checksum that is not known
SAME = "give the same data, or another directory"


class Fingerprint(NamedTuple):
    """Some batches of one process: how many, how many rows, and a checksum of their numbers, or UNREAD.

    The numbers of arrays that lie on an accelerator are not read: to bring them to the host would keep it waiting.
    """

    batches: int = 0
    rows: int = 0
    checksum: int = 0

    def update(self, batch: Batch, is_read: bool = True) -> Fingerprint:
        """Return that of these batches and one more."""
        is_known = is_read and self.checksum != UNREAD and all(map(_is_on_host, batch.leaves))
        checksum = checksum_of(batch.leaves, self.checksum) if is_known else UNREAD
        return Fingerprint(self.batches + 1, self.rows + int((batch.counts == COUNTS).sum()), checksum)

    def matches(self, other: Fingerprint) -> bool:
        """Say whether both may be of the same batches."""
        unread = UNREAD in (self.checksum, other.checksum)
        return self[:2] == other[:2] and (unread or self.checksum == other.checksum)


def skip_done(batches: Iterator[Batch], done: Sequence[Fingerprint], what: str = "evaluation", fix: str = SAME) -> None:
    """Go through the batches that are done already.

    Arguments:
        batches: all of them.
        done: part by part.
        what, fix: of the error: what went through them before, and what to do.

    Raises:
        DataError: they are not the same, or fewer.
    """
    before = 0
    for part in done:
        found = Fingerprint()
        for batch in itertools.islice(batches, part.batches):
            found = found.update(batch, part.checksum != UNREAD)
        if found.batches < part.batches:
            ended = f"ended after {before + found.batches} of the {_all_batches(done)} that are done already"
            raise DataError(f"`{argument('batches')}` {ended}; {fix}.")
        if not found.matches(part):
            raise DataError(f"{_difference(before, part, found, what)}; {fix}.")
        before += part.batches


def too_many(done: Sequence[Fingerprint]) -> DataError:
    """Return the error about batches that come after those of an evaluation that is finished."""
    ended = f"the {_all_batches(done)} with which the evaluation in `{argument('out')}` came to its end"
    return DataError(f"`{argument('batches')}` goes on after {ended}; {SAME}.")


def _all_batches(done: Sequence[Fingerprint]) -> str:
    return counted(sum(part.batches for part in done), "batch", "batches")


def _difference(before: int, part: Fingerprint, found: Fingerprint, what: str) -> str:
    last = before + part.batches - 1
    one = last == before
    batches, out = f"`{argument('batches')}`", f"`{argument('out')}`"
    if found.rows != part.rows:
        which = f"Batch {before} of {batches} has" if one else f"Batches {before} to {last} of {batches} have"
        change = f"{counted(found.rows, 'row')}, and had {part.rows}"
    else:
        which = f"{f'Batch {before}' if one else f'One of the batches {before} to {last}'} of {batches}"
        change = "is not what it was"
    return f"{which} {change} when the {what} in {out} went through {'it' if one else 'them'}"


def _is_on_host(leaf: Any) -> bool:
    return not isinstance(leaf, jax.Array) or all(device.platform == "cpu" for device in leaf.devices())


def checksum_of(leaves: Iterable[Any], before: int = 0) -> int:
    """Return one of arrays: of the dtype, the shape and the numbers of each."""
    for part in contents(leaves):
        before = zlib.crc32(part, before)
    return before & 0x7FFFFFFF  # other processes are sent it in 32 bits with a sign
