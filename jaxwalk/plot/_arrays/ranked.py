"""Bars below one another, the first on top, each with a name before it and words at its end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..._optional import matplotlib
from .._style import Palette
from .._words import LETTER, folded, has_layout, room
from .signed import NONFINITE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = 8  # points of the type of names and words
SHARE = 0.45  # of the width of the axes, that names and words may each take at most


class Bar(NamedTuple):
    """A bar: what it is of, how long it is, its colour, and what stands at its end."""

    label: str
    length: float
    color: object
    words: str


def draw_ranked(ax: Axes, bars: Sequence[Bar], counts: str, palette: Palette) -> None:
    """Draw bars; a NaN or an Inf is a band from side to side."""
    width, _ = room(ax)
    lengths, places = np.array([bar.length for bar in bars]), np.arange(len(bars))
    finite = np.isfinite(lengths)
    ax.barh(places[finite], lengths[finite], 0.7, color=[bar.color for bar in bars if np.isfinite(bar.length)])
    words = [folded(bar.words, SHARE * width, SIZE) for bar in bars]
    labels = [folded(bar.label, SHARE * width, SIZE) for bar in bars]
    beside = width - _points(labels) * has_layout(ax)  # which takes the room for the names from the axes
    ax.set_xlim(*limits(lengths, _points(words) / max(beside, 0.3 * width)))
    ax.xaxis.set_major_locator(matplotlib("ticker").MaxNLocator(5))
    for place, bar, text in zip(places, bars, words, strict=True):
        if not np.isfinite(bar.length):
            ax.axhspan(place - 0.35, place + 0.35, color=NONFINITE)
        write(ax, float(place), bar.length, text, palette)
    ax.set_yticks(places, labels)
    ax.set(ylim=(len(bars) - 0.4, -0.6), xlabel=counts)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.axvline(0, color=palette.faint, linewidth=0.6)


def _points(texts: Sequence[str]) -> float:
    return max(map(len, texts), default=0) * LETTER * SIZE


def limits(lengths: np.ndarray, share: float) -> tuple[float, float]:
    """Return limits within which words that take this share of the width have room at either end of a bar."""
    known = lengths[np.isfinite(lengths)]
    low, high = float(np.min(known, initial=0)), float(np.max(known, initial=0))
    sides = (low < 0) + (high > 0 or low == 0)
    more = ((high - low) or 1) * (share + 0.03) / max(1 - sides * (share + 0.03), 0.1)
    return low - more * (low < 0), high + more * (high > 0 or low == 0)


def write(ax: Axes, place: float, length: float, text: str, palette: Palette) -> None:
    """Write a text at the end of a bar; of one that is a NaN or an Inf, at 0."""
    is_back = np.isfinite(length) and length < 0
    behind = np.isfinite(length)
    ax.annotate(
        text, (length if behind else 0, place), (-3 if is_back else 3, 0), textcoords="offset points", fontsize=SIZE,
        ha="right" if is_back else "left", va="center", color=palette.ink if behind else "black",
    )  # fmt: skip
