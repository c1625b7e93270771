"""`Signals`: what the rules look at: numbers by point and by step, wherever they come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from .._points.point import Point, Points

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
        data: the indices of the data with a NaN or an Inf, where they are known.
        knows_activations: whether there would be `active_share` and `saturated_share`, if activations had them.
        runs: how many runs of the function one step is: the data of an evaluation; 1 of a step on a batch.
    """

    points: Points
    loss: np.ndarray
    kept: Mapping[str, Numbers]
    weights: Mapping[str, Numbers]
    steps: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    data: tuple[int, ...] = ()
    runs: int = 1
    knows_activations: bool = True

    @property
    def length(self) -> int:
        """Return how many steps there are."""
        return len(self.loss)

    def get(self, name: str, key: str) -> np.ndarray | None:
        """Return one result of one point, in float64; None if it was not kept."""
        found = self.kept.get(name, {}).get(key)
        return None if found is None else np.asarray(found, np.float64)

    def having(self, *keys: str) -> Iterator[Point]:
        """Yield the points that have all of these results, a value with several names once, in forward order."""
        same = self.points.same()
        for name, point in self.points.items():
            if name in self.kept and same.get(name, name) == name and all(key in self.kept[name] for key in keys):
                yield point

    def per_step(self, name: str, key: str) -> np.ndarray:
        """Return one result of a point as (n, entries), what else it has as axes in one."""
        return np.asarray(self.kept[name][key], np.float64).reshape(self.length, -1)

    def span(self, verdict: np.ndarray) -> tuple[int, int] | None:
        """Return the numbers of the first and the last step in which a verdict, (n,), is true; None without steps."""
        if self.steps is None:
            return None
        places = np.flatnonzero(verdict)
        return int(self.steps[places[0]]), int(self.steps[places[-1]])

    def lasts(self, verdict: np.ndarray, known: np.ndarray | None = None) -> bool:
        """Tell whether a verdict, (n,), holds in most of the later half of the steps, of those in which it is known:
        not in passing."""
        told = verdict if known is None else verdict[known]
        late = told[len(told) // 2 :]
        return bool(len(late) and np.mean(late) > 0.5)

    def finite(self, point: Point, side: str) -> np.ndarray:
        """Tell in which steps no entry of a side, "output" or "delta", is NaN, as far as that was counted: (n,)."""
        if f"{side}_nan" not in self.kept[point.name]:
            return np.ones(self.length, bool)
        return self.per_step(point.name, f"{side}_nan").sum(axis=1) == 0
