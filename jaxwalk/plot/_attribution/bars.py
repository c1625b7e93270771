"""Points as rows: the totals of their scores as bars, and beside them the mean of |score|, on a logarithmic scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..._optional import matplotlib
from .._arrays.ranked import limits
from .._arrays.signed import NONFINITE, sign_colors
from .._rows.captions import fit, head, note
from .._rows.log_axis import log_axis, show
from .._rows.rows import LABEL, Rows, bands, prepare
from .._style import Palette
from .._words import LETTER, in_words, lay_out, room
from .totals import Totals

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHARE, GAP = 0.68, 30.0  # of the width that the bars take, and points between these and the sizes
BELOW = 34.0  # points that the names of the scales take
DIGITS, SIZE = 3, 7.5  # of the number at the end of a bar, and of its type in points


def draw_totals(ax: Axes, totals: Totals, palette: Palette) -> None:
    """Draw rows of points in axes."""
    rows = totals.rows
    lay_out(ax)
    left, right = _insets(ax)
    names = prepare(left, rows, palette, {})
    slot = ax.get_position()
    fit(ax, slot)
    right.set_ylim(left.get_ylim())
    bands(left, rows, palette)
    _draw_bars(left, totals, palette)
    _draw_sizes(right, totals, palette)
    head(ax, totals.title, left)
    note(ax, palette, [*totals.notes, *names], BELOW)
    fit(ax, slot)


def _insets(ax: Axes) -> tuple[Axes, Axes]:
    """Return axes for the bars, and at their right for the sizes, within these axes."""
    gap = min(GAP / max(room(ax)[0], 1), 0.1)
    ax.set(xticks=[], yticks=[], facecolor="none")
    ax.spines[:].set_visible(False)
    left, right = ax.inset_axes((0, 0, SHARE, 1)), ax.inset_axes((SHARE + gap, 0, 1 - SHARE - gap, 1))
    for each in (left, right):
        each.set_facecolor("none")
    right.tick_params(axis="y", length=0, labelleft=False)
    right.spines["left"].set_visible(False)
    return left, right


def _draw_bars(ax: Axes, totals: Totals, palette: Palette) -> None:
    """Draw the bars of all rows, with their numbers where these have room, and the line of what is promised."""
    places, heights, values = _bars(totals)
    finite = np.isfinite(values)
    ax.barh(places[finite], values[finite], heights[finite], color=sign_colors(values[finite]), label="_totals")
    for place, height in zip(places[~finite], heights[~finite], strict=True):
        ax.axhspan(place - height / 2, place + height / 2, color=NONFINITE)
    is_roomy = room(ax)[1] / max(totals.rows.edges[-1], 1) >= LABEL
    words = _numbers(totals) if is_roomy else []
    width = max((len(word) for _, _, word in words), default=0) * LETTER * SIZE
    promised = [] if totals.promised is None else [totals.promised]
    ax.set_xlim(*limits(np.array([*values, *promised]), min(width / max(room(ax)[0], 1), 0.3)))
    for place, length, word in words:
        _write(ax, place, length, word, palette)
    ax.axvline(0, color=palette.faint, linewidth=0.8)
    if promised and np.isfinite(promised[0]):
        said = f"what the inputs' scores should add up to: {in_words(promised[0])}"
        ax.axvline(promised[0], color=palette.ink, linewidth=1, linestyle=(0, (4, 3)), label=said)
    ax.xaxis.set_major_locator(matplotlib("ticker").MaxNLocator(5))
    ax.set_xlabel("total of the scores")


def _write(ax: Axes, place: float, length: float, word: str, palette: Palette) -> None:
    """Write a number at the end of a bar, in front of the line that may be there; on the band of a NaN, at 0."""
    is_back, is_band = length < 0, not np.isfinite(length)
    behind = {"facecolor": NONFINITE if is_band else ax.figure.get_facecolor(), "edgecolor": "none", "pad": 0.5}
    ax.annotate(
        word, (0 if is_band else length, place), (-4 if is_back else 4, 0), textcoords="offset points", fontsize=SIZE,
        va="center", ha="right" if is_back else "left", color="black" if is_band else palette.ink, bbox=behind,
    )  # fmt: skip


def _bars(totals: Totals) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return where the bars of all rows and steps are, how high they are, and how long."""
    rows, counts = totals.rows, [each.total.size for each in totals.each]
    places = [rows.steps(i, count) for i, count in enumerate(counts)]
    heights = [np.full(count, 0.8 * np.diff(rows.edges)[i] / count) for i, count in enumerate(counts)]
    lengths = [each.total for each in totals.each]
    return np.concatenate(places), np.concatenate(heights), np.concatenate(lengths)


def _numbers(totals: Totals) -> list[tuple[float, float, str]]:
    """Return of each row of one bar where it is, how long, and its number."""
    alone = [(i, float(each.total[0])) for i, each in enumerate(totals.each) if each.total.size == 1]
    return [(totals.rows.middle(i), value, in_words(value, DIGITS)) for i, value in alone]


def _draw_sizes(ax: Axes, totals: Totals, palette: Palette) -> None:
    """Draw the mean of |score| of each row: a dot, and a small one for each step of a loop."""
    sizes = np.concatenate([each.size for each in totals.each])
    axis = log_axis(sizes, bool(np.any(~np.isfinite(sizes))))
    rows: Rows = totals.rows
    each = room(ax)[1] / max(rows.edges[-1], 1)
    for i, found in enumerate(totals.each):
        count = found.size.size
        x = axis.place(found.size)
        x = np.where(np.isfinite(found.size), x, axis.nonfinite or np.nan)
        ax.plot(x, rows.steps(i, count), "o", color=palette.delta, markersize=min(5.0 if count == 1 else 2.2, each),
                markeredgewidth=0, label="_sizes")  # fmt: skip
    show(ax, axis, palette)
    ax.set_xlabel("|score| mean")
