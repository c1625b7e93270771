"""Shows a small table, and the numbers in it, as text and as HTML. Needs no library."""

from __future__ import annotations

import html as _html
import itertools
import shutil
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

T = TypeVar("T")

UNBOUNDED = 500  # columns
LEAST = 24  # columns that are left of a line of source
INDENT = "  "
GAP = 2  # spaces between two columns


class Table(NamedTuple):
    """A title, the columns' names, rows of as many strings, and notes.

    The cells of the columns `right` are set flush right, those of `code` in letters of one width.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: Sequence[str] = ()
    notes: Sequence[str] = ()
    code: Sequence[str] = ()

    def widths(self) -> list[int]:
        """Return the length of the longest cell of each column."""
        return [max(map(len, column)) for column in zip(self.columns, *self.rows, strict=True)]

    def width(self, gap: int = GAP) -> int:
        """Return how wide the rows are as text, with `gap` spaces between columns; 0 if there are none."""
        table = self.without_empty_columns()
        return len(INDENT) + sum(table.widths()) + gap * (len(table.columns) - 1) if table.rows else 0

    def without_empty_columns(self) -> Table:
        """Return the same less the columns in which no row says anything."""
        return self.only([name for i, name in enumerate(self.columns) if any(row[i] for row in self.rows)])

    def only(self, columns: Sequence[str]) -> Table:
        """Return the same with these columns alone."""
        keep = [i for i, name in enumerate(self.columns) if name in columns]
        return self._replace(
            columns=[self.columns[i] for i in keep], rows=[[row[i] for i in keep] for row in self.rows]
        )


def terminal_width(without: int = UNBOUNDED) -> int:
    """Return how wide a table may be: as the terminal is, and where there is none as wide as it likes."""
    return shutil.get_terminal_size((without, 24)).columns


def with_short_code(table: Table) -> Table:
    """Return a table that is wider than the terminal with its columns `code` cut, as far as they have to be."""
    table = table.without_empty_columns()
    for name in set(table.code).intersection(table.columns):
        place, excess = table.columns.index(name), table.width() - terminal_width()
        width = max(table.widths()[place] - excess, LEAST)
        cut = lambda cell, width=width: cell if len(cell) <= width else cell[: width - 1].rstrip() + "…"
        table = table._replace(rows=[[*row[:place], cut(row[place]), *row[place + 1 :]] for row in table.rows])
    return table


def fitted(table: Table, lead: Sequence[str]) -> list[Table]:
    """Divide a table that is wider than the terminal into several that are not, each with the columns `lead`.

    Columns of one beginning, as `delta_max` and `delta_mean`, stay together where they can; those of words come last.
    """
    table = table.without_empty_columns()
    limit = terminal_width()
    if table.width() <= limit:
        return [table]
    fits = lambda names: table.only([*lead, *names]).width() <= limit
    parts: list[list[str]] = [[]]
    others = sorted((name for name in table.columns if name not in lead), key=lambda name: name not in table.right)
    for _, alike in itertools.groupby(others, lambda name: name in table.right and name.partition("_")[0]):
        alike = list(alike)
        for names in [alike] if fits(parts[-1] + alike) or fits(alike) else [[name] for name in alike]:
            if parts[-1] and not fits(parts[-1] + names):
                parts.append([])
            parts[-1] += names
    tables = [table.only([*lead, *names])._replace(title="", notes=()) for names in parts]
    tables = [tables[0]._replace(title=table.title), *(_saying(part, lead) for part in tables[1:])]
    return [*tables[:-1], tables[-1]._replace(notes=table.notes)]


def _saying(table: Table, lead: Sequence[str]) -> Table:
    """Return the same less the rows that say nothing but which they are."""
    others = [i for i, name in enumerate(table.columns) if name not in lead]
    return table._replace(rows=[row for row in table.rows if any(row[i] for i in others)])


def text(table: Table) -> str:
    """Return the table as lines of plain text."""
    table = table.without_empty_columns()
    widths = table.widths()

    def line(row: Sequence[str]) -> str:
        columns = zip(row, table.columns, widths, strict=True)
        cells = [c.rjust(w) if n in table.right else c.ljust(w) for c, n, w in columns]
        return INDENT + (" " * GAP).join(cells).rstrip()

    rows = map(line, [table.columns, *table.rows]) if table.rows else []
    return "\n".join([table.title, *rows, *table.notes])


def html(table: Table) -> str:
    """Return the table as HTML that reads well on a light and on a dark page."""
    table = table.without_empty_columns()

    def cell(tag: str, content: str, column: str) -> str:
        side = "right" if column in table.right else "left"
        letters = ";font-family:monospace" if column in table.code else ""
        style = f"text-align:{side};padding:2px 12px 2px 0;white-space:pre{letters}"
        return f'<{tag} style="{style}">{_html.escape(content)}</{tag}>'

    def row(tag: str, cells: Sequence[str]) -> str:
        return "<tr>" + "".join(cell(tag, c, n) for c, n in zip(cells, table.columns, strict=True)) + "</tr>"

    title = f'<caption style="text-align:left;font-weight:600;padding:4px 0">{_html.escape(table.title)}</caption>'
    body = "".join(row("td", cells) for cells in table.rows)
    notes = "".join(f"<p>{_html.escape(note)}</p>" for note in table.notes)
    return f"<table>{title}<thead>{row('th', table.columns)}</thead><tbody>{body}</tbody></table>{notes}"


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


def tabular(cls: type[T]) -> type[T]:
    """Give a class with a method `_table` what shows it: as text in a terminal, as HTML in a notebook."""
    shown: Any = cls
    shown.__repr__ = lambda self: text(self._table())
    shown._repr_html_ = lambda self: html(self._table())
    return cls
