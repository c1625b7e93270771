"""Small images of data beside one another, each with what it is above it, and its δ below."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..._optional import matplotlib
from .._words import folded, in_words, room
from .as_image import channels_at, delta_pixels, image_pixels
from .images import Picture
from .signed import NONFINITE, largest_of, show_signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 6  # images in a line, at most
SIDE = 1.45  # inches that an image takes in a figure of its own
TITLE = 27  # points above an image, for two lines
BELOW = 24  # points below it for what stands between it and its δ, and below that
GAP = 8  # points between two images
SIGNS = "below each image its δ: red where more makes the loss larger, blue where smaller"


class Item(NamedTuple):
    """A datum in a gallery: what it is, what its loss is, its image, and the δ of that if it is known."""

    caption: str
    loss: str
    image: Any
    delta: Any | None = None


def gallery_size(items: Sequence[Item]) -> tuple[float, float]:
    """Return how wide and how high a gallery is, in inches."""
    columns = min(len(items), COLUMNS)
    lines, several = math.ceil(len(items) / columns), 1 + _has_delta(items)
    each = SIDE * several + (TITLE + BELOW * (several - 1)) / 72
    return SIDE * columns + GAP * (columns - 1) / 72 + 0.15, each * lines + 0.5


def draw_gallery(ax: Axes, items: Sequence[Item], cmap: Any) -> list[str]:
    """Draw items in lines of a few; return what must be said of them."""
    width, height = room(ax)
    several = 1 + _has_delta(items)
    sides = {n: _side(n, len(items), several, width, height) for n in range(1, len(items) + 1)}
    columns, side = max(sides.items(), key=operator.itemgetter(1))
    across, up = (width + GAP) / columns, height / math.ceil(len(items) / columns)
    for place, item in enumerate(items):
        left, top = (place % columns) * across, height - (place // columns) * up - min(TITLE, 0.3 * up)
        box = lambda bottom, left=left: (left / width, bottom / height, side / width, side / height)
        _draw_image(ax.inset_axes(box(top - side)), item, cmap)
        if item.delta is not None:
            _draw_delta(ax.inset_axes(box(top - 2 * side - BELOW / 3)), item.delta)
    return _words(items)


def _side(columns: int, count: int, several: int, width: float, height: float) -> float:
    """Return how many points the side of an image is long, if there are so many columns."""
    up = height / math.ceil(count / columns)
    return min((width + GAP) / columns - GAP, max((up - TITLE - BELOW * (several - 1)) / several, 0.2 * up))


def _has_delta(items: Sequence[Item]) -> bool:
    return any(item.delta is not None for item in items)


def _words(items: Sequence[Item]) -> list[str]:
    words = [SIGNS] if _has_delta(items) else []
    shapes = [np.shape(item.delta) for item in items if item.delta is not None]
    if any((at := channels_at(shape)) is not None and shape[at] > 1 for shape in shapes):
        words.append("of the channels of a pixel, the δ of largest magnitude")
    return words


def _draw_image(ax: Axes, item: Item, cmap: Any) -> None:
    colors = matplotlib("pyplot").get_cmap(cmap).with_extremes(bad=NONFINITE)
    ax.imshow(np.ma.masked_invalid(image_pixels(item.image)), cmap=colors)
    _frame(ax)
    width, _ = room(ax)
    at: Any = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "baseline"}
    ax.annotate(folded(item.caption, width, 9), (0, 1), (0, 14), fontsize=9, fontweight="bold", **at)
    ax.annotate(item.loss, (0, 1), (0, 3), fontsize=8, **at)


def _draw_delta(ax: Axes, delta: Any) -> None:
    pixels = np.ma.array(delta_pixels(delta))
    show_signed(ax, Picture(pixels, pixels.shape, ("", ""), ()))
    _frame(ax)
    ax.set_xlabel(f"largest |δ| {in_words(largest_of(pixels), 2)}", fontsize=8, labelpad=2)


def _frame(ax: Axes) -> None:
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(True)
    ax.spines[:].set_linewidth(0.6)
