"""Findings in the picture of a training: frames around the points and steps that each is about."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from ..._health.finding import Finding
from ..._health.places import points_of
from .._rows.findings import TYPE
from .._rows.rows import Rows, runs
from .._style import Palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def frame(ax: Axes, findings: Iterable[Finding], rows: Rows, steps: np.ndarray, palette: Palette) -> None:
    """Draw a frame around the rows and the steps that each finding is about."""
    style = {"edgecolor": palette.alarm, "facecolor": "none", "linewidth": 1.2, "zorder": 3, "clip_on": False}
    for finding in findings:
        names = {*points_of(finding)}
        inside = [point.name in names for point in rows.points]
        for start, stop in runs(inside):
            if inside[start]:
                ends = float(rows.edges[start]), float(rows.edges[stop])
                ax.fill_between(_ends(finding, steps), *ends, label="_found", **style)


def shade(ax: Axes, findings: Iterable[Finding], steps: np.ndarray, palette: Palette) -> None:
    """Shade the steps that findings are about which are of no point, as of the loss, or of weights, with their names.

    Arguments:
        ax: where the loss is drawn.
    """
    for line, finding in enumerate(found for found in findings if not points_of(found)):
        first, last = _ends(finding, steps)
        if (first, last) != (steps[0], steps[-1]):  # of all, a shade would tell nothing
            ax.axvspan(first, last, color=palette.alarm, alpha=0.12, linewidth=0, label="_found")
        ax.annotate(
            finding.name, (first, 1), (2, -2 - (TYPE + 1) * line), ax.get_xaxis_transform(), "offset points", va="top",
            fontsize=TYPE, color=palette.alarm,
        )  # fmt: skip


def _ends(finding: Finding, steps: np.ndarray) -> tuple[float, float]:
    """Return where the steps of a finding begin and end; all of them if it has none."""
    if finding.steps is None:
        return float(steps[0]), float(steps[-1])
    first, last = finding.steps
    past = int(np.searchsorted(steps, last, "right").clip(1, len(steps) - 1))  # the step after it that is held
    return float(np.clip(first, steps[0], steps[past - 1])), float(steps[past])
