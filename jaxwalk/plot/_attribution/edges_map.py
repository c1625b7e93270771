"""Edges as a map: a row for each writer, a column for each reader, red above zero and blue below it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from jax.core import Tracer

from ..._errors import ArgumentError, counted
from ...attribute import Edges
from .._arrays.chosen import index_of, numbers, written
from .._arrays.images import Picture
from .._arrays.signed import draw_pixels, draw_title, largest_of
from .._style import SIGNED, Palette, is_dark
from .._words import LETTER, folded, in_words, lay_out, room, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CELL = (0.34, 0.25)  # inches across and down
LEAST, MOST = (4.2, 3.0), (13.0, 12.0)  # inches
NAME, SIZE = 26, 7.5  # letters of a name at most, and points of its type
WITH_NUMBERS = 34.0, 13.0  # points that a cell is wide and high, at least, if its number is written in it


def size_of(edges: Edges) -> tuple[float, float]:
    """Return in inches how wide and how high a new figure is."""
    letter = LETTER * SIZE / 72
    names = [letter * min(max(map(len, each), default=0), NAME) for each in (edges.writers, edges.readers)]
    cells = CELL[0] * len(edges.readers), CELL[1] * len(edges.writers)
    sizes = cells[0] + names[0] + 1.2, cells[1] + names[1] + 1.3
    return tuple(float(np.clip(size, *ends)) for size, *ends in zip(sizes, LEAST, MOST, strict=True))  # type: ignore[return-value]


def draw_edges(ax: Axes, edges: Edges, datum: Any, palette: Palette) -> None:
    """Draw the scores of all edges in axes, with the names of who writes and who reads.

    Raises:
        ArgumentError: they are being traced, or there is no such datum.
    """
    scores, words = _scores(edges, datum)
    lay_out(ax)
    there = np.zeros(scores.shape, bool)
    there[tuple(np.array(edges._pairs).T)] = True
    title = f"{counted(len(edges._pairs), 'edge')}, {words}"
    said = draw_title(ax, folded(title, max(room(ax)[0], 120), 9), scores[there])
    pixels = np.ma.array(np.where(there, scores, 0), mask=~there)
    draw_pixels(ax, Picture(pixels, None, ("", ""), ()), palette, SIGNED)
    for image in ax.images:
        ax.set_aspect("auto")
        image.set_interpolation("nearest")
    ax.set_facecolor(palette.paper)
    cut = _name(ax, edges, palette)
    _write(ax, pixels, palette)
    below = [said, "blank: no edge" * bool((~there).any()), cut]
    ax.set_xlabel("\n".join(filter(None, ["who reads", wrapped("; ".join(filter(None, below)), 300, 8)])), fontsize=8)
    ax.set_ylabel("who writes", fontsize=8)


def _scores(edges: Edges, datum: Any) -> tuple[np.ndarray, str]:
    """Return the scores of one datum, or their means over all, and in words of what result."""
    if isinstance(edges.value, Tracer):
        raise ArgumentError("The edges are being traced, and have no numbers to draw; draw what `jit` returns.")
    scores, value = numbers(edges._scores), np.asarray(edges.value)
    if datum is not None:
        index = index_of("datum", datum, scores.shape[:-2], "the edges are of one datum", "the data by `jax.vmap`")
        if len(index) < scores.ndim - 2:
            raise ArgumentError(f"`datum` is {datum}, and the edges have {scores.ndim - 2} axes of data; give each.")
        return scores[index], f"datum {written(index)} of {written(scores.shape[:-2])}, result {in_words(value[index])}"
    if scores.ndim == 2:
        return scores, f"result {in_words(value)}"
    if not value.size:
        raise ArgumentError("There is no datum to draw: an axis that `jax.vmap` gave has a length of 0.")
    return scores.mean(tuple(range(scores.ndim - 2))), f"mean over {counted(value.size, 'datum', 'data')}"


def _name(ax: Axes, edges: Edges, palette: Palette) -> str:
    """Write the names of rows and columns, each if there is room for it; return what was left out."""
    width, height = room(ax)
    words = []
    for axis, names, length, what in (
        (ax.xaxis, edges.readers, width, "reader"),
        (ax.yaxis, edges.writers, height, "writer"),
    ):
        every = max(1, -(-int(len(names) * SIZE * 1.15) // max(int(length), 1)))
        texts = [folded(name, NAME * LETTER * SIZE, SIZE) for name in names[::every]]
        rotation = 90 if axis is ax.xaxis and max(map(len, texts), default=0) * SIZE > length / len(texts) else 0
        axis.set_ticks(range(0, len(names), every), texts, parse_math=False, rotation=rotation, fontsize=SIZE)
        words += [f"every {every}. {what} is named"] * (every > 1)
    ax.tick_params(length=2, color=palette.faint)
    return "; ".join(words)


def _write(ax: Axes, pixels: np.ma.MaskedArray, palette: Palette) -> None:
    """Write the number of each edge in its cell, where there is room for them."""
    rows, columns = pixels.shape
    width, height = room(ax)
    if width / columns < WITH_NUMBERS[0] or height / rows < WITH_NUMBERS[1]:
        return
    colours, top = ax.images[0].get_cmap(), largest_of(pixels) or 1
    for (row, column), score in np.ndenumerate(pixels):
        if not np.ma.is_masked(pixels[row, column]) and np.isfinite(score):
            behind: Any = colours(0.5 + 0.5 * score / top)
            ink = "white" if is_dark(behind) else "#24292f"
            ax.text(column, row, in_words(score, 2), ha="center", va="center", fontsize=6.5, color=ink)
