"""What is written into a picture of few points: names, values, δ, and local derivatives."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from ..._evaluate.result.evaluation import Evaluation
from ..._points.point import Point
from ..._printable import printable
from ..._show.table import is_readable, number, numbers
from ..._walk.result import Walk
from .._sizes import Side, Size
from .._words import in_words
from .network import Network, Node

SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
MOST = 6  # numbers that are written out
WIDEST = 19  # characters in one line
LINE = 1.35 / 72  # the height of a line in inches, a point of its letters


class Texts(NamedTuple):
    """What is written at a node.

    Attributes:
        name: the lines in its box.
        value: the lines at the arrow that leaves it.
        delta: the lines at the arrow that comes back to it.
        derivative: the lines under its box; the derivative of its value by the one that it reads.
        marks: what is remarkable, "blocked" ...
    """

    name: tuple[str, ...]
    value: tuple[str, ...] = ()
    delta: tuple[str, ...] = ()
    derivative: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()


def numbered(symbol: str, point: Point) -> str:
    """Return "X³", or "δ³", of the third point."""
    return symbol + str(point.number).translate(SUPERSCRIPTS)


def texts_of(network: Network, what: Any, sizes: dict[str, Size]) -> list[Texts]:
    """Return what is written at each node; of a walk with its numbers."""
    walk = what if isinstance(what, Walk) else None
    found = []
    for place, node in enumerate(network.nodes):
        if not node.points:
            found.append(Texts((*wrapped(node.label), *result_of(what))))
            continue
        point, size = node.points[-1], sizes.get(node.points[-1].name)
        output, delta = (None if walk is None else m.get(point.name) for m in (_outputs(walk), _deltas(walk)))
        found.append(
            Texts(
                _names(node),
                _told(numbered("X", point), point, output, size and size.output),
                _told(numbered("δ", point), point, delta, size and size.delta) if delta is not None or size else (),
                () if walk is None else _derivative(network, place, walk),
                marks_of(point, size, walk),
            )
        )
    return found


def result_of(what: Any) -> tuple[str, ...]:
    """Return the value of the loss, of many walks or data its mean."""
    loss = getattr(what, "loss", getattr(what, "value", None)) if isinstance(what, (Walk, Evaluation)) else None
    if isinstance(loss, float):
        return (f"mean {in_words(loss)}",)
    if loss is None or not is_readable(loss):
        return ()
    if np.ndim(loss):
        return (f"mean {in_words(np.mean(np.asarray(loss).astype(np.float64)))}",)
    return (f"= {in_words(loss)}",)


def _names(node: Node) -> tuple[str, ...]:
    """Return the names of a value; that of an argument before them, and how often it is there after."""
    names = [each.name for each in node.points]
    arguments = [name for name in node.arguments if name and name not in names] if node.is_argument else []
    times = [_times(node.points[-1])] if node.points[-1].axes else []
    return (*(line for name in [*arguments, *names] for line in wrapped(name)), *times)


def _outputs(walk: Walk | None) -> Any:
    return {} if walk is None else walk.outputs


def _deltas(walk: Walk | None) -> Any:
    return {} if walk is None else walk.deltas


def _times(point: Point) -> str:
    return "×" + "×".join(str(axis.length) for axis in point.axes)


def marks_of(point: Point, size: Size | None, walk: Walk | None) -> tuple[str, ...]:
    """Return what is remarkable of a point: dead, blocked, a kink ..."""
    marks = [] if size is None else [*size.marks()]
    if point.unused and "unused" not in marks:
        marks.append("unused")
    if walk is not None and walk.kinks is not None and (kinks := walk.kinks.at(point.name).summary()):
        marks.append(f"kink: {kinks}")
    return tuple(marks)


def wrapped(name: str) -> tuple[str, ...]:
    """Return a name in lines that are not long, divided where its path is; the middle of a long part is left out."""
    lines = [""]
    for place, part in enumerate(printable(name).split("/")):
        mark = "/" * (place > 0)
        if lines[-1] and len(lines[-1] + mark + part) > WIDEST:
            lines[-1] += mark
            mark = ""
            lines.append("")
        lines[-1] += mark + shortened(part, WIDEST)
    return (*lines[:1], "…", *lines[-2:]) if len(lines) > 4 else tuple(lines)


def shortened(text: str, most: int) -> str:
    """Return a text less its middle, if it is longer than `most` characters."""
    return text if len(text) <= most else f"{text[: most // 2]}…{text[len(text) - (most - most // 2 - 1) :]}"


def _told(symbol: str, point: Point, values: Any, side: Side | None) -> tuple[str, ...]:
    """Return numbers that are few, of more their shape and size; of none what is known of them."""
    if (written := _written(values)) is not None:
        return _folded(symbol, written)
    shape = f"{symbol}  {tuple(getattr(values, 'shape', point.shape))}"
    if side is not None and (rms := side.overall) is not None:
        return (shape, f"rms {number(rms)}")
    return (shape, str(point.dtype))


def _written(values: Any) -> str | None:
    """Return numbers written out, if they are few."""
    if not is_readable(values) or values.size > MOST or values.size == 0 or values.ndim > 2:
        return None
    return numbers(values, 4).replace("-", "−")


def _folded(symbol: str, written: str) -> tuple[str, ...]:
    """Return "symbol = numbers" in lines that are not long, divided after the sign, and after commas."""
    if len(symbol + written) + 3 <= WIDEST:
        return (f"{symbol} = {written}",)
    lines = [""]
    for part in written.replace(", ", ", \0").split("\0"):
        if lines[-1] and len(lines[-1] + part.rstrip()) > WIDEST:
            lines.append("")
        lines[-1] += part
    return (f"{symbol} =", *(line.rstrip() for line in lines))


def _derivative(network: Network, place: int, walk: Walk) -> tuple[str, ...]:
    """Return the local derivative of a scalar by the one value that it is computed from, where δ tells it.

    By the chain rule δ of that value is the derivative, times δ of the scalar, if nothing else reads the value.
    """
    before = [edge for edge in network.edges if edge.end == place]
    if not network.is_flow or len(before) != 1 or not before[0].back or before[0].later:
        return ()
    start = before[0].start
    if sum(edge.start == start for edge in network.edges) != 1:
        return ()
    one, other = network.nodes[start].points[-1], network.nodes[place].points[-1]
    if any(point.axes or point.conditional or point.read_in for point in (one, other)) or jnp.ndim(walk.value):
        return ()
    found = [walk.deltas.get(point.name) for point in (one, other)]
    if not all(map(is_readable, found)):
        return ()
    delta, behind = map(np.asarray, found)
    if behind.ndim or not np.isfinite(behind) or behind == 0 or np.iscomplexobj(delta) or np.iscomplexobj(behind):
        return ()
    written = _written(delta / behind)
    symbol = f"∂{numbered('X', other)}/∂{numbered('X', one)}"
    return () if written is None else _folded(symbol, written)
