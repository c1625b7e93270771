"""Printing tables with rich."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

from .._errors import JaxwalkError
from .table import Table

# No number is folded to fit: cut in two it is a wrong number. Sentences are, and what stands in these columns.
FOLDED = ("point", "note", "largest ‖δ‖")
NARROWEST = 12  # of a column that is folded
UNBOUNDED = 500
SPACES = 3  # between two columns


def show(parts: Iterable[Table | str]) -> None:
    """Prints tables and sentences to standard output."""
    check_rich()
    from rich import box
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table as RichTable
    from rich.text import Text

    console = Console(width=UNBOUNDED, highlight=False)

    def put(part: Any, width: int = UNBOUNDED) -> None:
        with console.capture() as capture:
            console.print(Padding(part, (0, 0, 0, 1), expand=False), width=width)
        print("\n".join(line.rstrip() for line in capture.get().splitlines()))

    def say(sentence: str) -> None:
        print(textwrap.fill(sentence, max(40, min(_columns(100) - 1, 100)), initial_indent=" ", subsequent_indent=" "))

    for part in parts:
        print()
        if isinstance(part, str):
            say(part)
            continue
        table = part.without_empty_columns()
        grid = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for name, fixed in zip(table.columns, _fixed(table), strict=True):
            side = "right" if name in table.right else "left"
            grid.add_column(name, justify=side, no_wrap=name not in FOLDED, min_width=fixed, overflow="fold")
        for row in table.rows:
            grid.add_row(*(_Folded(cell) if name in FOLDED else Text(cell) for name, cell in zip(table.columns, row)))
        put(Text(table.title, style="bold"))  # a title of the grid's own would wrap at the grid's width
        put(grid, max(width() - 1, sum(_fixed(table)) + SPACES * len(table.columns)))
        for note in table.notes:
            say(note)
    print()


class _Folded:
    """Text that rich may fold: between words, and a name that is too long for a line after a `/` of it."""

    def __init__(self, text: str):
        self._text = text

    def __rich_measure__(self, console: Any, options: Any) -> Any:
        from rich.measure import Measurement

        return Measurement(min(NARROWEST, len(self._text)), len(self._text)).with_maximum(options.max_width)

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        from rich.text import Text

        yield Text("\n".join(folded(self._text, options.max_width)))


def folded(text: str, width: int) -> list[str]:
    """Lines of at most `width`.

    >>> folded("convolution/return 2.5, conv/relu 1", 14)
    ['convolution/', 'return 2.5,', 'conv/relu 1']
    """
    lines = [""]
    for word in text.split():
        joint = " " if lines[-1] else ""
        for piece in _pieces(word, max(width, 1)):
            if len(lines[-1] + joint + piece) <= width:
                lines[-1] += joint + piece
            else:
                lines.append(piece)
            joint = ""
    return lines


def _pieces(word: str, width: int) -> list[str]:
    """A word, or if it is longer than `width` what lies between its slashes, cut where even that is longer."""
    pieces = [word] if len(word) <= width else re.split("(?<=/)", word)
    return [piece[i : i + width] for piece in pieces for i in range(0, len(piece), width)]


def check_rich() -> None:
    """Raises a JaxwalkError where tables cannot be printed."""
    try:
        import rich  # noqa: F401
    except ImportError as error:
        raise JaxwalkError("Printing tables needs the package `rich`; install it, or ask for `--json`.") from error


def width() -> int:
    """How wide a table may be: as the terminal is, and where there is none as wide as it likes."""
    return _columns(UNBOUNDED)


def _columns(without: int) -> int:
    return shutil.get_terminal_size((without, 24)).columns


def _fixed(table: Table) -> list[int]:
    """How wide each column must be."""
    longest = [max(map(len, (name, *(row[i] for row in table.rows)))) for i, name in enumerate(table.columns)]
    return [min(n, NARROWEST) if name in FOLDED else n for n, name in zip(longest, table.columns, strict=True)]
