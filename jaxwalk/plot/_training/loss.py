"""The loss from step to step, above the heat map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..._learn.history import History
from ..._optional import matplotlib
from .._rows.log_axis import LogAxis, few
from .._style import Palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SPAN = 30  # from the least to the largest loss, from which on the scale is logarithmic
TICKS = 4  # names beside the scale, at most
RUNS = 30  # lines of runs beside one another that are drawn


def draw_loss(ax: Axes, history: History, palette: Palette) -> None:
    """Draw the loss, a line for each run, with a mark at the top of each step in which it is a NaN or an Inf."""
    steps, loss = np.asarray(history.steps), np.asarray(history.loss, float)
    runs = loss.reshape(len(loss), -1)[:, :RUNS]
    finite = runs[np.isfinite(runs)]
    is_single = len(steps) == 1
    for run in runs.T:
        shown = np.where(np.isfinite(run), run, np.nan)
        alone = (
            np.isfinite(shown)
            & ~np.isfinite(np.append(shown[1:], np.nan))
            & ~np.isfinite(np.append(np.nan, shown[:-1]))
        )
        ax.plot(
            steps + 0.5 * is_single, shown, color=palette.ink, linewidth=1.2 if runs.shape[1] == 1 else 0.6, zorder=3
        )
        ax.plot(steps[alone] + 0.5 * is_single, shown[alone], "o", color=palette.ink, markersize=3, zorder=3)
    if finite.size and finite.min() > 0 and finite.max() > SPAN * finite.min():
        ax.set_yscale("log")
    bad = steps[~np.all(np.isfinite(runs), axis=1)]
    if bad.size:
        above = ax.get_xaxis_transform()
        ax.plot(bad + 0.5, np.ones(len(bad)), "|", color=palette.alarm, markersize=7, transform=above, clip_on=False)
    ax.tick_params(axis="x", length=0, labelbottom=False)
    ax.set_ylabel("loss")
    _name_ticks(ax)


def _name_ticks(ax: Axes) -> None:
    """Name a few sizes of the loss, on a logarithmic scale as those of all pictures."""
    ax.minorticks_off()
    if ax.get_yscale() == "linear":
        ax.yaxis.set_major_locator(matplotlib("ticker").MaxNLocator(3, prune="both"))
        return
    low, high = ax.get_ylim()
    ticks = few(LogAxis(np.log10(low), np.log10(high), None, None).ticks(TICKS), TICKS)
    ax.set_yticks([*ticks], [*ticks.values()])
    ax.set_ylim(low, high)
