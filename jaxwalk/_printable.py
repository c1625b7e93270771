"""What a terminal shows is text: characters that would steer it, or turn what is read, are shown escaped."""

from __future__ import annotations

import re

CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""ASCII's control characters and those above them, ends of lines, what turns the direction of text, half characters."""


def printable(text: str) -> str:
    r"""Return a text of others, as a name, a path or what an error says, with control characters as Python writes them.

    What is escaped already stays as it is.

    >>> print(printable("\x1b]0;title\x07 a\nb, \u202e"))
    \x1b]0;title\x07 a\nb, \u202e
    """
    return text if text.isprintable() else CONTROLS.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
