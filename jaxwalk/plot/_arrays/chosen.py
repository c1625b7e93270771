"""What of a point is drawn: of many walks one datum, of a loop one step or all; and words that say which."""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

import numpy as np

from ..._errors import ArgumentError, PointError, counted, shown
from ..._points.point import Point
from ..._show.table import is_readable
from ..._walk.result import Walk
from .._checks import check_walk
from .._words import in_words
from .images import Axis


class Chosen(NamedTuple):
    """What of a point is drawn.

    Attributes:
        sides: by what they are, "output" and "δ", real or complex numbers.
        axes: what the axes of each count.
        words: which these are of what there is.
    """

    sides: dict[str, np.ndarray]
    axes: list[Axis]
    words: list[str]


def chosen(walk: Any, name: str, datum: Any, step: Any) -> Chosen:
    """Return the output and the δ of a point, of one datum and of one step or all."""
    check_walk(walk)
    output, point = walk.outputs[name], walk.points[name]
    _check_output(walk, point, output)
    which, of_datum = _datum(walk, datum)
    steps, of_step = step_of(point, step)
    index = which + steps
    sides = {"output": numbers(output)[index]}
    if name in walk.deltas:
        sides["δ"] = numbers(walk.deltas[name])[index]
    without = [] if "δ" in sides else [point.why_no_delta().rstrip(".")]
    return Chosen(sides, _axes(point, len(steps)), [*of_datum, *of_step, *without])


def _check_output(walk: Walk, point: Point, output: Any) -> None:
    if not is_readable(output):
        raise PointError(
            f"The values at `{point.name}` are {point.dtype}, which are no numbers to draw; choose another point."
        )
    if output.shape != (*walk.value.shape, *point.shape):
        raise ArgumentError(
            f"The output of `{point.name}` has shape {output.shape}, which is not that of the loss, {walk.value.shape},"
            f" and of the point, {point.shape}; leave `out_axes` of `jax.vmap` 0."
        )


def numbers(values: Any) -> np.ndarray:
    """Return an array in float64 or complex128."""
    values = np.asarray(values)
    return values.astype(np.complex128 if np.iscomplexobj(values) else np.float64)


def _axes(point: Point, steps: int) -> list[Axis]:
    """Return what the axes of a value count, when that many of its loops' are gone."""
    loops = [Axis("step" if axis.kind == "scan" else axis.kind, True) for axis in point.axes[steps:]]
    own = len(point.shape) - len(point.axes)
    return [*loops, *(Axis("entry" if own == 1 else f"axis {i}", False) for i in range(own))]


def _datum(walk: Walk, datum: Any) -> tuple[tuple[int, ...], list[str]]:
    lengths = walk.value.shape
    if datum is None and not lengths:
        return (), []
    if datum is not None:
        index = index_of("datum", datum, lengths, "the walk is of one datum", "the walks by `jax.vmap`")
        if len(index) < len(lengths):
            raise ArgumentError(
                f"`datum` is {shown(datum)}, and `jax.vmap` gave the walks {len(lengths)} axes; give an index for each."
            )
        return index, [f"datum {written(index)} of {written(lengths)} (loss {in_words(walk.value[index])})"]
    if not walk.value.size:
        raise ArgumentError("There is no datum to draw: an axis that `jax.vmap` gave the walks has a length of 0.")
    losses = np.asarray(walk.value).astype(np.float64)
    worst = np.unravel_index(int(np.argmax(losses)), lengths)  # a NaN is the largest to NumPy
    index = tuple(map(int, worst))
    loss = in_words(walk.value[index])
    return index, [f"datum {written(index)} of {written(lengths)}, which has the largest loss, {loss}"]


def step_of(point: Point, step: Any) -> tuple[tuple[int, ...], list[str]]:
    """Return the index of a step of a point in a loop, and words that say which it is; nothing for None."""
    if step is None:
        return (), []
    lengths = tuple(axis.length for axis in point.axes)
    index = index_of("step", step, lengths, f"`{point.name}` is in no loop", f"`{point.name}`")
    return index, [f"step {written(index)} of {written(lengths[: len(index)])}"]


def index_of(argument: str, given: Any, lengths: tuple[int, ...], none: str, whose: str) -> tuple[int, ...]:
    """Return an index, or one for each of the first axes, counted from 0."""
    try:
        index = tuple(operator.index(i) for i in (given if isinstance(given, tuple) else (given,)))
    except TypeError:
        raise ArgumentError(f"`{argument}` is {shown(given)}; give an integer, or a tuple of them.") from None
    if not lengths:
        raise ArgumentError(f"`{argument}` is {shown(given)}, but {none}; leave it out.")
    if len(index) > len(lengths):
        axes = counted(len(lengths), "axis", "axes")
        raise ArgumentError(f"`{argument}` is {shown(given)}, but there is {axes} to index of {whose}; give fewer.")
    for i, length in zip(index, lengths, strict=False):
        if not -length <= i < length:
            raise ArgumentError(
                f"`{argument}` is {shown(given)}, but of {whose} there are {written(lengths)}, counted from 0."
            )
    return tuple(i % length for i, length in zip(index, lengths, strict=False))


def written(numbers: tuple[int, ...]) -> str:
    """Return an index, or lengths, as it is written: one number alone."""
    return str(numbers[0]) if len(numbers) == 1 else str(numbers)
