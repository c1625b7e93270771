"""Cells of any sizes as pixels: what several cells have in one pixel is the largest of them."""

from __future__ import annotations

import numpy as np

from ..._learn.history import History


def step_edges(history: History) -> np.ndarray:
    """Return where the columns of the steps that are held begin and end: each goes on to the next one."""
    steps = np.asarray(history.steps, float)
    end = min(steps[-1] + max(history.stride, 1), max(float(history.total), steps[-1] + 1))
    return np.append(steps, end)


def pixels(edges: np.ndarray, most: int) -> np.ndarray:
    """Return which cells each pixel covers, (pixels, 2), first and past the last, between the first and the last edge.

    Cells of one width have a pixel each if there are no more than `most`.
    """
    widths = np.diff(edges)
    if len(widths) <= most and np.allclose(widths, widths[0]):
        first = np.arange(len(widths))
        return np.stack([first, first + 1], 1)
    ends = np.linspace(edges[0], edges[-1], max(most, 1) + 1)
    first = np.clip(np.searchsorted(edges, ends[:-1], "right") - 1, 0, len(widths) - 1)
    stop = np.clip(np.searchsorted(edges, ends[1:], "left"), first + 1, len(widths))
    return np.stack([first, stop], 1)


def reduced(values: np.ndarray, covered: np.ndarray, axis: int) -> np.ndarray:
    """Return the largest of the cells along an axis that each pixel covers."""
    if np.array_equal(covered[:, 0], np.arange(values.shape[axis])) and np.all(np.diff(covered, axis=1) == 1):
        return values
    padded = np.concatenate([values, np.take(values, [-1], axis)], axis)  # so that the last cell has one past it
    return np.take(np.maximum.reduceat(padded, covered.ravel(), axis), range(0, 2 * len(covered), 2), axis)


def most_in_one(covered: np.ndarray) -> int:
    """Return how many cells a pixel covers at most."""
    return int(np.max(np.diff(covered, axis=1)))
