"""Printing tables with rich."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable
from typing import Any

from ._errors import JaxwalkError
from ._table import Table

# No table is folded to fit: a number cut in two is a wrong number. Sentences are.
TABLE_WIDTH = 500


def show(parts: Iterable[Table | str]) -> None:
    """Prints tables and sentences to standard output."""
    try:
        from rich import box
        from rich.console import Console
        from rich.padding import Padding
        from rich.table import Table as RichTable
        from rich.text import Text
    except ImportError as error:
        raise JaxwalkError("Printing tables needs the package `rich`; install it, or ask for `--json`.") from error

    console = Console(width=TABLE_WIDTH, highlight=False)

    def put(part: Any) -> None:
        with console.capture() as capture:
            console.print(Padding(part, (0, 0, 0, 1), expand=False))
        print("\n".join(line.rstrip() for line in capture.get().splitlines()))

    def say(sentence: str) -> None:
        print(textwrap.fill(sentence, _width(), initial_indent=" ", subsequent_indent=" "))

    for part in parts:
        print()
        if isinstance(part, str):
            say(part)
            continue
        table = part.without_empty_columns()
        grid = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for name in table.columns:
            grid.add_column(name, justify="right" if name in table.right else "left")
        for row in table.rows:
            grid.add_row(*map(Text, row))
        put(Text(table.title, style="bold"))  # a title of the grid's own would wrap at the grid's width
        put(grid)
        for note in table.notes:
            say(note)
    print()


def _width() -> int:
    return max(40, min(shutil.get_terminal_size((100, 24)).columns - 1, 100))
