"""An array as a picture: which axes lie down, which are tiled, how far it is reduced; and words that say so."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

TILE = 7  # pixels of a side, to which tiles are reduced before several of them become one


class Picture(NamedTuple):
    """An array as rows of pixels.

    Attributes:
        pixels: (height, width), masked where nothing is, between tiles.
        covers: the rows and the columns of the array that it shows, for the ticks; None of tiles.
        labels: what its rows count, and what its columns do; "" if there is nothing to count.
        words: how it was made of the array.
    """

    pixels: np.ma.MaskedArray
    covers: tuple[int, int] | None
    labels: tuple[str, str]
    words: tuple[str, ...]


class Axis(NamedTuple):
    """An axis of an array: what it counts, and whether it is one of those before the axes of the value itself."""

    counts: str
    leads: bool


def pictured(values: np.ndarray, axes: Sequence[Axis], limit: int, channels: int | None = None) -> Picture:
    """Return an array of at least one axis as a picture of at most about `limit` pixels in height and width.

    Arguments:
        values: real numbers; a NaN or an Inf stays one.
        axes: one for each axis of `values`; those that lead come first.
        channels: the axis that is tiled, of three or more of the value's own, counted among these; None to guess it.
    """
    lead = sum(axis.leads for axis in axes)
    own = values.ndim - lead
    names = [axis.counts for axis in axes]
    if own < 2:
        return _flat(_rows(values, lead), names, limit)
    if own > 2:
        at = lead + channel_axis(values.shape[lead:], channels)
        values, names = np.moveaxis(values, at, -3), [*names[:at], *names[at + 1 :]]
        names.insert(len(names) - 2, axes[at].counts)
    if values.ndim == 2:
        return _flat(values, names, limit)
    return _tiled(values, names, limit)


def channel_axis(shape: Sequence[int], channels: int | None = None) -> int:
    """Return which axis of a value of three or more is tiled: of the last three, the one unlike the other two.

    Where all are alike, or none are, it is the first of them if that is the shortest, as of the heads of attention,
    else the last, as JAX has channels.
    """
    rank = len(shape)
    if channels is not None:
        return channels % rank
    first, middle, last = shape[-3:]
    if first == middle != last:
        return rank - 1
    return rank - 3 if middle == last != first or first < min(middle, last) else rank - 1


def largest(values: np.ndarray, axis: int, size: int) -> np.ndarray:
    """Reduce every `size` entries along an axis to the one of largest magnitude, with its sign; NaN to NaN."""
    if size == 1:
        return values
    starts = np.arange(0, values.shape[axis], size)
    high, low = (ufunc.reduceat(values, starts, axis) for ufunc in (np.maximum, np.minimum))
    return np.where(high >= -low, high, low)


def _rows(values: np.ndarray, lead: int) -> np.ndarray:
    """Return a value of no axis, or of one, as rows: one for all of its steps, or for each."""
    width = values.shape[-1] if values.ndim > lead else values.size
    return values.reshape(-1, width)


def _flat(values: np.ndarray, names: Sequence[str], limit: int) -> Picture:
    height, width = values.shape
    rows, columns = (max(1, math.ceil(n / limit)) for n in (height, width))
    pixels = largest(largest(values, 0, rows), 1, columns)
    labels = (", ".join(names[:-1]) if height > 1 else "", names[-1])
    return Picture(np.ma.array(pixels, mask=False), (height, width), labels, _reduced(rows, columns))


def _reduced(rows: int, columns: int) -> tuple[str, ...]:
    size = f"{rows} × {columns}" if rows > 1 else str(columns)
    return (f"each pixel the largest of {size} entries, with its sign",) if rows * columns > 1 else ()


def _tiled(values: np.ndarray, names: Sequence[str], limit: int) -> Picture:
    height, width = values.shape[-2:]
    tiles = values.reshape(-1, height, width)
    several = math.ceil(len(tiles) / _most(height, width, limit))
    tiles = largest(tiles, 0, several)
    block = _block(len(tiles), height, width, limit)
    tiles = largest(largest(tiles, 1, block), 2, block)
    axes = [f"{name} of {length}" for name, length in zip(names, values.shape[:-2], strict=False)]
    words = [f"tiles, row by row: {', '.join(axes)}"]
    words += [f"each tile the largest of {several} of these in a row, with its sign"] * (several > 1)
    return Picture(_mosaic(tiles), None, ("", ""), (*words, *_reduced(block, block)))


def _most(height: int, width: int, limit: int) -> int:
    return max(1, limit // (min(height, TILE) + 1)) * max(1, limit // (min(width, TILE) + 1))


def _block(count: int, height: int, width: int, limit: int) -> int:
    """Return to which length of blocks tiles must be reduced, so that all of them have room."""
    for block in range(1, max(height, width)):
        h, w = math.ceil(height / block), math.ceil(width / block)
        lines, columns = _grid(count, h, w)
        if max(lines * (h + _gap(h, w)), columns * (w + _gap(h, w))) <= limit + 1:
            return block
    return max(height, width, 1)


def _grid(count: int, height: int, width: int) -> tuple[int, int]:
    """Return how many lines and columns of tiles make about a square."""
    columns = min(count, max(1, round(math.sqrt(count * height / width))))
    return math.ceil(count / columns), columns


def _gap(height: int, width: int) -> int:
    return 1 + max(height, width) // 32


def _mosaic(tiles: np.ndarray) -> np.ma.MaskedArray:
    count, height, width = tiles.shape
    lines, columns = _grid(count, height, width)
    gap = _gap(height, width)
    whole = np.ma.masked_all((lines * (height + gap) - gap, columns * (width + gap) - gap))
    for place, tile in enumerate(tiles):
        row, column = (place // columns) * (height + gap), (place % columns) * (width + gap)
        whole[row : row + height, column : column + width] = tile
    return whole
