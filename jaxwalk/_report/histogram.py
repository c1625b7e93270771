"""A histogram that takes a few hundred bytes: the path of its outline, for thousands of points on a page."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np

from .._show.table import is_readable, number
from ..stats import MAGNITUDES

BINS = 32
ENTRIES = 200_000  # of an array that are counted; of more, every second, third ... of them
WIDTH, HEIGHT = 160, 40


class Histogram(NamedTuple):
    """The outline, in a box of WIDTH by HEIGHT; what lies left and right; and what is left out."""

    path: str
    low: str
    high: str
    note: str


def histogram(values: Any) -> Histogram | None:
    """Return the histogram of an array's entries; None if it has none that are numbers and finite, or one alone."""
    if not is_readable(values) or values.size < 2 or values.dtype == np.bool_:
        return None
    flat = np.asarray(values).ravel()
    every = -(-flat.size // ENTRIES)
    flat = flat[::every]
    is_complex = np.iscomplexobj(flat)
    flat = np.abs(flat) if is_complex else flat.astype(np.float64)
    finite = flat[np.isfinite(flat)]
    if not finite.size:
        return None
    notes = ["of |x|"] * is_complex + [f"of every {every}th entry"] * (every > 1)
    notes += [f"{flat.size - finite.size} not finite"] * (finite.size < flat.size)
    low, high = float(finite.min()), float(finite.max())
    return Histogram(_path(_counts(finite, low, high)), number(low, 3), number(high, 3), ", ".join(notes))


def of_magnitudes(counts: Any) -> Histogram | None:
    """Return the histogram that `jw.stats.magnitudes` kept of one side, over all steps; None if all is zero."""
    if not is_readable(counts) or counts.shape[-1:] != (len(MAGNITUDES),):
        return None
    inner = np.asarray(counts).reshape(-1, len(MAGNITUDES)).sum(0)[1:-1]  # less zeros, and what is not finite
    held = np.flatnonzero(inner)
    if not held.size:
        return None
    first, last = held[0], held[-1] + 1
    parts = np.array_split(inner[first:last], min(BINS, last - first))
    bars = np.repeat([part.sum() for part in parts], BINS // len(parts))
    edges = np.asarray(MAGNITUDES, np.float64)[1:]
    note = "|x| > 0, by powers of two"
    return Histogram(_path(np.pad(bars, (0, BINS - len(bars)))), number(edges[first], 3), number(edges[last], 3), note)


def _counts(values: np.ndarray, low: float, high: float) -> np.ndarray:
    if not high > low:
        return np.eye(1, BINS, BINS // 2)[0]
    half = 0.5 * high - 0.5 * low  # a width of its own could overflow
    places = ((0.5 * values - 0.5 * low) / half * BINS).astype(np.int64) if half else np.zeros(values.size, np.int64)
    return np.bincount(np.clip(places, 0, BINS - 1), minlength=BINS)


def _path(counts: np.ndarray) -> str:
    """Draw bars from left to right as one outline; one that is not empty is to be seen."""
    heights = np.where(counts > 0, np.maximum(np.round(HEIGHT * counts / counts.max()), 1), 0).astype(int)
    runs = ((height, sum(1 for _ in run)) for height, run in itertools.groupby(heights.tolist()))
    steps = [f"V{HEIGHT - height}h{WIDTH // BINS * length}" for height, length in runs]
    return f"M0 {HEIGHT}{''.join(steps)}V{HEIGHT}z"
