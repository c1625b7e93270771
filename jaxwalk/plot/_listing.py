"""`listing`: the source line by line, with a bar for the output of each line and one for its δ."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .._errors import counted
from .._optional import matplotlib
from .._points.point import Point
from .._printable import printable
from .._walk.result import Walk
from .._walk.source_listing import Section, sections, without_source
from ._captions import extent, head, note
from ._log_axis import LogAxis, log_axis, show
from ._rows import Rows, rows_of
from ._sizes import Size, sizes_of
from ._style import Palette, drawing, restyle

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST = 80  # lines in a figure of our own
TYPE = 7.5  # size of the letters of the source
LETTER = 0.602 * TYPE  # how wide one is, all being alike
APART = 10.5  # typographic points from line to line, at least
CODE = 0.62  # share of the width that the source has at most
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
    order from above. Of long functions, the lines without a point are left out, and then those at the end, and the
    picture says so.

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
    'Source with the sizes of output and δ'
    """
    found = sections(walk)
    sizes = {size.point.name: size for size in sizes_of(walk)}
    lines = [line for section in found for line in _lines(section)]
    width = max(len(line.text) for line in lines) * LETTER / 72 + 0.6
    height = 1.3 + 0.16 * sum(map(_height, _fitting(lines, MOST)[0]))
    with drawing(ax, min(max(width / CODE, 6.5), 10.0), height) as (axes, palette):
        lines, notes = _fitting(lines, MOST if ax is None else max(4, int(extent(axes)[1] / APART)))
        rows = rows_of([], [_height(line) for line in lines])
        start = _write(axes, lines, rows, palette)
        bars = _bars_beside(axes, rows, start, palette)
        shown = [[sizes[point.name] for point in line.points if point.name in sizes] for line in lines]
        axis = _axis(itertools.chain.from_iterable(shown))
        show(bars, axis, palette)
        for place, name in enumerate(SIDES):
            _draw_side(bars, shown, rows, axis, name, place, palette)
        bars.set_xlabel("root mean square")
        head(axes, "Source with the sizes of output and δ", bars)
        note(axes, palette, [*notes, *without_source(found), *_several(shown)], bars)
    return axes


def _lines(section: Section) -> Iterator[Line]:
    yield Line(printable(section.title))
    for number, code in section.source.items():
        yield Line(printable(code.expandtabs(4)), number, section.points.get(number, ()))


def _height(line: Line) -> float:
    """Return the height of a row: more where many thin bars are."""
    return 1 + min(1.5, 0.2 * max(0, len(line.points) - 1))


def _fitting(lines: Sequence[Line], most: int) -> tuple[list[Line], list[str]]:
    """Return at most so many rows, with a note on those that are left out."""
    kept, notes = list(lines), []
    if sum(map(_height, kept)) > most:
        kept = list(_folded(kept))
    while len(kept) > 1 and sum(map(_height, kept)) > most:
        kept.pop()
    done = sum(line.left_out + (line.number is not None) for line in kept)
    if last := [line for line in lines if line.number is not None][done:]:
        points = counted(sum(len(line.points) for line in last), "point")
        notes.append(
            f"{counted(len(last), 'more line')}, with {points}, {'has' if len(last) == 1 else 'have'} no room."
        )
    return kept, notes


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
    width = extent(ax)[0]
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


def _axis(sizes: Iterable[Size]) -> LogAxis:
    sides = [(size, side) for size in sizes for side in (size.output, size.delta) if side is not None]
    values = np.concatenate([np.zeros(0), *(side.rms.ravel() for _, side in sides)])
    return log_axis(values, any(np.any(size.nonfinite_steps(side)) for size, side in sides))


def _draw_side(
    bars: Axes, shown: Sequence[Sequence[Size]], rows: Rows, axis: LogAxis, name: str, place: int, palette: Palette
) -> None:
    """Draw one side of every line: its bars in the upper half of the row, or in the lower."""
    outlines, zeros, bad = [], [], []
    for i, sizes in enumerate(shown):
        sides = [(size, getattr(size, name)) for size in sizes if getattr(size, name) is not None]
        values = np.concatenate([np.zeros(0), *(side.rms.ravel() for _, side in sides)])
        is_bad = np.concatenate([np.zeros(0, bool), *(size.nonfinite_steps(side).ravel() for size, side in sides)])
        height = 0.42 * (rows.edges[i + 1] - rows.edges[i]) / max(1, values.size)
        tops = rows.middle(i) + (0 if place else -height * values.size) + height * np.arange(values.size)
        left = 10.0**axis.low
        outlines += [
            [(left, y), (x, y), (x, y + 0.9 * height), (left, y + 0.9 * height)]
            for x, y in zip(values, tops, strict=True)
            if np.isfinite(x) and x > 0
        ]
        zeros += list(tops[values == 0] + height / 2)
        bad += list(tops[is_bad] + height / 2)
    colour = getattr(palette, name)
    drawn = matplotlib("collections").PolyCollection(outlines, facecolors=colour, linewidths=0, label=SIDES[name])
    bars.add_collection(drawn, autolim=False)
    style = {"linestyle": "none", "markersize": 4, "markeredgewidth": 0}
    bars.plot([axis.zero] * len(zeros), zeros, marker="o", color=colour, label=f"_{name} zero", **style)
    bars.plot([axis.nonfinite] * len(bad), bad, marker="X", color=palette.alarm, label=f"_{name} bad", **style)


def _several(shown: Sequence[Sequence[Size]]) -> Iterator[str]:
    if any(
        len(sizes) > 1 or math.prod(sizes[0].point.shape[: len(sizes[0].point.axes)]) > 1 for sizes in shown if sizes
    ):
        yield "Several bars of one colour in a line: its passes, steps or values, in their order from above."
