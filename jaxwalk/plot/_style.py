"""How pictures look: colours, type and lines, for a light and for a dark figure, without a change to the user's own.

The palette is that of Okabe and Ito (https://jfly.uni-koeln.de/color/), which people of every kind of colour vision
tell apart.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from .._errors import ArgumentError, shown
from .._optional import matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIGNED = "RdBu_r"  # blue below zero, red above it
SIZED = "viridis"


class Palette(NamedTuple):
    """The colours of a picture, by what they stand for."""

    ink: str  # words and lines
    faint: str  # what stands back: grids, guides, what is unused
    paper: str  # what is behind
    output: str
    delta: str
    alarm: str  # a NaN or an Inf
    ends: str  # where the flow ends: dead, blocked
    kink: str


LIGHT = Palette("#24292f", "#8c959f", "#ffffff", "#0072b2", "#d55e00", "#b3003b", "#7a5195", "#009e73")
DARK = Palette("#e6edf3", "#7d8590", "#0d1117", "#56b4e9", "#e69f00", "#ff6b81", "#cc79a7", "#2fd6a3")


@contextlib.contextmanager
def drawing(ax: Axes | None, width: float, height: float) -> Iterator[tuple[Axes, Palette]]:
    """Yield the axes to draw on, and the palette: axes that are given, or those of a new figure, in inches.

    A figure that is dark already, by the user's own style, is drawn on in the dark palette. The settings of matplotlib
    are as before when this ends.

    Raises:
        JaxwalkError: matplotlib is not installed.
        ArgumentError: `ax` is none.
    """
    pyplot = matplotlib("pyplot")
    if ax is not None and not isinstance(ax, matplotlib("axes").Axes):
        raise ArgumentError(
            f"`ax` is {shown(ax)}, which is no `matplotlib.axes.Axes`; give one, or leave it out for a new figure."
        )
    palette = _palette(pyplot.rcParams["figure.facecolor"] if ax is None else _background(ax))
    with _set(pyplot.rcParams, _settings(palette)):
        if ax is not None:
            restyle(ax, palette)
        yield ax or pyplot.subplots(figsize=(width, height), layout="constrained")[1], palette


@contextlib.contextmanager
def _set(parameters: Any, settings: dict[str, Any]) -> Iterator[None]:
    """Set these parameters for a while, and no others.

    `rc_context` would set all of them back: also what the backend of a notebook sets as it is loaded with the first
    figure, so that no later figure would be shown.
    """
    before = {name: parameters[name] for name in settings}
    parameters.update(settings)
    try:
        yield
    finally:
        parameters.update(before)


def restyle(ax: Axes, palette: Palette) -> None:
    """Give axes that were made in the user's style the lines and letters of ours: these are settled by then."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(palette.faint)
    ax.grid(visible=False)
    ax.tick_params(colors=palette.faint, labelcolor=palette.ink, labelsize=8)
    for label in (ax.xaxis.label, ax.yaxis.label):
        label.set(fontsize=9, color=palette.ink, parse_math=False)


def _background(ax: Axes) -> Any:
    """Return the colour on which the axes stand: their own, or where that is see-through, the figure's."""
    own = ax.get_facecolor()
    figure = ax.get_figure(root=True)
    return own if matplotlib("colors").to_rgba(own)[3] > 0.5 or figure is None else figure.get_facecolor()


def _palette(background: Any) -> Palette:
    is_opaque = matplotlib("colors").to_rgba(background)[3] > 0.5
    return DARK if is_opaque and is_dark(background) else LIGHT


def is_dark(colour: Any) -> bool:
    """Tell whether white letters are read better on a colour than black ones."""
    red, green, blue = matplotlib("colors").to_rgb(colour)
    return 0.299 * red + 0.587 * green + 0.114 * blue < 0.5


def _settings(palette: Palette) -> dict[str, Any]:
    return {
        "font.size": 9.0,
        "axes.titlesize": 10.0,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.labelsize": 9.0,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": palette.faint,
        "axes.labelcolor": palette.ink,
        "axes.titlecolor": palette.ink,
        "axes.grid": False,
        "grid.color": palette.faint,
        "grid.alpha": 0.3,
        "grid.linewidth": 0.6,
        "lines.linewidth": 1.4,
        "text.color": palette.ink,
        "text.usetex": False,
        "text.parse_math": False,  # a user's name may have a "$" in it
        "xtick.color": palette.faint,
        "ytick.color": palette.faint,
        "xtick.labelcolor": palette.ink,
        "ytick.labelcolor": palette.ink,
        "xtick.labelsize": 8.0,
        "ytick.labelsize": 8.0,
        "legend.frameon": False,
        "legend.fontsize": 8.0,
        "image.interpolation": "nearest",
        "svg.fonttype": "none",
    }
