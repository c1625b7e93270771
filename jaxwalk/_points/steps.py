"""Which points a key of `edits` names, and which of their steps: `h`, `h[5]`, `h[2:4]`, `block/*[0, -1]`."""

from __future__ import annotations

import ast
import itertools
import math
from typing import Any, NamedTuple

import numpy as np

from .._errors import PointError, argument, counted, first_line, listed, near
from .name_patterns import fitting, point_named
from .point import Point, Points


class Steps(NamedTuple):
    """Steps of a point in scans.

    Attributes:
        chosen: of each step, whether it is one of them: an axis per scan, as the leading ones of the point.
        shape: of the steps as they are indexed: `h[5]` is (), `h[2:4]` is (2,).
        rows: for each step chosen, its number among these, in the order of the index.
    """

    chosen: np.ndarray
    shape: tuple[int, ...]
    rows: np.ndarray


class Selected(NamedTuple):
    """A point, and the steps of it that are meant; None for all."""

    point: Point
    steps: Steps | None


def selected(points: Points, key: str, name: str) -> list[Selected]:
    """Return the points that a key of the argument `name` names, by whole names or a glob, each with its steps.

    A key that is the name of a point is that point, whatever it ends in.

    Raises:
        PointError: there is no such point, or no such step; one of them is opaque; or the key can be read in two ways.
    """
    if key in points:
        return [Selected(point_named(points, key, name), None)]
    base, index = _divided(key)
    whole, of_steps = fitting(points, key), [] if base is None else _named(points, base)
    if whole and of_steps and index is not None:
        raise PointError(
            f"`{argument(name)}` names `{key}`, which is steps of {listed(of_steps, 4)}, and as a glob"
            f" {listed(whole, 4)}; write out the names."
        )
    if not whole and not of_steps:
        raise PointError(f"`{argument(name)}` names `{key}`, but there is no such point. {near(base or key, points)}")
    if not whole and index is None:
        fix = "give integers, slices, or lists of integers, as NumPy takes them"
        raise PointError(f"`{argument(name)}` names `{key}`, but what is in its brackets is no index of steps; {fix}.")
    found = [point_named(points, each, name) for each in whole or of_steps]
    return [Selected(point, None if whole else _steps(point, index, key, name)) for point in found]


def _named(points: Points, name: str) -> list[str]:
    return [name] if name in points else list(fitting(points, name))


def _divided(key: str) -> tuple[str | None, Any]:
    """Return what is before the last brackets of a key, and the index in them, None if it is none."""
    depths = itertools.accumulate((c == "]") - (c == "[") for c in reversed(key))
    place = next((len(key) - n for n, depth in enumerate(depths, 1) if depth == 0), 0)
    if not key.endswith("]") or place == 0:
        return None, None
    try:
        node = ast.parse(f"_{key[place:]}", mode="eval").body
        return key[:place], _index(node.slice) if isinstance(node, ast.Subscript) else None
    except (SyntaxError, ValueError):
        return key[:place], None


def _index(node: ast.expr) -> Any:
    """Return an index that is written out; only integers, slices, `...`, and lists and tuples of these are one."""
    match node:
        case ast.Tuple(items):
            return tuple(map(_index, items))
        case ast.List(items):
            return [_integer(item) for item in items]
        case ast.Slice():
            return slice(*(None if end is None else _integer(end) for end in (node.lower, node.upper, node.step)))
        case ast.Constant(value) if value is ...:
            return value
    return _integer(node)


def _integer(node: ast.expr) -> int:
    value = ast.literal_eval(node)
    if type(value) is not int:
        raise ValueError(f"{value!r} is no integer")
    return value


def _steps(point: Point, index: Any, key: str, name: str) -> Steps:
    lengths = tuple(axis.length for axis in point.axes)
    names = f"`{argument(name)}` names `{key}`, but `{point.name}`"
    if not lengths:
        raise PointError(f"{names} is in no scan; name it whole, and let the edit choose among its entries.")
    has = f"has {counted(math.prod(lengths), 'step')} ({', '.join(f'{a.kind} of {a.length}' for a in point.axes)})"
    items = [item for item in index if item is not ...] if isinstance(index, tuple) else [index]
    if len(items) > len(lengths):
        several = isinstance(index, tuple) and len(lengths) == 1 and all(type(item) is int for item in items)
        fix = f"for several steps, write `[{list(index)}]`" if several else "the axes of a step are left to the edit"
        raise PointError(f"{names} {has}, and {len(items)} indices are too many; {fix}.")
    chosen, rows = np.zeros(lengths, bool), np.zeros(lengths, int)
    try:
        shape = chosen[index].shape
        chosen[index] = True
        rows[index] = np.arange(math.prod(shape)).reshape(shape)
    except (IndexError, ValueError, OverflowError) as error:
        raise PointError(f"{names} {has}: {first_line(error)}; choose among these.") from None
    if not chosen.any():
        raise PointError(f"{names} {has}, of which this is none; choose among these.")
    if chosen.sum() != math.prod(shape):
        raise PointError(f"{names} has one of these steps twice in that; name each once.")
    return Steps(chosen, shape, rows)
