"""`Units`: what is changed, one after the other: whole values, each step of a loop apart; or units of a value."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..._points.point import Point
from .._explaining import axis_of


class Units(NamedTuple):
    """Units of the values at points, numbered through.

    Attributes:
        shapes: by point, that of the value.
        axes: by point, those whose indices tell units apart.
        starts: by point, the number of its first unit.
        total: how many there are.
    """

    shapes: dict[str, tuple[int, ...]]
    axes: dict[str, tuple[int, ...]]
    starts: dict[str, int]
    total: int

    @classmethod
    def of(cls, points: Sequence[Point], whole: bool, axis: int | None) -> Units:
        shapes = {p.name: p.shape for p in points}
        axes = {p.name: tuple(range(len(p.axes))) if whole else _unit_axes(p, axis) for p in points}
        sizes = [math.prod(shapes[name][i] for i in axes[name]) for name in shapes]
        *starts, total = itertools.accumulate(sizes, initial=0)
        return cls(shapes, axes, dict(zip(shapes, starts, strict=True)), total)

    def others(self, name: str) -> tuple[int, ...]:
        """Return the axes that one unit has all of."""
        return tuple(i for i in range(len(self.shapes[name])) if i not in self.axes[name])

    def places(self, numbers: np.ndarray) -> dict[str, np.ndarray]:
        """Return which of its units, at each point, these are; at others a number that none has there.

        So each point has its own, and what is done with it is the same program for all of one shape, compiled once."""
        return {name: (numbers - start).astype(np.int32) for name, start in self.starts.items()}

    def numbers(self, name: str) -> jax.Array:
        """Return the numbers of the units at a point from 0, with the axes of its value; the others are of length 1."""
        shape = [n if i in self.axes[name] else 1 for i, n in enumerate(self.shapes[name])]
        return jnp.arange(math.prod(shape), dtype=jnp.int32).reshape(shape)

    def where(self, number: int) -> tuple[str, tuple[int, ...]]:
        """Return the point and the index of a unit."""
        name = [name for name, start in self.starts.items() if start <= number][-1]
        lengths = [self.shapes[name][i] for i in self.axes[name]]
        return name, tuple(int(i) for i in np.unravel_index(number - self.starts[name], lengths))

    def sample(self, most: int, seed: int) -> np.ndarray:
        """Return the numbers of all units, or if there are more than `most`, of so many drawn at random, each once."""
        if self.total <= most:
            return np.arange(self.total)
        return np.sort(np.random.default_rng(seed).choice(self.total, most, replace=False))


def _unit_axes(point: Point, axis: int | None) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(len(point.shape)))
    return (*range(len(point.axes)), axis_of(point, axis))
