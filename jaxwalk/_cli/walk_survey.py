"""Surveys a model over data on disk: per point the size of output and δ, and the data most to blame."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._errors import ArgumentError, DataError, PointError, first_line
from .._evaluate.evaluate import evaluate
from .._evaluate.forward import kinks_over, outputs_over
from .._evaluate.result.datum import Datum
from .._evaluate.result.evaluation import Evaluation
from .._points.find import find
from .._points.name_patterns import choose
from .._points.point import Point, Points
from .._source.user_files import Source
from .._walk.nonfinite import Nonfinite
from .._walk.walk import loss_only, walk
from ..stats import Statistic, of_output
from .data.dataset import DataBatches, Dataset
from .point_sizes import sizes

Kept = Mapping[str, np.ndarray]


class PointSizes(NamedTuple):
    """A point, the sizes of its output and of its δ, None if nothing is known, and the kinks among what feeds it."""

    point: Point
    output: Kept | None
    delta: Kept | None
    kinks: int


class Survey(NamedTuple):
    """A survey of a model over data.

    Attributes:
        points: those walked, and those asked for that cannot be.
        evaluation: of the data.
        outputs: of points that have no δ, what is kept of their outputs.
        kinks: by point; None: at no point. Or why they were not counted; or None, if they were not to be.
        first: where the first datum that is not finite has its first NaN or Inf, if there is one.
        given: which of its x and y have one already.
    """

    points: Points
    evaluation: Evaluation
    outputs: Mapping[str, Kept]
    kinks: Mapping[str | None, int] | str | None
    first: Nonfinite | None
    given: Sequence[str] = ()

    @property
    def by_point(self) -> list[PointSizes]:
        """Return the sizes at each point, in forward order."""
        return [self._at(point) for point in self.points.values()]

    @property
    def bad(self) -> list[int]:
        """Return those data with a NaN or Inf that are among the culprits."""
        return [datum.index for datum in self.evaluation.culprits if not _is_finite(datum)]

    def _at(self, point: Point) -> PointSizes:
        kept = self.evaluation.kept.get(point.name, self.outputs.get(point.name, {}))
        kinks = self.kinks.get(point.name, 0) if isinstance(self.kinks, Mapping) else 0
        return PointSizes(point, _side(kept, "output"), _side(kept, "delta"), kinks)


def _side(kept: Kept, side: str) -> Kept | None:
    found = {key.removeprefix(f"{side}_"): value for key, value in kept.items() if key.startswith(f"{side}_")}
    return found or None


def _is_finite(datum: Datum) -> bool:
    return bool(np.isfinite([datum.loss, *datum.norms.values()]).all())


def points_of(
    fun: Callable, params: Any, data: Dataset, at: Sequence[str] | None, by: str | None, source: Source = None
) -> Points:
    """Return the points of `fun(params, x, y)` that `at` asks for. What `fun` raises of the first datum comes through.

    Raises:
        PointError: there are none, or none that has a δ.
        ArgumentError: the loss is not a real scalar.
    """
    args = (params, *(jax.ShapeDtypeStruct(np.shape(array), array.dtype) for array in data.first))
    found = find(fun, args, {}, by, source, None, _loss)[1]
    if not found:
        raise PointError(NONE[by])
    points = choose(found, _split(at, found), by)
    if not any(point.has_delta for point in points.values()):
        name, point = next(iter(points.items()))
        why = point.why_no_delta().rstrip(".")
        raise PointError(f"No point that is asked for has a δ; `{name}`: {why[0].lower()}{why[1:]}; ask for others.")
    return points


NONE = {
    "tags": "`--by tags` finds no `jw.tag` in `objective`; tag values, or use `--by lines`.",
    "scopes": "`--by scopes` finds no `jax.named_scope` in `objective`; use `--by lines`, or tag values with `jw.tag`.",
    "lines": "`--by lines` finds no line of your own in `objective` that computes a value of its arguments; tag one.",
    None: "`objective` has no points: neither tags nor scopes, nor lines of your own that compute a value; tag one.",
}
"""What to say, by what was asked for, where there is no point."""


def _loss(staged: Any) -> Sequence[bool]:
    try:
        return loss_only(staged, has_aux=False)
    except ArgumentError:
        loss = staged.shapes
        if not isinstance(loss, jax.ShapeDtypeStruct):
            returned = f"a {type(loss).__name__}"
        else:
            returned = f"an array of shape {loss.shape}" if loss.shape else f"a number of dtype {loss.dtype}"
        raise ArgumentError(f"`objective` returns {returned} for one datum; return one float for it.") from None


def _split(at: Sequence[str] | None, points: Points) -> list[str] | None:
    """Take each name as it is, if a point has it (some have a comma), else what is between commas."""
    if at is None:
        return None
    return [name for given in at for name in ([given] if given in points else given.split(","))]


def survey(
    fun: Callable,
    params: Any,
    batches: DataBatches,
    points: Points,
    at: Sequence[str] | None = None,
    by: str | None = None,
    source: Source = None,
    mesh: jax.sharding.Mesh | None = None,
    progress: bool = False,
    kinks: bool = True,
    keep: Statistic = sizes,
    **options: Any,
) -> Survey:
    """Walk `fun(params, x, y)` through every datum; `points`: of `points_of`; `kinks`: whether to count them;
    `keep`: `sizes`, or more.

    The others are as of `evaluate`, with `top`, `out` and `resume` among `options`.
    """
    again = {"by": by, "source": source, "mesh": mesh, "progress": progress}
    walkable = [name for name, point in points.items() if point.opaque is None]
    found = evaluate(fun, params, batches, at=walkable if at else None, keep=keep, **again, **options)
    if found.count != batches.rows:
        raise DataError(
            f"`--out` holds an evaluation of {found.count} data, and `--data` has {batches.rows}; give the same data,"
            " or another directory."
        )
    silent = [p for p in points.values() if p.opaque is None and not p.has_delta and _is_number(p)]
    outputs = outputs_over(fun, params, batches, silent, of_output(keep), **again) if silent else {}
    counts = _kinks(fun, params, batches, **again) if kinks else None
    surveyed = Survey(points, found, outputs, counts, None)
    if not surveyed.bad:
        return surveyed
    # The first of them is walked again, alone, to see where it goes wrong.
    x, y = next(batches.data.batches(1, surveyed.bad[0]))
    alone = jax.jit(walk(fun, walkable, by=by, source=source))(params, x[0], y[0])
    given = [name for name, value in (("x", x), ("y", y)) if not np.isfinite(value).all()]
    return surveyed._replace(first=alone.first_nonfinite(), given=given)


def _is_number(point: Point) -> bool:
    """Tell whether there is a size to speak of: a random key has none."""
    return point.dtype == jnp.bool_ or jnp.issubdtype(point.dtype, jnp.number)


def _kinks(fun: Callable, params: Any, batches: DataBatches, **again: Any) -> dict[str | None, int] | str:
    try:
        return kinks_over(fun, params, batches, **again)
    except Exception as error:  # what the walk found is worth showing without them
        return f"{type(error).__name__}: {first_line(error)}"
