"""Scores as a map: pixels red above zero and blue below it; a few numbers are bars, and one is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._optional import matplotlib
from .._arrays.images import pictured
from .._arrays.signed import draw_bars, draw_number, draw_pixels, draw_title
from .._style import SIGNED, Palette
from .._words import folded, lay_out, room, wrapped
from .image_below import draw_below, fitting, seen_through
from .labels import draw_labels, labelled
from .scores import Scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BARS = 64  # entries that are drawn as bars at most; more are a strip
SIDE = (48, 360)  # the least and the most pixels in a side of a picture
PIXELS = 1.5  # to a point of the paper: more would be lost on a screen


def draw_map(ax: Axes, scores: Scores, title: str, over: Any, labels: Sequence[str] | None, palette: Palette) -> None:
    """Draw scores in axes, with the title above them, and below them what must be said.

    Raises:
        ArgumentError: `over` or `labels` does not fit them.
    """
    image = None if over is None else fitting(over, scores)
    names = labelled(labels, scores)
    lay_out(ax)
    said = draw_title(ax, folded(title, max(room(ax)[0], 60), 9), scores.values)
    words = [said, *scores.words, *_draw(ax, scores, palette, SIGNED if image is None else seen_through())]
    if image is not None:
        words += draw_below(ax, image, scores)
    words += draw_labels(ax, names)
    width, _ = room(ax)
    text = wrapped("; ".join(filter(None, words)), max(width, 140), 8)
    ax.set_xlabel("\n".join(filter(None, [ax.get_xlabel(), text])), fontsize=8, labelpad=2)


def _draw(ax: Axes, scores: Scores, palette: Palette, cmap: Any) -> tuple[str, ...]:
    """Draw scores as what suits their shape; return what must be said of it."""
    values = scores.values
    if values.size == 0 or values.ndim == 0:
        ax.axis("off")
        if values.size:
            draw_number(ax, values.item(), palette)
        else:
            ax.text(0.5, 0.5, "no entries", ha="center", va="center", color=palette.ink, transform=ax.transAxes)
        return ()
    if values.ndim == 1 and values.size <= BARS:
        ax.yaxis.set_major_locator(matplotlib("ticker").MaxNLocator(5))  # which the layout took away
        draw_bars(ax, values, scores.axes[0].counts, palette)
        return ()
    picture = pictured(values, scores.axes, int(np.clip(max(room(ax)) * PIXELS, *SIDE)))
    draw_pixels(ax, picture, palette, cmap)
    return picture.words
