"""Findings in the picture of a training: frames around the points and steps of each, bars of those of no point."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from ..._health.finding import Finding
from ..._health.places import points_of
from .._rows.findings import TYPE
from .._rows.rows import Rows, runs
from .._style import Palette
from .._words import room

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LANE, APART = TYPE + 3.0, 4.0  # typographic points of a line of a finding below the loss, and that it is below it
MOST = 6  # such lines
LATE = 0.75  # of the steps, after which a name stands at the right end of its line


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


def lanes_of(findings: Iterable[Finding], height: float = np.inf) -> int:
    """Return how many lines the findings take that are about no point, as of the loss, or of weights.

    Arguments:
        height: of the whole picture, in points, of which they take a fourth at most.
    """
    return min(len(_of_no_point(findings)), MOST, int(min(height, 1e4) / 4 / LANE))


def write_lanes(ax: Axes, findings: Iterable[Finding], lanes: int, steps: np.ndarray, palette: Palette) -> None:
    """Write the names of findings that are about no point below the loss, each in a bar over the steps it is about.

    Arguments:
        ax: where the loss is drawn.
        lanes: how many there is room for; notes name them all.
    """
    height = max(room(ax)[1], 1)  # parts of it and not points, which would not shrink with what is around them
    place = ax.get_xaxis_transform()
    for line, finding in enumerate(_of_no_point(findings)[:lanes]):
        first, last = _ends(finding, steps)
        down = -(LANE * (line + 0.5) + APART) / height
        style = {"linewidth": LANE - 2.5, "solid_capstyle": "butt", "alpha": 0.2, "clip_on": False, "label": "_found"}
        ax.plot([first, last], [down, down], color=palette.alarm, transform=place, **style)
        is_late = first > steps[0] + LATE * (steps[-1] - steps[0])
        x, side, where = (float(steps[-1]), -3, "right") if is_late else (first, 3, "left")
        ax.annotate(
            finding.name, (x, down), (side, 0), place, "offset points", va="center", ha=where, fontsize=TYPE,
            color=palette.alarm, annotation_clip=False,
        )  # fmt: skip


def _of_no_point(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if not points_of(finding)]


def _ends(finding: Finding, steps: np.ndarray) -> tuple[float, float]:
    """Return where the steps of a finding begin and end; all of them if it has none."""
    if finding.steps is None:
        return float(steps[0]), float(steps[-1])
    first, last = finding.steps
    past = int(np.searchsorted(steps, last, "right").clip(1, len(steps) - 1))  # the step after it that is held
    return float(np.clip(first, steps[0], steps[past - 1])), float(steps[past])
