"""Chooses which columns of a table are x and which are y, and puts them side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..._errors import DataError, listed, near
from .dataset import Pair


class Columns(NamedTuple):
    """Names of the columns of x and of y, whether each is a single one (a scalar per datum), and those left over.

    `joined`: those of x, if nobody named them.
    """

    x: list[str]
    y: list[str]
    x_is_one: bool
    y_is_one: bool
    unused: list[str]
    joined: list[str]

    @property
    def names(self) -> list[str]:
        """Return all that are read, each once."""
        return list(dict.fromkeys((*self.x, *self.y)))

    def pair(self, arrays: Mapping[str, np.ndarray]) -> Pair:
        """Return x and y, each (rows, columns), or (rows,) of a single column."""
        stacked = lambda names, is_one: arrays[names[0]] if is_one else np.stack([arrays[name] for name in names], 1)
        return stacked(self.x, self.x_is_one), stacked(self.y, self.y_is_one)


def choose(path: Path, numeric: Mapping[str, bool], x: Sequence[str] | None, y: Sequence[str] | None) -> Columns:
    """Return the columns `y` and `x`, or those named; without a column `x`, all other columns of scalar numbers.

    `numeric` says of every column of the table whether it holds a number per row.
    """
    ys = list(y or ["y"])
    xs = list(x or (["x"] if "x" in numeric else (name for name in numeric if numeric[name] and name not in ys)))
    for name in (*ys, *xs):
        if name not in numeric:
            option = f"; choose others by `--{'y' if name in ys else 'x'}`"
            raise DataError(f"`{path}` lacks the column `{name}`. {near(name, numeric).rstrip('.')}{option}.")
    if not xs:
        raise DataError(f"`{path}` has no columns of numbers for x beside {listed(ys)}; add some, or choose by `--x`.")
    unused = [name for name in numeric if name not in (*xs, *ys)]
    is_named = x is not None or xs == ["x"]
    return Columns(xs, ys, len(xs) == 1 and is_named, len(ys) == 1, unused, [] if is_named else xs)
