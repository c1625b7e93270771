"""`Signals`: what the rules look at: numbers by point and by step, wherever they come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from .._points.point import Points

Numbers = Mapping[str, np.ndarray]


class Signals(NamedTuple):
    """Numbers of a walk, of an evaluation, or of a history, all in one form.

    Attributes:
        points: in forward order, with what is computed from what (`Points.flow`).
        loss: a float for each step: (n,); of one walk or one evaluation n is 1.
        kept: by point, results by name as of `jw.stats.health`: arrays with the axis of steps in front, then the axes
            of the scans around the point, then the units.
        weights: by path, `weight_l2`, `gradient_l2`, `update_l2`: (n,). Empty where params are not known.
        steps: the numbers of the steps, (n,); None of what is no training.
        notes: sentences on what is not here, and why.
    """

    points: Points
    loss: np.ndarray
    kept: Mapping[str, Numbers]
    weights: Mapping[str, Numbers]
    steps: np.ndarray | None = None
    notes: tuple[str, ...] = ()
