"""What an evaluation does with every datum: a walk, or a method of attribution."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax

from ..._jax.tracing import Staged
from ..._points.point import Point, Points
from ..._walk.walk import walk_staged
from ...stats import Statistic
from ..placement import Placement
from .attributed import attribution, columns_of


class Task(NamedTuple):
    """What an evaluation does with every datum.

    Attributes:
        staged: the loss of one datum, traced.
        params: the values of its first inputs.
        datum: the shapes and dtypes of the others.
        points: those chosen.
        statistic: what to keep of them; None for nothing but norms.
        top: how many culprits.
        rows: how many rows a step takes, of all processes together.
        placed: where arrays are.
        kept_at: by point, what the statistic is there, if it differs among them.
        attributed: what a method of attribution finds of one datum, as shapes: `staged` is that, and not the loss.
    """

    staged: Staged
    params: list[Any]
    datum: list[jax.ShapeDtypeStruct]
    points: Points
    statistic: Statistic | None
    top: int
    rows: int
    placed: Placement
    kept_at: Any = None
    attributed: Any = None

    @property
    def with_delta(self) -> list[Point]:
        """The points that have a δ, of several names of one value one; of a method, those that have scores."""
        if self.attributed is not None:
            return [self.points[name] for name in self.attributed.totals.once()]
        same = self.points.same()
        return [p for p in self.points.values() if p.has_delta and p.name not in same]

    @property
    def method(self) -> str | None:
        """The name of the method of attribution, if there is one."""
        return None if self.attributed is None else self.attributed.method

    @property
    def columns(self) -> list[str]:
        """What the numbers of a datum beside its loss are of: points, by name, and `GAP`."""
        return [p.name for p in self.with_delta] if self.attributed is None else columns_of(self.attributed)

    def walk(self, params: list[Any], leaves: list[Any]) -> Any:
        """Return the loss of a datum and δ at the points; or the attribution."""
        if self.attributed is not None:
            return attribution(self.staged, params, leaves)
        staged = self.staged._replace(args=[*params, *leaves])
        walked = walk_staged(staged, Points(self.with_delta), lambda output, delta: delta)
        return walked.value, list(walked.kept.values())
