"""Cuts names that are too long in the middle of their path: "encoder/…/attn/q"."""

from __future__ import annotations

import collections
import re
from collections.abc import Iterator, Sequence

Parts = tuple[str, ...]


def short_paths(names: Sequence[str], width: int) -> list[str]:
    """Return the names, those longer than `width` with parts in the middle left out.

    What is left of a name is that of no other: where its first and last parts do not tell it apart, others are left,
    and where none do, it stays whole.

    >>> short_paths(["net/h/0/attn/q", "net/h/0/attn/k", "net/h/1/attn/q"], 12)
    ['…/h/0/attn/q', '…/h/0/attn/k', '…/h/1/attn/q']
    >>> short_paths(["encoder/h/0/attn/q", "decoder/h/0/attn/k", "head"], 14)
    ['encoder/h/…/q', 'decoder/h/…/k', 'head']
    """
    among = [_parts(name) for name in dict.fromkeys(names)]
    say_something = len({parts[0].rstrip("/.") for parts in among}) > 1  # the first parts
    counts: dict[tuple[int, int], collections.Counter[tuple[Parts, Parts]]] = {}

    def is_alone(parts: Parts, head: int, tail: int) -> bool:
        if (head, tail) not in counts:
            longer = (p for p in among if len(p) > head + tail)
            counts[head, tail] = collections.Counter((p[:head], p[len(p) - tail :]) for p in longer)
        return counts[head, tail][parts[:head], parts[len(parts) - tail :]] == 1

    def short(name: str) -> str:
        parts = _parts(name)
        found = (cut for head, tail, cut in _cuts(parts, width, say_something) if is_alone(parts, head, tail))
        return name if len(name) <= width else next(found, name)

    return [short(name) for name in names]


def _parts(name: str) -> Parts:
    """Return the parts of a path, each with the mark after it."""
    return tuple(re.split(r"(?<=[/.])(?=[^/.])", name))


def _cuts(parts: Parts, width: int, with_first: bool) -> Iterator[tuple[int, int, str]]:
    """Yield the ways to leave out the middle: how many parts are left before and after it, and the name. The best
    ones first: those with the first part if it says something, of these the longest, then those with more of the end.
    """
    found = []
    for head in range(len(parts)):
        for tail in range(1, len(parts) - head):
            cut = "".join(parts[:head]) + "…" + parts[-tail - 1][-1] + "".join(parts[-tail:])
            if len(cut) <= width:
                found.append((with_first == (head > 0), len(cut), tail, head, cut))
    for _, _, tail, head, cut in sorted(found, reverse=True):
        yield head, tail, cut
