"""The heat map itself: cells as one image, with the steps and the scale of its colours below it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..._optional import matplotlib
from .._rows.log_axis import TICK
from .._rows.rows import Rows
from .._style import Palette
from .._words import room
from .cells import Cells
from .colours import Colours, colours_of, draw_scale
from .raster import most_in_one, pixels, reduced

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STEPS = [1, 2, 5, 10]  # what the distance of two ticks begins with
SCALE = 44, 36  # typographic points that the scale of the colours is below the axes: its lower end, and its upper


def draw_cells(
    ax: Axes, cells: Sequence[Cells], rows: Rows, steps: np.ndarray, palette: Palette
) -> tuple[Colours, list[str]]:
    """Draw the cells as one image; return its colours, and how many cells are in one where these are several.

    Arguments:
        steps: where the columns of the cells begin, and where the last one ends.
    """
    width, height = room(ax)
    across = pixels(steps, int(width))
    values = np.concatenate([reduced(each.values, across, 0) for each in cells], 1).T
    down = pixels(_edges(cells, rows), int(height))
    values = reduced(values, down, 0)
    colours = colours_of(values, palette)
    extent = (steps[0], steps[-1], rows.edges[-1], 0)
    ax.imshow(colours.image(values, palette), extent=extent, aspect="auto", interpolation="none", zorder=1.5)
    for name, colour in colours.kinds.items():
        ax.plot([], [], "s", color=colour, markersize=6, label=name)
    several = {"steps": most_in_one(across), "rows": most_in_one(down)}
    parts = " and ".join(f"up to {count} {what}" for what, count in several.items() if count > 1)
    return colours, [f"A cell is of {parts}: the largest of them, a NaN or an Inf before all."] if parts else []


def _edges(cells: Sequence[Cells], rows: Rows) -> np.ndarray:
    """Return where each row of the cells begins, and where the last one ends: a point has those of its loops."""
    each = enumerate(cell.values.shape[1] for cell in cells)
    starts = [np.linspace(rows.edges[i], rows.edges[i + 1], count, endpoint=False) for i, count in each]
    return np.concatenate([*starts, rows.edges[-1:]])


def draw_below(ax: Axes, heat: Axes, colours: Colours, words: str, palette: Palette) -> None:
    """Draw what is below the heat map: the steps, and the scale of the colours."""
    most = max(2, int(room(heat)[0] / TICK))
    heat.set_xlabel("step", labelpad=1)
    heat.xaxis.set_major_locator(matplotlib("ticker").MaxNLocator(most, integer=True, steps=STEPS))
    transforms = matplotlib("transforms")
    # Down from the lower left corner in inches: how high the axes are is not settled before the words around them.
    down = ax.figure.dpi_scale_trans + transforms.ScaledTranslation(0, 0, ax.transAxes)
    place = transforms.blended_transform_factory(ax.transAxes, down)
    low, high = (-points / 72 for points in SCALE)
    draw_scale(ax.inset_axes((0, low, 0.5, high - low), transform=place), colours, words, palette)
