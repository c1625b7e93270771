"""Makes a long table short: puts rows together that differ in numbers alone, and counts what it leaves out."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .table import Table

ROWS = 60  # of a table, as text; of more than these some are put together or left out
RUN = 3  # rows that are put together, at least
_INTEGER = re.compile(r"\d+")
_NUMBER = re.compile(r"(?:(?<!\w)-)?\d+(?:\.\d+)?(?:e[+-]?\d+)?")


class _Group(NamedTuple):
    """Rows that are put together: between which numbers their names lie, at each number of a name; and their places."""

    spans: tuple[tuple[int, int], ...]
    places: tuple[int, ...]


def shortened(table: Table, rows: int = ROWS) -> Table:
    """Return a table of more than `rows` rows with fewer: alike ones together, and those left out counted."""
    return left_out(together(table, rows), rows)


def together(table: Table, rows: int = ROWS) -> Table:
    """Put rows of one kind together if there are more than `rows`: "h/0/attn" … "h/11/attn" are "h/0…11/attn".

    They are those whose names count on, and whose other cells are equal but for numbers; of these, the least and the
    largest are told. A NaN or an Inf is no such number. "×12" says of how many rows one is made.
    """
    if not table.alike or len(table.rows) <= rows:
        return table
    place = list(table.columns).index(table.paths[0])
    groups = sorted(_groups(table, place), key=lambda group: group.places[0])
    merged = [_merged(table, [table.rows[i] for i in group.places]) for group in groups]
    if len(merged) == len(table.rows):
        return table
    said = f"{len(table.rows)} rows are shown as {len(merged)}, “×3” for 3 that are alike but for their numbers"
    return table._replace(rows=merged, notes=[*table.notes, f"{said}; {table.more}."])


def _groups(table: Table, place: int) -> Iterator[_Group]:
    """Yield the rows, those that are alike in one group."""
    kinds: dict[tuple, list[_Group]] = {}
    for i, row in enumerate(table.rows):
        name = row[place]
        spans = tuple((int(n), int(n)) for n in _INTEGER.findall(name))
        cells = [_kind(table, *cell) for j, cell in enumerate(zip(table.columns, row, strict=True)) if j != place]
        kinds.setdefault((*_INTEGER.split(name), *cells), []).append(_Group(spans, (i,)))
    for groups in kinds.values():
        numbers = range(len(groups[0].spans))
        for axes in [*((axis,) for axis in numbers), *itertools.combinations(numbers, 2)]:
            groups = [*_along(axes, groups)]
        yield from groups


def _along(axes: tuple[int, ...], groups: Sequence[_Group]) -> Iterator[_Group]:
    """Put groups together whose spans are equal but for some, where these count on together: "h/1/a#2", "h/2/a#3"."""
    lines: dict[tuple, list[_Group]] = {}
    first = axes[0]
    for group in groups:
        others = tuple(span for i, span in enumerate(group.spans) if i not in axes)
        low, high = group.spans[first]
        apart = tuple((group.spans[i][0] - low, group.spans[i][1] - high) for i in axes)
        lines.setdefault((others, apart), []).append(group)
    for line in lines.values():
        line.sort(key=lambda group: group.spans[first])
        start = 0
        for i in range(1, len(line) + 1):
            if i == len(line) or line[i].spans[first][0] != line[i - 1].spans[first][1] + 1:
                yield from [_joined(line[start:i])] if i - start >= RUN else line[start:i]
                start = i


def _joined(run: Sequence[_Group]) -> _Group:
    spans = tuple((a[0], b[1]) for a, b in zip(run[0].spans, run[-1].spans, strict=True))
    return _Group(spans, tuple(sorted(place for group in run for place in group.places)))


def _kind(table: Table, column: str, cell: str) -> str:
    """Return what two cells have in common if they differ in numbers alone."""
    if column in table.right:
        return "number" if _is_number(cell) else cell
    if column in table.paths:
        return ""  # what the first of them has in common, the others have
    return _NUMBER.sub("0", cell) if column in table.words else cell


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _merged(table: Table, rows: Sequence[Sequence[str]]) -> list[str]:
    """Return one row for several."""
    if len(rows) == 1:
        return list(rows[0])
    row = []
    for column, *cells in zip(table.columns, *rows, strict=True):
        joint = "…" if column in (*table.lead, "note") else " to "
        if column in table.paths:
            row.append(f"{_spliced(_INTEGER, cells, '…')} ×{len(rows)}")
        elif column in table.right:
            row.append(ranged(cells, joint))
        else:
            row.append(_spliced(_NUMBER, cells, joint))
    return row


def _spliced(numbers: re.Pattern[str], cells: Sequence[str], joint: str) -> str:
    """Return the text that the cells have in common, and between it the least and the largest number."""
    texts = numbers.split(cells[0])
    columns = [ranged(found, joint) for found in zip(*map(numbers.findall, cells), strict=True)]
    return "".join(part for pair in zip(texts, [*columns, ""], strict=True) for part in pair)


def ranged(cells: Sequence[str], joint: str = " to ") -> str:
    """Return the one number that they all are, or the least and the largest; a NaN counts as largest."""
    if len({*cells}) == 1:
        return cells[0]
    ordered = sorted(cells, key=lambda cell: (math.isnan(float(cell)), float(cell)))
    return f"{ordered[0]}{joint}{ordered[-1]}"


def left_out(table: Table, rows: int = ROWS) -> Table:
    """Leave out rows of the middle if there are more than `rows`, and say how many; those with a NaN or Inf stay."""
    count = len(table.rows)
    if not table.more or count <= rows:
        return table
    last = rows // 3
    bad = [i for i in range(rows - 2 * last, count - last) if _is_bad(table, table.rows[i])][:last]
    first = rows - last - len(bad)
    chosen = sorted({*range(first), *bad, *range(count - last, count)})
    shown: list[Sequence[str]] = []
    before = -1
    for i in chosen:
        if i > before + 1:
            shown.append(_gap(table, i - before - 1))
        shown.append(table.rows[i])
        before = i
    said = f"{count - len(chosen)} of {count} rows are left out; {table.more}."
    return table._replace(rows=shown, notes=[*table.notes, said])


def _is_bad(table: Table, row: Sequence[str]) -> bool:
    cells = zip(table.columns, row, strict=True)
    return any(column in table.right and cell.lstrip("-") in ("nan", "inf") for column, cell in cells)


def _gap(table: Table, count: int) -> list[str]:
    said = next((column for column in (*table.paths, "point") if column in table.columns), table.columns[0])
    return [f"… {count} more" if column == said else "" for column in table.columns]
