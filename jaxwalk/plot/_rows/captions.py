"""What is written around a picture: the title and the legend above it, and notes below."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np

from ..._errors import counted
from ..._evaluate.result.evaluation import Evaluation
from ..._jax.types import widened
from ..._show.table import number
from ..._walk.culprits import mean_of
from ..._walk.result import Walk
from .._style import Palette
from .._words import room, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
TYPE = 7.5  # size of the letters of a note


def head(ax: Axes, title: str, within: Axes | None = None) -> None:
    """Write the title, and below it the legend of the axes or of those within, in as many columns as have room."""
    handles, labels = (within or ax).get_legend_handles_labels()
    width = room(ax)[0]
    columns = max(1, min(len(labels), int(width / (4.3 * max(map(len, labels), default=1) + 26))))
    lines = -(-len(labels) // columns)
    ax.set_title(wrapped(title, width, 10.5), loc="left", pad=8 + 12.5 * lines)
    if labels:
        legend = ax.legend(
            handles, labels, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2, borderpad=0, ncols=columns,
            handlelength=1, handletextpad=0.5, columnspacing=1.4, labelspacing=0.3,
        )  # fmt: skip
        for handle in legend.get_lines():  # as large as alone, where the dots are many and small
            handle.set_markersize(6)


def note(ax: Axes, palette: Palette, lines: Iterable[str], below: float | None = None) -> None:
    """Write notes below the name of the x axis, or so many points below the axes."""
    text = "\n".join(wrapped(line, room(ax)[0], TYPE) for line in lines)
    if text:
        place = ("axes fraction", ax.xaxis.label if below is None else "axes fraction")
        ax.annotate(
            text, (0, 0), (0, -(below or 4)), place, "offset points", va="top", fontsize=TYPE, color=palette.ink,
            alpha=0.8, annotation_clip=False,
        )  # fmt: skip


def loss_of(result: Walk | Evaluation) -> str:
    """Return the loss in a few words: "loss 0.5", "mean loss 0.5 of 3 data"."""
    if isinstance(result, Evaluation):
        bad = f"; {result.nonfinite} not finite, left out" if result.nonfinite else ""
        return f"mean loss {number(result.loss)} of {counted(result.count, 'datum', 'data')}{bad}"
    loss = np.asarray(result.value)
    if loss.ndim == 0:
        return f"loss {number(result.value)}"
    mean = number(mean_of(loss.astype(widened(jnp.asarray(loss).dtype))))
    return f"mean loss {mean} of {counted(loss.size, 'datum', 'data')}"
