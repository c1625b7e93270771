"""One datum, traced: its loss, or the attribution of it, and the points that there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .._errors import ArgumentError, PointError
from .._jax.tracing import Staged, stage
from .._points.find import find
from .._points.name_patterns import choose
from .._points.point import Points
from .._points.units import Keep, keep_at
from .._walk.checks.loss import loss_only, why_no_loss
from .arguments import Asked, check_takes
from .batches import Batches
from .method import check_attribution, explained


class Traced(NamedTuple):
    """What is computed of one datum.

    Attributes:
        staged: the function; of a method, the attribution of it.
        points: those chosen.
        kept_at: by point, what the statistic is there.
        attributed: what a method returns, as shapes; None where there is none.
    """

    staged: Staged
    points: Points
    kept_at: Keep | Mapping[str, Keep] | None
    attributed: Any = None


def traced(asked: Asked, params: Any, inputs: int, data: Batches) -> Traced:
    """Trace what is asked, of one datum of these data.

    Arguments:
        params: the first argument, in shapes; arrays that are inputs are `inputs` of the traced function.

    Raises:
        ArgumentError: the function takes other arguments, or returns no real scalar; a method returns something else.
        PointError: as of `walk`; no point has a δ, or scores.
    """
    args = (params, *data.datum)
    if asked.method is not None:
        return _of_method(asked, asked.method, args, data)
    check_takes(asked.fun, data)
    staged, points = find(asked.fun, args, {}, asked.by, asked.source, None, _loss_of_datum)
    chosen = _with_delta(choose(points, asked.at, asked.by))
    are_params = [i < inputs for i in range(len(staged.args))]
    return Traced(staged, *keep_at(staged.closed, chosen, asked.statistic, are_params))


def _of_method(asked: Asked, method: Callable, args: tuple, data: Batches) -> Traced:
    explain = explained(method, asked.fun, at=asked.at, by=asked.by, source=asked.source)
    check_takes(explain, data)
    try:
        staged = stage(explain, args, {})
    except ArgumentError:
        _check_of_datum("result", stage(asked.fun, args, {}).shapes)
        raise
    check_attribution(staged.shapes)
    return Traced(staged, staged.shapes.points, None, staged.shapes)


def _with_delta(points: Points) -> Points:
    """Return the same, if any of them has a δ."""
    if not any(point.has_delta for point in points.values()):
        name, point = next(iter(points.items()))
        raise PointError(f"No point has a δ to evaluate, as `{name}`: {point.why_no_delta()} Choose others by `at`.")
    return points


def _loss_of_datum(staged: Staged) -> list[bool]:
    _check_of_datum("loss", staged.shapes)
    return loss_only(staged, has_aux=False)


def _check_of_datum(what: str, shapes: Any) -> None:
    """Refuse what `fun` returns, if it is no real scalar, as that of one datum."""
    if (said := why_no_loss(shapes)) is not None:
        raise ArgumentError(
            f"The {what} of one datum must be a real scalar, but {said[0]}; `evaluate` gives `fun` one datum at a time,"
            " without the axis of the batch: return one float for it."
        )
