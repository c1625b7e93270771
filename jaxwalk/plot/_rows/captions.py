"""What is written around a picture: the title and the legend above it, and notes below."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np

from ..._errors import counted
from ..._evaluate.result.evaluation import Evaluation
from ..._jax.jaxpr.types import widened
from ..._learn.history import History
from ..._optional import matplotlib
from ..._show.table import number
from ..._walk.culprits import mean_of
from ..._walk.result import Walk
from .._sizes import place_of
from .._style import Palette
from .._words import has_layout, room, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import BboxBase
TYPE = 7.5  # size of the letters of a note
MARGINS = (34, 34, 8, 22)  # typographic points left, below, right and above that are there for any axes
LEAST = 0.3  # of the axes that are left of their slot


def head(ax: Axes, title: str, within: Axes | None = None) -> None:
    """Write the title, and below it the legend of the axes or of those within, flush with the names of the rows."""
    handles, labels = (within or ax).get_legend_handles_labels()
    left = _names(ax)
    width = room(ax)[0] + left
    columns, lines = _columns(labels, width)
    if lines > 3:  # what is marked first has no room
        labels = [label.partition(":")[0] for label in labels]
        columns, lines = _columns(labels, width)
    flush = matplotlib("transforms").ScaledTranslation(-left / 72, 0, ax.figure.dpi_scale_trans)
    text = ax.set_title(wrapped(title, width, 10.5), loc="left", pad=8 + 12.5 * lines)
    text.set_transform(text.get_transform() + flush)
    if labels:
        legend = ax.legend(
            handles, labels, loc="lower left", bbox_to_anchor=(0, 1), bbox_transform=ax.transAxes + flush,
            borderaxespad=0.2, borderpad=0, ncols=columns, handlelength=1, handletextpad=0.5, columnspacing=1.4,
            labelspacing=0.3,
        )  # fmt: skip
        for handle in legend.get_lines():  # as large as alone, where the dots are many and small
            handle.set_markersize(6)


def _names(ax: Axes) -> float:
    """Return how far the names of the rows reach to the left of the axes, in points."""
    outer, inner = ax.get_tightbbox(), ax.get_window_extent()
    return 0.0 if outer is None else max(0.0, (inner.x0 - outer.x0) * 72 / ax.figure.dpi)


def _columns(labels: Sequence[str], width: float) -> tuple[int, int]:
    """Return how many columns of a legend have room, and how many lines it then has."""
    columns = max(1, min(len(labels), int(width / (4.3 * max(map(len, labels), default=1) + 26))))
    return columns, -(-len(labels) // columns)


def note(ax: Axes, palette: Palette, lines: Iterable[str], below: float | None = None) -> None:
    """Write notes below the name of the x axis, or so many points below the axes."""
    left = _names(ax)
    width = room(ax)[0] + (0 if has_layout(ax) else left)  # a layout takes the names of the rows from that width
    text = "\n".join(wrapped(line, width, TYPE) for line in lines)
    if text:
        place = ("axes fraction", ax.xaxis.label if below is None else "axes fraction")
        ax.annotate(
            text, (0, 0), (-left, -(below or 4)), place, "offset points", va="top", fontsize=TYPE, color=palette.ink,
            alpha=0.8, annotation_clip=False,
        )  # fmt: skip


def fit(ax: Axes, slot: BboxBase) -> None:
    """Make axes that no layout takes care of smaller than their slot, by what the words around them take.

    Arguments:
        slot: where the axes were; words that are no longer than those around any axes may stand around it.
    """
    figure = ax.get_figure(root=True)
    if figure is None or has_layout(ax) or ax not in figure.axes:
        return
    outer, inner = ax.get_tightbbox(), ax.get_window_extent()
    if outer is None:
        return
    sides = (inner.x0 - outer.x0, inner.y0 - outer.y0, outer.x1 - inner.x1, outer.y1 - inner.y1)
    scale = (figure.bbox.width, figure.bbox.height) * 2
    around = (slot.x0, slot.y0, 1 - slot.x1, 1 - slot.y1)  # what is there of the figure
    free = [
        min(margin * figure.dpi / 72 / whole, part) for margin, whole, part in zip(MARGINS, scale, around, strict=True)
    ]
    left, below, right, above = (max(0, side / whole - f) for side, whole, f in zip(sides, scale, free, strict=True))
    width = max(slot.width - left - right, LEAST * slot.width)
    height = max(slot.height - below - above, LEAST * slot.height)
    ax.set_position((min(slot.x0 + left, slot.x1 - width), min(slot.y0 + below, slot.y1 - height), width, height))


def loss_of(result: Walk | Evaluation | History, step: int | None = None) -> str:
    """Return the loss in a few words: "loss 0.5", "mean loss 0.5 of 3 data", "step 7, loss 0.5"."""
    if isinstance(result, History):
        place = place_of(result, step)
        loss = np.asarray(result.loss[place], float)
        return f"step {result.steps[place]}, {'mean ' * bool(loss.ndim)}loss {number(loss.mean())}"
    if isinstance(result, Evaluation):
        bad = f"; {result.nonfinite} not finite, left out" if result.nonfinite else ""
        return f"mean loss {number(result.loss)} of {counted(result.count, 'datum', 'data')}{bad}"
    loss = np.asarray(result.value)
    if loss.ndim == 0:
        return f"loss {number(result.value)}"
    mean = number(mean_of(loss.astype(widened(jnp.asarray(loss).dtype))))
    return f"mean loss {mean} of {counted(loss.size, 'datum', 'data')}"
