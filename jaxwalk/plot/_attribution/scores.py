"""The scores at one point, or of the inputs, as they are drawn: of one datum or the mean, summed over channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..._errors import ArgumentError, PointError, counted, shown
from ..._points.point import Point
from ...attribute import Attribution
from .._arrays.chosen import step_of
from .._arrays.images import Axis, channel_axis
from .._heat import PARTS
from .given import Data, inputs_of


class Scores(NamedTuple):
    """An array of scores that is drawn as one picture.

    Attributes:
        name: of the point, or of the inputs.
        values: in float64.
        axes: what each axis counts; all but the last two of a value's own lead: they are tiled.
        words: how these were made of all there are.
    """

    name: str
    values: np.ndarray
    axes: list[Axis]
    words: list[str]


def scores_at(attribution: Attribution, name: str | None, data: Data, step: Any, channels: Any, channel: Any) -> Scores:
    """Return the scores at a point, or of an array of the inputs; of None, of the only one."""
    inputs = inputs_of(attribution)
    name = next(iter(inputs)) if name is None else name
    point = attribution.points.get(name)
    values = data.of(inputs[name] if point is None else attribution.scores[name], name)
    lead, index, of_step = _loops(point, name, values, step)
    values = values[index]
    axis = _summed_axis(values.shape[len(lead) :], channels, channel)
    rank = values.ndim - len(lead)
    own = [f"axis {i}" for i in range(rank) if i != axis] if rank > 1 else ["entry"] * rank
    of_channels = []
    if axis is not None:
        values, of_channels = _without_channels(values, len(lead) + axis, axis, channel)
        own = own[: rank - 1]
    if np.iscomplexobj(values):
        values, lead = np.stack([np.real(values), np.imag(values)]), [Axis(PARTS, True), *lead]
    axes = [*lead, *(Axis(counts, i < len(own) - 2) for i, counts in enumerate(own))]
    return Scores(name, values, axes, [*data.words, *of_step, *of_channels])


def _loops(
    point: Point | None, name: str, values: np.ndarray, step: Any
) -> tuple[list[Axis], tuple[int, ...], list[str]]:
    """Return what the axes of loops count that are left in front, the index of a step, and words on it."""
    if point is None:
        if step is not None:
            raise ArgumentError(f"`step` is {shown(step)}, but `{name}` is in no loop; leave it out.")
        return [], (), []
    lengths = tuple(axis.length for axis in point.axes)
    has_loops = values.shape[: len(lengths)] == lengths
    index, words = step_of(point, step)
    if not has_loops and index:
        raise PointError(
            f"The scores at `{name}` are not of each step: their shape is {values.shape}; leave `step` out."
        )
    kinds = [Axis("step" if axis.kind == "scan" else axis.kind, True) for axis in point.axes]
    return kinds[len(index) :] if has_loops else [], index, words


def _summed_axis(shape: Sequence[int], channels: Any, channel: Any) -> int | None:
    """Return which axis of a value is summed over, or of which one entry is chosen; None for none."""
    for argument, given in (("channels", channels), ("channel", channel)):
        if given is not None and (not isinstance(given, int) or isinstance(given, bool)):
            what = "axis" if argument == "channels" else "channel"
            raise ArgumentError(f"`{argument}` is {shown(given)}; give the number of an {what}, as 0 or -1.")
    rank = len(shape)
    if channels is None and rank < 3:
        if channel is None:
            return None
        raise ArgumentError(
            f"`channel` is {channel}, and it is not known which of {counted(rank, 'axis', 'axes')} has the channels;"
            " name it by `channels`."
        )
    if channels is not None and not -rank <= channels < rank:
        raise ArgumentError(
            f"`channels` is {channels}, but the scores have {counted(rank, 'axis', 'axes')}, counted from 0; give one"
            " of them."
        )
    axis = channel_axis(shape, channels)
    if channel is not None and not -shape[axis] <= channel < shape[axis]:
        raise ArgumentError(
            f"`channel` is {channel}, but axis {axis} has {counted(shape[axis], 'entry', 'entries')}, counted from 0;"
            " give one of them."
        )
    return axis


def _without_channels(values: np.ndarray, place: int, axis: int, channel: int | None) -> tuple[np.ndarray, list[str]]:
    length = values.shape[place]
    if channel is not None:
        return values.take(channel, place), [f"channel {channel % length} of {length}, of axis {axis}"]
    with np.errstate(invalid="ignore", over="ignore"):
        summed = values.sum(place)
    return summed, [f"summed over axis {axis} of {length}"] * (length > 1)
