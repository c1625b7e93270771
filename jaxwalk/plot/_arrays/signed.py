"""Signed numbers drawn in a panel: as pixels with the scale of their colours, as bars, or as the number itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..._optional import matplotlib
from .._style import SIGNED, Palette
from .._words import has_room, in_words, nonfinite
from .images import Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

NONFINITE = "#f0e442"  # of the same palette as the rest; the colour of alarm is too near to the red of large numbers
STRETCH = 4  # how much longer than wide pixels may lie before they are stretched to fill the panel


def draw_pixels(ax: Axes, picture: Picture, palette: Palette, cmap: Any = SIGNED) -> None:
    """Draw a picture with what its rows and columns count, and with the scale of its colours beside it."""
    image, top = show_signed(ax, picture, cmap)
    ax.set_facecolor((*matplotlib("colors").to_rgb(palette.faint), 0.5))  # between tiles
    _label(ax, picture)
    _scale(ax, image, top)


def show_signed(ax: Axes, picture: Picture, cmap: Any = SIGNED) -> tuple[AxesImage, float]:
    """Draw pixels red above zero and blue below it, symmetric around zero; return also the largest magnitude.

    What is a NaN or an Inf has a colour that is neither.
    """
    pixels = picture.pixels
    bad = ~np.isfinite(pixels.filled(0))
    shown = np.ma.array(pixels, mask=np.ma.getmaskarray(pixels) | bad)
    top = largest_of(shown)
    unit = 1 if top == 0 or 1e-30 < top < 1e30 else top  # beyond these matplotlib's float32 overflows
    height, width = picture.covers or pixels.shape
    shape: Any = {"extent": (-0.5, width - 0.5, height - 0.5, -0.5), "aspect": _aspect(height, width)}
    ends = (top or 1) / unit
    image = ax.imshow(shown / unit, cmap=cmap, vmin=-ends, vmax=ends, **shape)
    if bad.any():
        alarm = matplotlib("colors").ListedColormap([NONFINITE])
        ax.imshow(np.ma.array(bad, mask=~bad), cmap=alarm, vmin=0, vmax=1, **shape)
    return image, top


def _aspect(height: int, width: int) -> str:
    return "equal" if max(height, width) <= STRETCH * min(height, width) else "auto"


def _label(ax: Axes, picture: Picture) -> None:
    ax.spines[:].set_visible(False)
    ticker = matplotlib("ticker")
    for axis, label in ((ax.yaxis, picture.labels[0]), (ax.xaxis, picture.labels[1])):
        axis.set_label_text(label)
        axis.set_major_locator(ticker.MaxNLocator(5, integer=True) if label else ticker.NullLocator())
    ax.tick_params(length=2)


def _scale(ax: Axes, image: AxesImage, top: float) -> None:
    """Put the scale of the colours at the right of an image, with its two ends and zero."""
    figure = ax.get_figure(root=False)
    assert figure is not None
    ends = float(image.get_clim()[1] or 1)
    ticks = [-ends, 0, ends] if top else [0]
    bar = figure.colorbar(image, cax=ax.inset_axes((1.03, 0, 0.05, 1)), ticks=ticks)
    bar.set_ticklabels([in_words(end, 3) for end in ([-top, 0, top] if top else [0])])
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=2)


def draw_title(ax: Axes, title: str, values: np.ndarray) -> str:
    """Write above a panel what it shows, and what holds for all of its numbers; return the latter if it is narrow."""
    ax.set_title(title, fontsize=9)
    bad = nonfinite(values)
    words = bad or "all zero" * bool(values.size and not np.any(values))
    if not has_room(ax, title + words, 9):
        return f"{title}: {words}" if words else ""
    if bad:
        behind = {"facecolor": NONFINITE, "edgecolor": "none", "pad": 1.5}
        ax.set_title(bad, loc="right", fontsize=8, color="black", bbox=behind)
    elif words:
        ax.set_title(words, loc="right", fontsize=8, fontweight="normal")
    return ""


def draw_bars(ax: Axes, values: np.ndarray, label: str, palette: Palette) -> None:
    """Draw a bar for each of a few numbers, in the colour of its sign; behind a NaN or an Inf a band of its own."""
    places, finite = np.arange(values.size), np.isfinite(values)
    ax.bar(places[finite], values[finite], 0.8, color=sign_colors(values[finite]))
    for place in places[~finite]:
        ax.axvspan(place - 0.4, place + 0.4, color=NONFINITE)
    if not largest_of(values):
        ax.set(ylim=(-1, 1), yticks=[0])
    ax.axhline(0, color=palette.faint, linewidth=0.6)
    ax.set(xlim=(-0.6, values.size - 0.4), xlabel=label)
    ax.xaxis.set_major_locator(matplotlib("ticker").MaxNLocator(8, integer=True))


def sign_colors(values: np.ndarray) -> list[tuple[float, ...]]:
    """Return for each number the red of what is positive, or the blue of what is negative."""
    colors = matplotlib("pyplot").get_cmap(SIGNED)
    return [colors(0.85 if value >= 0 else 0.15) for value in values]


def largest_of(values: np.ndarray) -> float:
    """Return the largest magnitude of those that are finite and not masked; 0 if there is none."""
    values = np.ma.compressed(values)
    return float(np.max(np.abs(values[np.isfinite(values)]), initial=0))


def draw_number(ax: Axes, value: complex, palette: Palette) -> None:
    """Write one number in the middle of a panel, in the colour of its sign if it has one."""
    ax.axis("off")
    has_sign = np.isreal(value) and value != 0
    color = sign_colors(np.array([np.real(value)]))[0] if has_sign else palette.ink
    color = color if np.isfinite(value) else palette.alarm
    ax.text(0.5, 0.5, in_words(value), ha="center", va="center", fontsize=18, color=color)
