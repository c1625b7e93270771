"""Breaks text that is too long for a line: between words, and a name after its slashes."""

from __future__ import annotations

import re

_START = re.compile(r"(?:\S+ {2,}| *)")
_WORD = re.compile(r"… \d+ more|\S+")


def wrapped(text: str, width: int) -> list[str]:
    """Return the text as lines of at most `width`; what is short enough as it is, with all of its spaces.

    Further lines begin below the first word, or below what stands two spaces after it.

    >>> wrapped("convolution/return 2.5, conv/relu 1", 14)
    ['convolution/', 'return 2.5,', 'conv/relu 1']
    """
    if len(text) <= width:
        return [text]
    start = _START.match(text)[0]  # type: ignore[index]
    start = start if len(start) <= width // 2 else ""
    room = max(width - len(start), 1)
    lines = [""]
    for word in _WORD.findall(text[len(start) :]):
        joint = " " if lines[-1] else ""
        for piece in _pieces(word, room):
            if len(lines[-1] + joint + piece) <= room:
                lines[-1] += joint + piece
            else:
                lines.append(piece)
            joint = ""
    return [start + lines[0], *(" " * len(start) + line for line in lines[1:])]


def parts_of(name: str) -> list[str]:
    """Return what of a name stays in one line where it goes on in further ones."""
    return [piece for word in name.split() for piece in re.split("(?<=/)", word)]


def _pieces(word: str, width: int) -> list[str]:
    """Cut a word that is longer than `width` after its slashes, and what is still too long anywhere."""
    pieces = [word] if len(word) <= width else re.split("(?<=/)", word)
    return [piece[i : i + width] for piece in pieces for i in range(0, len(piece), width)]
