"""Printing tables with rich."""

from __future__ import annotations

import sys
from collections.abc import Iterable

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
    for part in parts:
        if isinstance(part, str):
            console.print(Padding(Text(part), (1, 0, 0, 1)))
            continue
        table = part.without_empty_columns()
        grid = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
        for name in table.columns:
            grid.add_column(name.strip(), justify="right" if name in table.right else "left", overflow="fold")
        for row in table.rows:
            grid.add_row(*map(Text, row))
        console.print(Padding(Text(table.title, style="bold"), (1, 0, 0, 1)))  # a title of the table's own would wrap
        console.print(Padding(grid, (0, 0, 0, 1)))
