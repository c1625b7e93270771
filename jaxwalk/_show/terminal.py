"""Prints tables and sentences with rich, and data as JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

from .._optional import rich
from .._printable import printable
from .table import UNBOUNDED, Table, terminal_width
from .wrap import wrapped

# No number is folded to fit: cut in two it is a wrong number. Sentences are, and what stands in these columns.
FOLDED = ("point", "note", "largest ‖δ‖")
NARROWEST = 12  # of a column that is folded
GAP = 3  # spaces between two columns
SENTENCE = 100  # columns that a sentence takes at most


def check_rich() -> None:
    """Raise a JaxwalkError where tables cannot be printed."""
    rich("console")


def show(parts: Iterable[Table | str]) -> None:
    """Print tables and sentences to standard output."""
    check_rich()
    for part in parts:
        print()
        if isinstance(part, str):
            _say(part)
        else:
            _print_table(part.as_shown())
    print()


def _say(sentence: str) -> None:
    width = max(40, min(terminal_width(SENTENCE) - 1, SENTENCE))
    print(textwrap.fill(printable(sentence), width, initial_indent=" ", subsequent_indent=" "))


def _print_table(table: Table) -> None:
    Text = rich("text").Text
    fixed = [min(n, NARROWEST) if name in FOLDED else n for name, n in zip(table.columns, table.widths(), strict=True)]
    grid = rich("table").Table(box=rich("box").SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name, width in zip(table.columns, fixed, strict=True):
        side = "right" if name in table.right else "left"
        grid.add_column(name, justify=side, no_wrap=name not in FOLDED, min_width=width, overflow="fold")
    for row in table.rows:
        grid.add_row(*(_Folded(cell) if name in FOLDED else Text(cell) for name, cell in zip(table.columns, row)))
    _print(Text(table.title, style="bold"))  # a title of the grid's own would wrap at the grid's width
    _print(grid, max(terminal_width() - 1, sum(fixed) + GAP * len(fixed)))
    for note in table.notes:
        _say(note)


def _print(part: Any, width: int = UNBOUNDED) -> None:
    console = rich("console").Console(width=UNBOUNDED, highlight=False)
    with console.capture() as capture:
        console.print(rich("padding").Padding(part, (0, 0, 0, 1), expand=False), width=width)
    print("\n".join(line.rstrip() for line in capture.get().splitlines()))


class _Folded:
    """Text that rich may fold: between words, and a name that is too long for a line after a `/` of it."""

    def __init__(self, text: str):
        self._text = text

    def __rich_measure__(self, console: Any, options: Any) -> Any:
        narrowest = min(NARROWEST, len(self._text))
        return rich("measure").Measurement(narrowest, len(self._text)).with_maximum(options.max_width)

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        yield rich("text").Text("\n".join(wrapped(self._text, options.max_width)))
