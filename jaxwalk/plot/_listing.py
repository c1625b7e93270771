"""`listing`: the source line by line, with a bar for the output of each line and one for its δ."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .._errors import counted
from .._optional import matplotlib
from .._points.point import Point
from .._printable import printable
from .._rewrite.tap import loops
from .._walk.result import Walk
from .._walk.source_listing import Section, sections, without_source
from ._rows.captions import fit, head, loss_of, note
from ._rows.log_axis import LogAxis, axis_of, show
from ._rows.rows import Rows, rows_of
from ._sizes import Size, drawable, sizes_of
from ._style import Palette, drawing, restyle
from ._words import lay_out, room

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST = 80  # lines in a figure of our own
TYPE = 7.5  # size of the letters of the source
LETTER = 0.602 * TYPE  # how wide one is, all being alike
APART = 10.5  # typographic points from line to line, at least
CODE = 0.62  # share of the width that the source has at most
AROUND = 24.0  # typographic points that the notes take of the height
SIDES = {"output": "output", "delta": "δ"}


@dataclasses.dataclass(frozen=True)
class Line:
    """A row of the picture: a line of source, the name of a function, or how many lines are left out."""

    text: str
    number: int | None = None
    points: Sequence[Point] = ()
    left_out: int = 0

    @property
    def is_plain(self) -> bool:
        """Tell whether it is a line of source on which no point stands."""
        return self.number is not None and not self.points


def listing(walk: Walk, *, ax: Axes | None = None) -> Axes:
    """Draw the source of what was walked, line by line, with a bar for the size of each line's output and of its δ.

    A size is the root mean square of the finite entries, on a logarithmic scale; zeros, and a NaN or an Inf, stand on
    lines of their own beside it. A line that ran several times, or has several values, has as many thin bars, in their
    order from above. Of long functions, lines without a point are left out, and then those at the end; the picture says
    so.

    Arguments:
        walk: what `jw.walk` returned; by="lines" gives a point for every line.
        ax: matplotlib's axes to draw on; None for those of a new figure.

    Returns:
        The axes. The bars are on axes of their own within these, `ax.child_axes[0]`.

    Raises:
        JaxwalkError: matplotlib is not installed.
        ArgumentError: `walk` is no `Walk`, or is being traced; or `ax` is none.
        PointError: none of its points says where in the source it is; or nothing is known of their sizes.

    >>> import jax.numpy as jnp, jaxwalk as jw
    >>> walk = jw.walk(lambda x: jnp.sum(jw.tag(x * x, "square")))(jnp.array([1.0, 2.0]))
    >>> jw.plot.listing(walk).get_title(loc="left")
    'Source of 1 point, loss 5'
    """
    found = sections(walk)
    sizes = {size.point.name: size for size in drawable(sizes_of(walk))}
    lines = [line for section in found for line in _lines(section)]
    width = max(len(line.text) for line in lines) * LETTER / 72 + 0.6
    height = 1.3 + 0.16 * sum(map(_height, _fitting(lines, MOST)[0]))
    with drawing(ax, min(max(width / CODE, 6.5), 10.0), height) as (axes, palette):
        lay_out(axes)
        lines, notes = _fitting(lines, MOST if ax is None else max(4, int((room(axes)[1] - AROUND) / APART)))
        rows = rows_of([], [_height(line) for line in lines])
        start = _write(axes, lines, rows, palette)
        bars = _bars_beside(axes, rows, start, palette)
        shown = [[sizes[point.name] for point in line.points if point.name in sizes] for line in lines]
        axis = axis_of(itertools.chain.from_iterable(shown))
        show(bars, axis, palette)
        for name in SIDES:
            _draw_side(bars, _bars(shown, rows, name), axis, name, palette)
        bars.set_xlabel("root mean square of the entries")
        head(axes, f"Source of {counted(len(walk.points), 'point')}, {loss_of(walk)}", bars)
        below = 38 if axis.nonfinite is None else 48
        note(axes, palette, [*notes, *without_source(found), *_several(shown)], below)
        fit(axes, axes.get_position())
    return axes


def _lines(section: Section) -> Iterator[Line]:
    yield Line(printable(section.title))
    for number, code in section.source.items():
        yield Line(printable(code.expandtabs(4)), number, section.points.get(number, ()))


def _height(line: Line) -> float:
    """Return the height of a row: more where many thin bars are."""
    return 1 + min(1.5, 0.2 * max(0, len(line.points) - 1))


def _fitting(lines: Sequence[Line], most: int) -> tuple[list[Line], list[str]]:
    """Return at most so many rows, with notes on those that are left out."""
    too_many = lambda kept: sum(map(_height, kept)) > most
    kept, notes = list(lines), []
    if too_many(kept):
        kept = list(_folded(kept))
    if too_many(kept):
        kept = [line for line in kept if not (line.is_plain or line.left_out)]
        notes.append("Lines without a point are left out.")
    last: list[Line] = []
    while len(kept) > 1 and too_many(kept):
        last.append(kept.pop())
    if numbered := [line for line in last if line.points]:
        notes.append(f"{counted(len(numbered), 'more line')} with points {_has(numbered)} no room here.")
    return kept, notes


def _has(several: Sequence[object]) -> str:
    return "has" if len(several) == 1 else "have"


def _folded(lines: Sequence[Line]) -> Iterator[Line]:
    """Yield the same, but of a stretch of lines without a point the first alone, and how many follow."""
    for is_plain, run in itertools.groupby(lines, lambda line: line.is_plain):
        together = list(run)
        if is_plain and len(together) > 2:
            left_out = len(together) - 1
            together = [together[0], Line(f"… {left_out} lines without a point", left_out=left_out)]
        yield from together


def _write(ax: Axes, lines: Sequence[Line], rows: Rows, palette: Palette) -> float:
    """Write the source into the axes, and return at what share of their width it ends."""
    ax.set_axis_off()
    ax.set_xlim(0, 1)
    ax.set_ylim(rows.edges[-1], 0)
    width = room(ax)[0]
    digits = max((len(str(line.number)) for line in lines if line.number is not None), default=1)
    margin = (digits + 1) * LETTER
    letters = max(8, int((CODE * width - margin) / LETTER))
    write = functools.partial(
        ax.annotate, textcoords="offset points", va="center", fontsize=TYPE, annotation_clip=False
    )
    for i, line in enumerate(lines):
        place = (0, rows.middle(i))
        text = line.text if len(line.text) <= letters else line.text[: letters - 1] + "…"
        if line.number is None and not line.left_out:
            write(text, place, (0, 0), fontweight="bold", color=palette.ink)
            continue
        colour = palette.ink if line.points else palette.faint
        write(text, place, (margin, 0), family="monospace", color=colour)
        if line.number is not None:
            write(str(line.number), place, (margin - LETTER, 0), ha="right", family="monospace", color=palette.faint)
    longest = max(min(len(line.text), letters) for line in lines)
    return (margin + (longest + 2) * LETTER) / width


def _bars_beside(ax: Axes, rows: Rows, start: float, palette: Palette) -> Axes:
    bars = ax.inset_axes((start, 0, max(1 - start, 0.2), 1))
    restyle(bars, palette)
    bars.set_facecolor("none")
    bars.set_ylim(rows.edges[-1], 0)
    bars.set_yticks([])
    bars.spines["left"].set_visible(False)
    return bars


class Bars(NamedTuple):
    """The bars of one side: how long each is, whether there is a NaN or an Inf, where it begins, and how high it is."""

    values: np.ndarray
    nonfinite: np.ndarray
    tops: np.ndarray
    heights: np.ndarray


def _bars(shown: Sequence[Sequence[Size]], rows: Rows, name: str) -> Bars:
    """Return the bars of one side of every line: in the upper half of its row, or in the lower."""
    found = [Bars(*(np.zeros(0),) * 4)]
    for i, sizes in enumerate(shown):
        sides = [(size, size.sides[name]) for size in sizes if name in size.sides]
        if not sides:
            continue
        values = np.concatenate([side.rms.ravel() for _, side in sides])
        nonfinite = np.concatenate([size.nonfinite_steps(side).ravel() for size, side in sides])
        half = 0.42 * float(rows.edges[i + 1] - rows.edges[i])
        tops = rows.middle(i) - half * (name == "output") + half * np.arange(values.size) / values.size
        found.append(Bars(values, nonfinite, tops, np.full(values.size, half / values.size)))
    return Bars(*map(np.concatenate, zip(*found, strict=True)))


def _draw_side(ax: Axes, bars: Bars, axis: LogAxis, name: str, palette: Palette) -> None:
    """Draw the bars of one side, and dots where there is none: for zeros, and for a NaN or an Inf."""
    colour, left, is_bar = getattr(palette, name), 10.0**axis.low, np.isfinite(bars.values) & (bars.values > 0)
    above, below, right = bars.tops[is_bar], (bars.tops + 0.92 * bars.heights)[is_bar], axis.place(bars.values[is_bar])
    x = np.stack([np.full(right.shape, left), right, right, np.full(right.shape, left)], -1)
    outlines = np.stack([x, np.stack([above, above, below, below], -1)], -1)
    drawn = matplotlib("collections").PolyCollection(list(outlines), facecolors=colour, linewidths=0, label=SIDES[name])
    ax.add_collection(drawn, autolim=False)
    marks = (
        (axis.zero, bars.values == 0, "o", colour, f"_{name} zero"),
        (axis.nonfinite, bars.nonfinite.astype(bool), "X", palette.alarm, f"_{name} not finite"),
    )
    for place, chosen, marker, colour, label in marks:
        if place is not None and np.any(chosen):
            y = (bars.tops + bars.heights / 2)[chosen]
            style = {"linestyle": "none", "markersize": 4, "markeredgewidth": 0, "clip_on": False}
            ax.plot(np.full(y.shape, place), y, marker=marker, color=colour, label=label, **style)


def _several(shown: Sequence[Sequence[Size]]) -> Iterator[str]:
    if any(sum(math.prod(loops(size.point)) for size in sizes) > 1 for sizes in shown):
        yield "Several bars of one colour in a line: its passes, steps or values, in their order from above."
