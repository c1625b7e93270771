"""`grad_cam`: a map of where, from the channels at a point."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ..._callables import transform
from ..._errors import ArgumentError, argument, shown
from ..._points.name_patterns import At
from ..._points.point import Point
from ..._source.user_files import Source
from .._attribution import Attribution
from .._explaining import Explaining, times


@transform
def grad_cam(
    fun: Callable,
    at: At = None,
    *,
    by: str | None = None,
    source: Source = None,
    channel: int = -1,
    relu: bool = True,
) -> Callable[..., Attribution]:
    """Attribute by Grad-CAM (Selvaraju et al., arXiv 1610.02391): a map over the positions of a point. One walk.

    The weight of a channel is the mean of δ over all its positions; the score of a position is Σ weight·output over the
    channels there, and 0 where that is negative, with `relu`. It is as large as the value without its channels;
    `jax.image.resize` makes a picture of it as large as the input. It promises no sum.

    Arguments:
        fun: a function whose result, a real scalar, is explained: the score of a class.
        at: the points, as of `jw.walk`: the last convolution, as a rule. Each must have positions beside channels.
        by, source: as of `jw.walk`.
        channel: the axis of the channels, of a value without the axes of scans.
        relu: whether to leave negative scores out.

    Returns:
        A function of the arguments of `fun` that returns an `Attribution`, whose `inputs` are None.

    Raises:
        PointError: (when called) as of `jw.walk`.
        ArgumentError: (when called) a point has no such axis, or no other.

    >>> import jax.numpy as jnp, jaxwalk as jw
    >>> image = jnp.arange(8.0).reshape(2, 2, 2)  # two channels last
    >>> found = jw.attribute.grad_cam(lambda x: jnp.sum(jw.tag(x, "map")[..., 0]))(image)
    >>> found.scores["map"]
    Array([[0., 2.],
           [4., 6.]], dtype=float32)
    """
    explaining = Explaining.of_points("grad_cam", fun, at, by, source)
    if not isinstance(channel, int) or isinstance(channel, bool):
        raise ArgumentError(f"`channel` is {shown(channel)}; it must be the number of an axis.")

    def explain(*args: Any) -> Attribution:
        found = explaining.walk(*args)
        scores = {}
        for name in found.deltas.once():
            lead, axis = _axes(found.points[name], channel)
            delta, output = found.deltas[name], found.outputs[name]
            others = tuple(i for i in range(lead, delta.ndim) if i != axis)
            score = jnp.sum(times(jnp.mean(delta, others, keepdims=True), output), axis)
            scores[name] = jax.nn.relu(score) if relu else score
        return explaining.attribution(found.value, scores, None, found.points)

    return explaining.explained(explain)


def _axes(point: Point, channel: int) -> tuple[int, int]:
    """Return how many axes of loops are in front of the value at a point, and which axis its channels are."""
    lead = len(point.axes)
    rank = len(point.shape) - lead
    if rank < 2 or not -rank <= channel < rank:
        raise ArgumentError(
            f"`{point.name}` has the shape {point.shape[lead:]}, in which axis {channel} and others are sought;"
            f" choose points with channels and positions by `{argument('at')}`, the axis by `channel`."
        )
    return lead, lead + channel % rank
