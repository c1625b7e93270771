"""Shows a small table, and the numbers in it, as text and as HTML. Needs no library."""

from __future__ import annotations

import html as _html
import itertools
import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._printable import printable
from .wrap import parts_of, wrapped

UNBOUNDED = 500  # columns
PAGE = 100  # columns of what shows itself, where there is no terminal
INDENT = "  "
BELOW = "    "
GAP = 2  # spaces between two columns
NARROWEST = 12  # columns that are left of text that goes on in a further line


class Table(NamedTuple):
    """A title, the columns' names, rows of as many strings, and notes.

    Attributes:
        right: columns whose cells are set flush right.
        code: columns set in letters of one width.
        lead: columns that every part has, if the table is divided.
        paths: columns of the names of points, which are cut in the middle where they are too long.
        words: columns of text, in which what differs in numbers alone may be put together.
        more: where all of it is, in a few words: "`walk.outputs` has each". A table without it has all of its rows.
        alike: whether rows of a long table that differ in numbers alone may be put together.
        below: for each row, sentences that stand below it, in lines of their own.
        folds: columns of numbers called after points, whose names go on in further lines rather than divide the table.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: Sequence[str] = ()
    notes: Sequence[str] = ()
    code: Sequence[str] = ()
    lead: Sequence[str] = ()
    paths: Sequence[str] = ()
    words: Sequence[str] = ("note",)
    more: str = ""
    alike: bool = False
    below: Sequence[Sequence[str]] = ()
    folds: Sequence[str] = ()

    def widths(self) -> list[int]:
        """Return the length of the longest cell of each column."""
        return [max(map(len, column)) for column in zip(self.columns, *self.rows, strict=True)]

    def cell_widths(self) -> list[int]:
        """Return the length of the longest cell of each column, its name apart."""
        return self._replace(columns=[""] * len(self.columns)).widths()

    def folded_widths(self) -> list[int]:
        """Return the widths of the columns where the names that fold do."""
        each = zip(self.columns, self.cell_widths(), self.widths(), strict=True)
        part = lambda name: max(map(len, parts_of(name)), default=0)
        return [max(cells, part(name)) if name in self.folds else whole for name, cells, whole in each]

    def width(self, gap: int = GAP) -> int:
        """Return how wide the rows are as text, with `gap` spaces between columns; 0 if there are none."""
        table = self.as_shown()
        return len(INDENT) + sum(table.widths()) + gap * (len(table.columns) - 1) if table.rows else 0

    def as_shown(self) -> Table:
        """Return the same less the columns in which no row says anything, control characters in it escaped."""
        table = self.only([name for i, name in enumerate(self.columns) if any(row[i] for row in self.rows)])
        row = lambda cells: [*map(printable, cells)]
        lists = ("right", "notes", "code", "lead", "paths", "words", "folds")
        named = {name: row(getattr(table, name)) for name in lists}
        rows, below = [*map(row, table.rows)], [*map(row, table.below)]
        return table._replace(title=printable(table.title), columns=row(table.columns), rows=rows, below=below, **named)

    def only(self, columns: Sequence[str]) -> Table:
        """Return the same with these columns alone."""
        keep = [i for i, name in enumerate(self.columns) if name in columns]
        return self._replace(
            columns=[self.columns[i] for i in keep], rows=[[row[i] for i in keep] for row in self.rows]
        )

    def mapped(self, column: str, change: Callable[[list[str]], Sequence[str]]) -> Table:
        """Return the same with the cells of a column changed, all at once."""
        place = list(self.columns).index(column)
        cells = change([row[place] for row in self.rows])
        return self._replace(
            rows=[[*row[:place], cell, *row[place + 1 :]] for row, cell in zip(self.rows, cells, strict=True)]
        )


def terminal_width(without: int = UNBOUNDED) -> int:
    """Return how wide a table may be: as the terminal is, and where there is none, `without`."""
    return shutil.get_terminal_size((without, 24)).columns


def text(table: Table, width: int = UNBOUNDED) -> str:
    """Return the table as plain text, of at most `width` columns: what is too long goes on in further lines."""
    table = table.as_shown()
    widths = _within(table, width) if table.rows else []

    def lines(row: Sequence[str]) -> Iterator[str]:
        cells = [wrapped(cell, w) for cell, w in zip(row, widths, strict=True)]
        for line in itertools.zip_longest(*cells, fillvalue=""):
            columns = zip(line, table.columns, widths, strict=True)
            aligned = [c.rjust(w) if n in table.right else c.ljust(w) for c, n, w in columns]
            yield INDENT + (" " * GAP).join(aligned).rstrip()

    sentence = lambda words: wrapped(words, width)
    below = lambda words: [BELOW + line for line in wrapped(words, width - len(BELOW))]

    def rows() -> Iterator[str]:
        yield from lines(table.columns)
        for row, words in itertools.zip_longest(table.rows, table.below, fillvalue=()):
            yield from lines(row)
            yield from itertools.chain.from_iterable(map(below, words))

    told = [*rows()] if table.rows else []
    return "\n".join([*sentence(table.title), *told, *itertools.chain.from_iterable(map(sentence, table.notes))])


def _within(table: Table, width: int) -> list[int]:
    """Return how wide each column is, so that all have room, if that can be: numbers are not folded, but text is."""
    widths = table.widths()
    numbers = table.folded_widths() if table.folds else table.cell_widths()
    least = [numbers[i] if name in table.right else NARROWEST for i, name in enumerate(table.columns)]
    while (excess := len(INDENT) + sum(widths) + GAP * (len(widths) - 1) - width) > 0:
        spare = [max(w - l, 0) for w, l in zip(widths, least, strict=True)]
        order = sorted(range(len(widths)), key=lambda i: (spare[i] > 0, table.columns[i] in table.words, spare[i]))
        if not spare[order[-1]]:
            break
        widths[order[-1]] -= min(excess, spare[order[-1]])
    return widths


def html(table: Table) -> str:
    """Return the table as HTML that reads well on a light and on a dark page, and scrolls within itself."""
    table = table.as_shown()

    def row(tag: str, cells: Sequence[str], style: str) -> str:
        cells = [
            f'<{tag} style="{_CELL};{style};{_letters(table, name, tag)}">{_html.escape(cell)}</{tag}>'
            for name, cell in zip(table.columns, cells, strict=True)
        ]
        return f'<tr style="background:none">{"".join(cells)}</tr>'

    head = row("th", table.columns, f"border-bottom:{_LINE}0.6);{_STAYS}")
    under = f"border-bottom:{_LINE}0.25)"

    def below(words: Sequence[str]) -> str:
        said = "".join(f"<div>{_html.escape(sentence)}</div>" for sentence in words)
        wide = f'colspan="{len(table.columns)}" style="text-align:left;padding:0 14px 6px 1.5em;border:0;{under}"'
        return f'<tr style="background:none"><td {wide}>{said}</td></tr>' if words else ""

    rows = itertools.zip_longest(table.rows, table.below, fillvalue=())
    body = "".join(row("td", cells, "" if words else under) + below(words) for cells, words in rows)
    rows = f"<thead>{head}</thead><tbody>{body}</tbody>" if table.rows else ""
    notes = "".join(f'<div style="margin-top:4px">{_html.escape(note)}</div>' for note in table.notes)
    title = f'<div style="font-weight:600;padding:4px 0">{_html.escape(table.title)}</div>'
    return (
        f'<div style="color:inherit;margin-bottom:8px">{title}<div style="{_SCROLLS}">'
        f'<table style="border-collapse:separate;border-spacing:0;margin:0">{rows}</table></div>{notes}</div>'
    )


_CELL = "padding:2px 14px 2px 0;border:0"
_LINE = "1px solid rgba(128,128,128,"
_STAYS = "position:sticky;top:0;backdrop-filter:blur(16px);background:rgba(128,128,128,0.08)"
_SCROLLS = "max-height:32em;max-width:100%;overflow:auto;scrollbar-color:rgba(128,128,128,0.6) transparent"


def _letters(table: Table, column: str, tag: str) -> str:
    """Return the style of the cells of a column: numbers one below the other, names and code as they are written."""
    if column in table.right:
        return "text-align:right;white-space:pre;font-variant-numeric:tabular-nums"
    if column in table.words:
        return "text-align:left;white-space:pre-wrap;min-width:28em"
    is_code = tag == "td" and column in (*table.code, *table.lead)
    return "text-align:left;white-space:pre" + ";font-family:monospace" * is_code


def size(nbytes: int) -> str:
    """Return a number of bytes in the unit that suits it: "48 B", "1.5 MiB"."""
    value, units = float(nbytes), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f"{value:.3g} {units[0]}"


def number(value: Any, digits: int = 4) -> str:
    """Return a number with at most `digits` significant digits, and never more than its dtype carries."""
    value = np.asarray(value)
    if jnp.issubdtype(value.dtype, jnp.inexact):
        digits = min(digits, jnp.finfo(value.dtype).precision)
        if np.iscomplexobj(value):
            return f"{complex(value):.{digits}g}"
        return f"{float(value) + 0.0:.{digits}g}"  # + 0.0: a negative zero reads as zero
    return str(value)


def numbers(values: Any, digits: int = 4, limit: int = 6) -> str:
    """Return numbers in parentheses, folded past `limit`; a scalar without; of a large matrix nothing."""
    values = np.asarray(values)
    if values.ndim == 0:
        return number(values, digits)
    if values.ndim > 1 and values.size > limit**2:
        return ""
    shown = [numbers(v, digits, limit) for v in values[:limit]]
    return "(" + ", ".join(shown) + (", …" if len(values) > limit else "") + ("," if len(values) == 1 else "") + ")"


def brief(array: Any) -> str:
    """Return an array's dtype and shape, "float32[3, 2]"; of anything else, its type."""
    return f"{array.dtype}{list(array.shape)}" if hasattr(array, "dtype") else type(array).__name__


