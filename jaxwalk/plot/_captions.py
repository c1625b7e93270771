"""What is written around a picture: the title and the legend above it, and notes below."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING

from .._printable import printable
from ._style import Palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def head(ax: Axes, title: str, within: Axes | None = None) -> None:
    """Write the title, and below it the legend of the axes or of those within, in as many columns as have room."""
    handles, labels = (within or ax).get_legend_handles_labels()
    width = extent(ax)[0]
    columns = max(1, min(len(labels), int(width / (4.3 * max(map(len, labels), default=1) + 26))))
    lines = -(-len(labels) // columns)
    ax.set_title(textwrap.fill(title, max(24, int(width / 6))), loc="left", pad=8 + 12.5 * lines)
    if labels:
        legend = ax.legend(
            handles, labels, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2, borderpad=0, ncols=columns,
            handlelength=1, handletextpad=0.5, columnspacing=1.4, labelspacing=0.3,
        )  # fmt: skip
        for handle in legend.get_lines():  # as large as alone, where the dots are many and small
            handle.set_markersize(6)


def note(ax: Axes, palette: Palette, lines: Iterable[str], within: Axes | None = None) -> None:
    """Write notes below the name of the x axis of the axes, or of those within."""
    width = extent(ax)[0]
    wrapped = [part for line in lines for part in textwrap.wrap(printable(line), max(24, int(width / 4.2)))]
    if wrapped:
        ax.annotate(
            "\n".join(wrapped), (0, 0), (0, -4), ("axes fraction", (within or ax).xaxis.label), "offset points", va="top",
            fontsize=7.5, color=palette.ink, alpha=0.8, annotation_clip=False,
        )  # fmt: skip


def extent(ax: Axes) -> tuple[float, float]:
    """Return how wide and how high axes are, in typographic points."""
    box, dots = ax.get_window_extent(), ax.figure.dpi
    return box.width / dots * 72, box.height / dots * 72
