"""`heat`: the output and the δ of one point, side by side, as pictures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from .._errors import ArgumentError, counted, shown
from .._walk.result import Walk
from ._arrays.chosen import Chosen, chosen
from ._arrays.images import Axis, pictured
from ._arrays.signed import draw_bars, draw_number, draw_pixels, draw_title
from ._style import Palette, drawing
from ._words import folded, lay_out, panels, room, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BARS = 64  # entries that are drawn as bars at most; more are a strip
SIDE = (48, 360)  # the least and the most pixels in a side of a picture
PARTS = "part (real, imaginary)"
PIXELS = 1.5  # to a point of the paper: more would be lost on a screen


def heat(
    walk: Walk,
    name: str,
    *,
    datum: int | tuple[int, ...] | None = None,
    step: int | tuple[int, ...] | None = None,
    channels: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the output and the δ of one point as pictures, side by side: red above zero, blue below it.

    Each has its own scale, symmetric around zero. Up to 64 numbers in a row are bars; more are a strip. A matrix is
    drawn as it lies; of a value of three axes or more, images or maps are tiled. What is larger than there is room for
    is reduced, block by block, to the entry of largest magnitude. A NaN or an Inf has a colour of its own, and is
    counted. The real and the imaginary part of complex numbers are drawn one after the other. What was chosen, tiled or
    reduced is written below.

    Arguments:
        walk: what `jw.walk` returned, with outputs and deltas (without `keep`).
        name: of a point.
        datum: of many walks, by `jax.vmap`, which; unless told, the one of largest loss. A tuple where several
            `jax.vmap` are nested.
        step: of a point in a scan, which; unless told, all, tiled or as rows. A tuple in a scan in a scan.
        channels: which axis of the value, of three or more, is tiled: 0 for channels or heads that come first, -1 for
            those that come last. Unless told it is guessed, of the last three, as the one unlike the other two; where
            none is, the first if it is the shortest, else the last.
        ax: the axes to draw in; a new figure's unless told. The pictures are insets of it.

    Returns:
        The axes.

    Raises:
        ArgumentError: an argument does not fit, or the walk is being traced.
        PointError: there is no such point in the walk, it is opaque, or its values are no numbers.
        JaxwalkError: matplotlib is not installed.

    >>> import jax.numpy as jnp, jaxwalk as jw
    >>> walk = jw.walk(lambda x: jnp.sum(jw.tag(jnp.outer(x, x), "outer") ** 2))(jnp.arange(3.0))
    >>> ax = jw.plot.heat(walk, "outer")
    >>> [panel.get_title(loc="left") for panel in ax.child_axes]
    ['output', 'δ']
    """
    what = chosen(walk, name, datum, step)
    _check_channels(channels, sum(not axis.leads for axis in what.axes))
    with drawing(ax, 7.2, 3.3) as (ax, palette):
        lay_out(ax)
        width, _ = room(ax)
        words = [*what.words, *_draw_sides(ax, what, channels, palette)]
        ax.set(xticks=[], yticks=[], facecolor="none")
        ax.spines[:].set_visible(False)
        point = walk.points[name]
        ax.set_title(folded(f"{name}  {point.dtype}{list(point.shape)}", width, 10))
        ax.set_xlabel(
            wrapped("; ".join(filter(None, dict.fromkeys(words))), width, 8), loc="left", fontsize=8, labelpad=2
        )
        return ax


def _check_channels(channels: Any, rank: int) -> None:
    if channels is None:
        return
    if not isinstance(channels, int) or isinstance(channels, bool):
        raise ArgumentError(f"`channels` is {shown(channels)}; give the number of an axis, as 0 or -1.")
    if rank < 3:
        raise ArgumentError(
            f"`channels` is {channels}, but a value of {counted(rank, 'axis', 'axes')} has none to tile."
        )
    if not -rank <= channels < rank:
        raise ArgumentError(
            f"`channels` is {channels}, but the value has {rank} axes, counted from 0; give one of them."
        )


def _draw_sides(ax: Axes, what: Chosen, channels: int | None, palette: Palette) -> Iterator[str]:
    """Draw a panel for each side, and yield what must be said of them."""
    boxes = panels(ax, len(what.sides))
    for (side, values), box in zip(what.sides.items(), boxes, strict=True):
        panel = ax.inset_axes(box)
        yield draw_title(panel, side, values)
        yield from _draw(panel, values, what.axes, channels, palette)


def _draw(ax: Axes, values: np.ndarray, axes: list[Axis], channels: int | None, palette: Palette) -> tuple[str, ...]:
    """Draw the numbers of one side as what suits their shape; return what must be said of it."""
    if values.size == 0:
        ax.axis("off")
        ax.text(0.5, 0.5, "no entries", ha="center", va="center", color=palette.ink)
        return ()
    if values.ndim == 0:
        draw_number(ax, values.item(), palette)
        return ()
    if np.iscomplexobj(values):
        values, axes = np.stack([np.real(values), np.imag(values)]), [Axis(PARTS, True), *axes]
    if values.ndim == 1 and values.size <= BARS:
        draw_bars(ax, values, axes[0].counts, palette)
        return ()
    side = max(room(ax)) * PIXELS
    picture = pictured(values, axes, int(np.clip(side, *SIDE)), channels)
    draw_pixels(ax, picture, palette)
    return picture.words
