"""Printing tables with rich."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from ._errors import JaxwalkError
from ._table import Table

# Where there is no terminal to ask (a pipe, a file), lines are long enough for every table here.
WIDTH_ELSEWHERE = 140


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

    console = Console(width=None if sys.stdout.isatty() else WIDTH_ELSEWHERE, highlight=False)

    def put(part: Any, above: int) -> None:
        console.print(Padding(part, (above, 0, 0, 1), expand=False))

    for part in parts:
        if isinstance(part, str):
            put(Text(part), above=1)
            continue
        table = part.without_empty_columns()
        grid = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for name in table.columns:
            grid.add_column(name.strip(), justify="right" if name in table.right else "left", overflow="fold")
        for row in table.rows:
            grid.add_row(*map(Text, row))
        put(Text(table.title, style="bold"), above=1)  # a title of the grid's own would wrap at the grid's width
        put(grid, above=0)
    console.print()
