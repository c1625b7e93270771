"""Shows what has a table in a terminal and in a notebook: as long and as wide as can be read."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from .alike import ROWS, left_out, shortened, together
from .short_paths import short_paths
from .table import PAGE, Table, html, terminal_width, text
from .wrap import wrapped

T = TypeVar("T")

HTML_ROWS = 500  # which scroll
_QUOTED = re.compile("`([^`]+)`")
LEAST = 24  # columns that are left of a line of source, and of the name of a point


def tabular(cls: type[T]) -> type[T]:
    """Give a class with a method `_table` what shows it: as text in a terminal, as HTML in a notebook."""
    shown: Any = cls
    shown.__repr__ = lambda self: as_text(self._table())
    shown._repr_html_ = lambda self: as_html(self._table())
    return cls


def page_width() -> int:
    """Return how wide what shows itself may be: as the terminal is, and where there is none, `PAGE`."""
    return terminal_width(PAGE)


def as_lines(sentence: str) -> str:
    """Return text as lines that are not too long."""
    return "\n".join(wrapped(sentence, page_width()))


def as_html(table: Table) -> str:
    """Return a table as HTML; of a very long one, a part, and what it leaves out."""
    return html(_short_quoted(shortened(table.as_shown(), HTML_ROWS)))


def as_text(table: Table) -> str:
    """Return a table as text of the terminal's width; what is left out of it is said."""
    width = page_width()
    return "\n".join(text(part, width) for part in fitted(table, width))


def fitted(table: Table, width: int) -> list[Table]:
    """Return a table in parts that are no wider than `width`, and together not too long.

    Source is cut, and names in the middle, as far as they have to be. If that is not enough, the table is divided, and
    each part has the columns `lead`.
    """
    table = together(table.as_shown())
    parts = _parted(left_out(table), width)
    rows = 2 * ROWS // len(parts)
    return parts if rows >= ROWS else _parted(left_out(table, rows), width)


def _parted(table: Table, width: int) -> list[Table]:
    for name in table.code:
        table = _cut(table, name, width - (table.width() - _length(table, name)), _start_of)
    if table.width() <= width:
        return [table]
    short = table = _short_quoted(_without_the_same(table))
    for name in table.paths:
        short = _cut(short, name, width - (short.width() - _length(short, name)), short_paths)
    if _least_width(short, width) <= width:
        return [_saying_so(table, short)]
    for name in table.paths:
        short = _cut(table, name, _room(width), short_paths)
    return _divided(_saying_so(table, short), width)


def _room(width: int) -> int:
    """Return how many columns the name of a point has at least, where it goes on in a further line."""
    return max(LEAST, width * 2 // 5)


def _least_width(table: Table, width: int) -> int:
    """Return how wide a table is if names that are too long go on in further lines, and names of columns that fold."""
    long = [name for name in (*table.paths, *table.lead[-1:]) if name not in (*table.right, *table.code)]
    folded = sum(table.widths()) - sum(table.folded_widths())
    return table.width() - folded - sum(max(_length(table, name) - _room(width), 0) for name in dict.fromkeys(long))


def _without_the_same(table: Table) -> Table:
    """Return the table less the columns in which all rows say the same, which is a note."""
    apart = (*table.lead, *table.words)  # rows that have nothing but these tell of other rows
    saying = [row for row in table.rows if any(cell and n not in apart for n, cell in zip(table.columns, row))]
    if len(saying) < 2:
        return table
    columns = zip(table.columns, zip(*saying, strict=True), strict=True)
    others = (*table.paths, *table.right, *table.words, *table.code, *table.lead[-1:])
    same = {name: cells[0] for name, cells in columns if name not in others and len({*cells}) == 1}
    note = ", ".join(f"{name} {cell}" for name, cell in same.items())
    table = table.only([name for name in table.columns if name not in same])
    return table._replace(notes=[*[f"All rows: {note}."] * bool(note), *table.notes])


def _short_quoted(table: Table) -> Table:
    """Return the table with the names that are quoted in its words cut in the middle."""
    for column in table.words:
        if column in table.columns:
            place = table.columns.index(column)
            quoted = [name for row in table.rows for name in _QUOTED.findall(row[place])]
            short = dict(zip(quoted, short_paths(quoted, LEAST), strict=True))
            swap = lambda found, short=short: f"`{short[found[1]]}`"
            table = table.mapped(column, lambda cells, swap=swap: [_QUOTED.sub(swap, cell) for cell in cells])
    return table


def _length(table: Table, column: str) -> int:
    return table.widths()[table.columns.index(column)] if column in table.columns else 0


def _cut(table: Table, column: str, width: int, short: Callable[[Sequence[str], int], list[str]]) -> Table:
    if column not in table.columns or _length(table, column) <= width:
        return table
    return table.mapped(column, lambda cells: short(cells, max(width, LEAST)))


def _start_of(cells: Sequence[str], width: int) -> list[str]:
    return [cell if len(cell) <= width else cell[: width - 1].rstrip() + "…" for cell in cells]


def _saying_so(table: Table, short: Table) -> Table:
    """Return the short table with a note, if names in it are."""
    if short.rows == table.rows or not table.more:
        return short
    return short._replace(notes=[*short.notes, f"Names with “…” are cut in the middle; {table.more}."])


def _divided(table: Table, width: int) -> list[Table]:
    """Divide a table into several that are no wider than `width`, if that can be.

    Columns of one beginning, as `delta_max` and `delta_mean`, or "|δ| max" and "|δ| mean", stay together where they
    can; those of words come last.
    """
    fits = lambda names: _least_width(table.only([*table.lead, *names]), width) <= width
    parts: list[list[str]] = [[]]
    table = table._replace(below=(), notes=[*itertools.chain.from_iterable(table.below), *table.notes])
    others = sorted((name for name in table.columns if name not in table.lead), key=lambda n: n not in table.right)
    for _, alike in itertools.groupby(others, lambda n: n in table.right and re.split("[_ ]", n)[0]):
        alike = list(alike)
        for names in [alike] if fits(parts[-1] + alike) or fits(alike) else [[name] for name in alike]:
            if parts[-1] and not fits(parts[-1] + names):
                parts.append([])
            parts[-1] += names
    tables = [table.only([*table.lead, *names])._replace(title="", notes=()) for names in parts]
    tables = [tables[0]._replace(title=table.title), *(_saying(part) for part in tables[1:])]
    return [*tables[:-1], tables[-1]._replace(notes=table.notes)]


def _saying(table: Table) -> Table:
    """Return the same less the rows that say nothing but which they are; that rows are left out stays by numbers."""
    others = [i for i, name in enumerate(table.columns) if name not in table.lead]
    has_numbers = any(table.columns[i] in table.right for i in others)
    counts = lambda row: has_numbers and any(cell.startswith("… ") for cell in row)
    return table._replace(rows=[row for row in table.rows if counts(row) or any(row[i] for i in others)])
