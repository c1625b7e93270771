"""The colours of the heat map: sizes on a logarithmic scale, and a colour each for zeros and for what is no number."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..._optional import matplotlib
from .._rows.log_axis import LARGEST, SMALLEST, TICK, LogAxis, few, log_axis
from .._style import SIZED, Palette
from .._words import room

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ZEROS, NONFINITE, NOTHING = "exactly zero", "NaN, Inf", "not known"


class Colours(NamedTuple):
    """What is in the picture, and the scale that it needs.

    Attributes:
        axis: the scale of sizes.
        kinds: the colours of what is no size, by what it is called, of those that occur.
    """

    axis: LogAxis
    kinds: dict[str, str]

    def image(self, values: np.ndarray, palette: Palette) -> np.ndarray:
        """Return the colours of values, RGBA: ABSENT is see-through."""
        to_rgba = matplotlib("colors").to_rgba
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.log10(np.clip(values, SMALLEST, LARGEST))
        shares = (logs - self.axis.low) / (self.axis.high - self.axis.low)
        image = matplotlib("pyplot").get_cmap(SIZED)(np.clip(shares, 0, 1), bytes=True)
        for where, colour in ((values == 0, palette.faint), (values == np.inf, palette.alarm), (values < 0, (0,) * 4)):
            image[where] = np.round(255 * np.array(to_rgba(colour)))
        return image


def colours_of(values: np.ndarray, palette: Palette) -> Colours:
    """Return the scale for these values, and the colours of those that are no sizes."""
    found = {ZEROS: (values == 0, palette.faint), NONFINITE: (values == np.inf, palette.alarm)}
    kinds = {name: colour for name, (where, colour) in found.items() if np.any(where)}
    return Colours(log_axis(values[(values >= 0) & np.isfinite(values)], False), kinds)


def draw_scale(ax: Axes, colours: Colours, words: str, palette: Palette) -> None:
    """Draw the scale of the sizes in axes of its own, with its name at the right."""
    axis = colours.axis
    most = max(1, int(room(ax)[0] / TICK))
    ticks = few(axis.ticks(most), most)
    shades = np.linspace(0, 1, 256)[None]
    ax.imshow(shades, cmap=SIZED, aspect="auto", extent=(axis.low, axis.high, 0, 1))
    ax.set(yticks=[], xlim=(axis.low, axis.high))
    ax.set_xticks(np.log10([*ticks]), [*ticks.values()])
    ax.spines[:].set_visible(False)
    ax.tick_params(length=2, labelsize=7.5, pad=1.5)
    ax.annotate(words, (1, 0.5), (6, 0), "axes fraction", "offset points", va="center", fontsize=8, color=palette.ink)