def is_readable(values: Any) -> bool:
    """Tell whether these are numbers now: not those of a trace that is yet to run, nor random keys."""
    if isinstance(values, Tracer) or not isinstance(values, (np.ndarray, np.generic, jax.Array)):
        return False
    return values.dtype == jnp.bool_ or jnp.issubdtype(values.dtype, jnp.number)


def summary(tree: Any) -> str:
    """Return the numbers of a pytree's arrays, those of large ones folded; nothing of what cannot be read now."""
    return ", ".join(numbers(leaf) for leaf in jax.tree.leaves(tree) if is_readable(leaf))


def labelled(tree: Any, limit: int = 3) -> str:
    """Return the numbers of a pytree's arrays, each after its name in the pytree, those past `limit` counted."""
    found = [(jax.tree_util.keystr(path, simple=True, separator="/"), leaf) for path, leaf in _leaves(tree)]
    shown = [f"{name} {_told(leaf)}".strip() for name, leaf in found[:limit]]
    return ", ".join(shown + [f"… {len(found) - limit} more"] * (len(found) > limit))


def _leaves(tree: Any) -> list[tuple[Any, Any]]:
    if not isinstance(tree, dict):
        return jax.tree_util.tree_leaves_with_path(tree)
    # In the order in which they were put there, in which JAX would not have them.
    return [((jax.tree_util.DictKey(key), *path), leaf) for key, item in tree.items() for path, leaf in _leaves(item)]


def _told(leaf: Any) -> str:
    """Return the numbers of an array, of conditions how many hold; of what cannot be read now, its type."""
    if not is_readable(leaf):
        return brief(leaf)
    if np.ndim(leaf) and leaf.dtype == jnp.bool_:
        return f"{np.sum(leaf)} of {np.size(leaf)}"
    return summary(leaf) or brief(leaf)
