"""`History`: the loss, and what was kept at each point, step by step, in bounded memory."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from .._points.ordered_mapping import Named
from .._points.point import Points


@dataclasses.dataclass(frozen=True, eq=False)
class History:
    """What training went through. NumPy's arrays; where there is an axis of steps, it is the first.

    Attributes:
        steps: the numbers of the steps that are held, from 0, in order.
        loss: of each of these steps.
        kept: by point in forward order, what `keep` made of it, stacked over these steps.
        weights: by the path of each array of the params, `weight_l2`, `gradient_l2`, `update_l2`, stacked.
        points: the `Points` that were watched.
        total: how many steps there were.
        stride: every how many steps one is held: 1, or a power of two where there were too many to hold them all.
        notes: sentences on what is not here.
    """

    steps: np.ndarray
    loss: np.ndarray
    kept: Named
    weights: Named
    points: Points
    total: int
    stride: int = 1
    notes: tuple[str, ...] = ()
    findings: Any = ()
