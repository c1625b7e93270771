"""`histograms`: how the entries of the output and of δ are distributed at each point."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._errors import ArgumentError, PointError, argument, counted, listed, shown
from .._optional import matplotlib
from .._points.name_patterns import At, choose
from .._points.point import Point
from .._show.table import is_readable
from .._walk.result import Walk
from ._checks import check_untraced
from ._rows.captions import fit, head, note
from ._rows.decades import PARTS, Counts, Scale, counts_of, scale_of
from ._rows.rows import WORDS, Rows, prepare, rows_of
from ._style import Palette, drawing
from ._words import room

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST = 60  # points in a figure of our own
APART = 11.5  # typographic points from row to row, at least, on axes of the user's own
SIDES = {"output": "output, above", "delta": "δ, below"}


class Row(NamedTuple):
    """A point, and what is counted of its output and of its δ, if it has them."""

    point: Point
    output: Counts | None
    delta: Counts | None


def histograms(walk: Walk, at: At = None, *, ax: Axes | None = None) -> Axes:
    """Draw how the entries of the output and of δ are distributed, a row for each point in forward order from above.

    The scale is logarithmic on both sides of zero: by size, the negative entries left of it. Above the line of a row
    stand the entries of the output, below it those of δ, each as high as its fullest bin. What share of the entries is
    zero, and how many are a NaN or an Inf, stands beside the row. Data and steps of a loop are taken together; of a
    complex entry, the absolute value. Where there are more points than have room, evenly chosen ones are drawn, and the
    title says so.

    Arguments:
        walk: what `jw.walk` returned, without `keep`.
        at: which points, as of `jw.walk`.
        ax: matplotlib's axes to draw on; None for those of a new figure.

    Returns:
        The axes.

    Raises:
        JaxwalkError: matplotlib is not installed.
        ArgumentError: `walk` is no `Walk`, or is being traced; or `ax` is none.
        PointError: `at` chooses no point; or the walk holds no numbers at those that it chooses.

    >>> import jax.numpy as jnp, jaxwalk as jw
    >>> walk = jw.walk(lambda x: jnp.sum(jw.tag(jnp.tanh(x), "tanh")))(jnp.array([1.0, -2.0, 0.0]))
    >>> jw.plot.histograms(walk).get_title(loc="left")
    'Distributions at 1 point'
    """
    held, without = _held(walk, at)
    with drawing(ax, 7.5, _height(min(len(held), MOST))) as (axes, palette):
        names = _evenly(held, MOST if ax is None else max(1, int((room(axes)[1] - WORDS) / APART)))
        found = [Row(walk.points[name], *(_counts(values.get(name)) for values in _sides(walk))) for name in names]
        rows = rows_of([row.point for row in found], [1.0] * len(found))
        notes = prepare(axes, rows, palette, {})
        _draw_numbers(axes, found, rows, palette)
        slot = axes.get_position()
        fit(axes, slot)
        scale = scale_of([counts for row in found for counts in row[1:] if counts is not None])
        scale.show(axes, palette)
        for name, sign in zip(SIDES, (-1, 1), strict=True):
            _draw_side(axes, found, rows, scale, name, sign, palette)
        axes.set_xlabel("value of an entry")
        head(axes, _title(len(names), len(held), len(walk.points)))
        note(axes, palette, [*notes, *_notes(found, scale, without)])
        fit(axes, slot)
    return axes


def _sides(walk: Walk) -> tuple[Any, Any]:
    return walk.outputs, walk.deltas


def _held(walk: Any, at: At) -> tuple[list[str], list[str]]:
    """Return the chosen points of which there are numbers, and those of which there are none."""
    if not isinstance(walk, Walk):
        raise ArgumentError(f"`walk` is {shown(walk)}, which is no `Walk`; give what `jw.walk(fun)(...)` returns.")
    check_untraced(walk)
    if not walk.outputs and not walk.deltas:
        raise PointError(f"The walk holds no outputs. {walk.outputs.why_empty()}")
    chosen = choose(walk.points, at)
    held = [name for name in chosen if any(is_readable(values.get(name)) for values in _sides(walk))]
    if not held:
        raise PointError(
            f"`{argument('at')}={shown(at)}` chooses points of which the walk holds no numbers: {listed(chosen)};"
            " choose others."
        )
    known = set(held)
    return held, [name for name in chosen if name not in known]


def _counts(values: Any) -> Counts | None:
    return counts_of(values) if is_readable(values) else None


def _height(rows: int) -> float:
    """Return how many inches a figure takes: of few points, each row has more room."""
    return 1.5 + rows * min(0.45, max(0.2, 4 / max(rows, 1)))


def _evenly(names: list[str], most: int) -> list[str]:
    """Return at most so many of the names, the first and the last among them."""
    places = np.unique(np.linspace(0, len(names) - 1, min(most, len(names))).round().astype(int))
    return [names[i] for i in places]


def _draw_side(
    ax: Axes, found: Sequence[Row], rows: Rows, scale: Scale, name: str, sign: int, palette: Palette
) -> None:
    """Draw the distributions of one side: filled steps, from the middle of the row up or down."""
    outlines = []
    for i, row in enumerate(found):
        if (counts := getattr(row, name)) is not None:
            for shares, direction in zip(scale.shares(counts), (-1, 1), strict=True):
                outlines += [_outline(direction * scale.edges(), shares, rows.middle(i), 0.46 * sign)] * bool(
                    any(shares)
                )
    colour = getattr(palette, name)
    steps = matplotlib("collections").PolyCollection(
        outlines, facecolors=colour, edgecolors=colour, linewidths=0.5, alpha=0.75, label=SIDES[name]
    )
    ax.add_collection(steps, autolim=False)


def _outline(edges: np.ndarray, shares: np.ndarray, middle: float, height: float) -> np.ndarray:
    x = np.concatenate([edges[:1], np.repeat(edges[1:-1], 2), edges[-1:], edges[-1:], edges[:1]])
    y = np.concatenate([np.repeat(shares, 2), [0, 0]])
    return np.stack([x, middle + height * y], 1)


def _draw_numbers(ax: Axes, found: Sequence[Row], rows: Rows, palette: Palette) -> None:
    """Write beside each row what share of the entries is zero, and how many are a NaN or an Inf, if any are."""
    right = 6.0
    for title, cells, colour in _columns(found, palette):
        right += 4.4 * max(map(len, (*title.splitlines(), *cells))) + 6
        write = functools.partial(
            ax.annotate, xycoords=ax.get_yaxis_transform(), textcoords="offset points", ha="right", fontsize=7.5,
            color=colour, annotation_clip=False,
        )  # fmt: skip
        write(title, (1, rows.edges[-1]), (right, -4), va="top")
        for i, cell in enumerate(cells):
            if cell:
                write(cell, (1, rows.middle(i)), (right, 0), va="center")


def _columns(found: Sequence[Row], palette: Palette) -> Iterator[tuple[str, list[str], str]]:
    """Yield the title, the cells and the colour of each column of numbers that has any."""
    for side, word in (("output", "output"), ("delta", "δ")):
        counts = [getattr(row, side) for row in found]
        zeros = [_share(each.zeros) if each is not None and each.zeros > 0 else "" for each in counts]
        nonfinite = [str(each.nonfinite) if each is not None and each.nonfinite else "" for each in counts]
        if any(zeros):
            yield f"{word}\nzero", zeros, getattr(palette, side)
        if any(nonfinite):
            yield f"{word}\nNaN, Inf", nonfinite, palette.alarm


def _share(share: float) -> str:
    return f"{100 * share:.3g} %" if share < 0.9995 or share == 1 else "> 99.9 %"


def _title(drawn: int, held: int, points: int) -> str:
    if drawn < held:
        return f"Distributions at {drawn} of {counted(held, 'point')}, evenly chosen; choose others by `at`"
    of = "" if held == points else f"{held} of "
    return f"Distributions at {of}{counted(points, 'point')}"


def _notes(found: Sequence[Row], scale: Scale, without: Sequence[str]) -> Iterator[str]:
    sides = [counts for row in found for counts in row[1:] if counts is not None]
    yield f"Bins of 1/{PARTS // scale.merged} decade; each distribution is as high as its fullest bin."
    if scale.below:
        yield f"Entries smaller than {scale.edges()[0]:g} are counted in the first bin beside zero."
    if any(row.point.axes for row in found):
        yield "All steps of a loop are taken together."
    if any(counts.every > 1 for counts in sides):
        yield "Of large arrays, evenly chosen entries are counted, about 200,000."
    if without:
        yield f"Without numbers: {listed(without, 4)}."
    if empty := [row.point.name for row in found if 0 in row.point.shape]:
        yield f"Without entries: {listed(empty, 4)}."
