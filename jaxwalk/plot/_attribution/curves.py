"""Curves of deletion and insertion: the result against which part of the entries has gone, or is back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jax.core import Tracer

from ..._errors import ArgumentError, counted, shown
from ..._optional import matplotlib
from ...attribute import Curve
from .._arrays.chosen import index_of, numbers, written
from .._arrays.signed import NONFINITE
from .._style import Palette
from .._words import in_words, lay_out, room, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINE = 15.0  # points of a line of the legend
STYLES = ("-", "--", ":", "-.")
DASH = 2.5  # widths of a line, of a dash that others take turns with
WIDTH = 0.01  # of a line, as a part of the height of the picture, about


def curves_of(given: Any) -> list[Curve] | None:
    """Return the curves that are given, one or a list of them; None if it is something else."""
    several = [given] if isinstance(given, Curve) else given
    is_several = isinstance(several, (list, tuple)) and len(several) > 0
    return list(several) if is_several and all(isinstance(each, Curve) for each in several) else None


def draw_curves(ax: Axes, curves: Sequence[Curve], datum: Any, labels: Any, palette: Palette) -> None:
    """Draw curves in the same axes, with the area below each in the legend.

    Raises:
        ArgumentError: one is being traced, there is no such datum, or `labels` are not one for each.
    """
    names = _names(curves, labels)
    lay_out(ax)
    ax.xaxis.set_major_locator(matplotlib("ticker").MaxNLocator(5))
    ax.yaxis.set_major_locator(matplotlib("ticker").MaxNLocator(5))
    colours = (palette.output, palette.delta, palette.kink, palette.ends)
    found = [_numbers(curve, datum) for curve in curves]
    turns = _turns([(fractions, values) for fractions, values, *_ in found])
    words = ["where colours take turns, curves lie on one another"] * any(turns)
    whole: dict[Any, Any] = {}  # how each line is in the legend
    for place, (name, (fractions, values, area, said)) in enumerate(zip(names, found, strict=True)):
        colour, style = colours[place % len(colours)], STYLES[place // len(colours) % len(STYLES)]
        label = f"{name}{': ' * bool(name)}area {in_words(area)}"
        (line,) = ax.plot(fractions, values, linestyle=turns[place] or style, color=colour, label=label)
        whole[line] = style
        if len(curves) == 1:
            ax.fill_between(fractions, 0, values, color=colour, alpha=0.15, linewidth=0)
        words += [said, f"{name or 'the curve'} has a NaN or Inf" if not np.isfinite(values).all() else ""]
        if not np.isfinite(values).any():
            ax.plot([], [], "s", color=NONFINITE, label=f"{name or 'the curve'}: nothing to draw")
    ax.set(xlim=(0, 1), ylabel="result")
    below = wrapped("; ".join(dict.fromkeys(filter(None, words))), max(room(ax)[0], 140), 8)
    ax.set_xlabel("\n".join(filter(None, [_across(curves), below])))
    ax.set_title(" and ".join(dict.fromkeys(curve.kind for curve in curves)) + _shared(curves))
    low, high = ax.get_ylim()
    share = min(0.6, (LINE * len(curves) + 6) / max(room(ax)[1], 1))  # of the height, which the legend has for itself
    ax.set_ylim(low, high + (high - low) * share / (1 - share))
    legend = ax.legend(loc="upper left")
    for line, shown_there in zip(ax.get_legend_handles_labels()[0], legend.get_lines(), strict=True):
        shown_there.set_linestyle(whole.get(line, "none"))


def _turns(lines: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[Any]:
    """Return for lines that lie on one another dashes that they have in turn, so that each is seen; for others None."""
    known = np.concatenate([values[np.isfinite(values)] for _, values in lines])
    height = np.ptp(known) if known.size else 0.0
    groups: list[list[int]] = []
    for place, line in enumerate(lines):
        mine = next((group for group in groups if _coincide(lines[group[0]], line, height)), None)
        groups.append([place]) if mine is None else mine.append(place)
    found: list[Any] = [None] * len(lines)
    for group in (group for group in groups if len(group) > 1):
        for turn, place in enumerate(group):
            found[place] = (-DASH * turn, (DASH, DASH * (len(group) - 1)))
    return found


def _coincide(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray], height: float) -> bool:
    """Tell whether one line hides another, along most of its way."""
    apart = np.abs(np.interp(a[0], *b) - a[1])
    return bool(np.mean(apart <= WIDTH * height) > 0.5)


def _names(curves: Sequence[Curve], labels: Any) -> list[str]:
    if labels is None:
        kinds, methods, ofs = ({getattr(c, key) for c in curves} for key in ("kind", "method", "of"))
        part = lambda words, several: [words] if len(several) > 1 else []
        each = [(*part(c.kind, kinds), *part(f"of {c.of}", ofs), *part(f"by {c.method}", methods)) for c in curves]
        return [" ".join(words) or f"curve {i + 1}" * (len(curves) > 1) for i, words in enumerate(each)]
    if isinstance(labels, str) or not hasattr(labels, "__len__") or len(labels) != len(curves):
        raise ArgumentError(f"`labels` is {shown(labels)}; give a name for each of {counted(len(curves), 'curve')}.")
    return [str(label) for label in labels]


def _shared(curves: Sequence[Curve]) -> str:
    """Return what all curves have in common, and a legend need not say of each."""
    of, method = ({getattr(c, key) for c in curves} for key in ("of", "method"))
    return "".join([f" of {x}" for x in of if len(of) == 1] + [f" by {x}" for x in method if len(method) == 1])


def _across(curves: Sequence[Curve]) -> str:
    said = {"deletion": "gone", "insertion": "back"}
    kinds = list(dict.fromkeys(curve.kind for curve in curves))
    if len(kinds) == 1:
        return f"fraction of the entries {said.get(kinds[0], kinds[0])}, highest scores first"
    return "fraction of the entries gone (deletion) or back (insertion), highest scores first"


def _numbers(curve: Curve, datum: Any) -> tuple[np.ndarray, np.ndarray, float, str]:
    """Return fractions, values and the area of one datum, or their means over all, and words that say so."""
    if any(isinstance(x, Tracer) for x in (curve.values, curve.area)):
        raise ArgumentError("The curve is being traced, and has no numbers to draw; draw what `jit` returns.")
    fractions, values, area = (numbers(x) for x in (curve.fractions, curve.values, curve.area))
    lengths = values.shape[:-1]
    if datum is not None:
        index = index_of("datum", datum, lengths, "the curve is of one datum", "the data by `jax.vmap`")
        if len(index) < len(lengths):
            raise ArgumentError(f"`datum` is {shown(datum)}, and the curve has {len(lengths)} axes of data; give each.")
        row = fractions[index] if fractions.ndim > 1 else fractions
        return row, values[index], float(area[index]), f"datum {written(index)} of {written(lengths)}"
    if not lengths:
        return fractions, values, float(area), ""
    lead = tuple(range(len(lengths)))
    count = int(np.prod(lengths))
    if not count:
        raise ArgumentError("There is no datum to draw: an axis that `jax.vmap` gave has a length of 0.")
    row = fractions.reshape(-1, fractions.shape[-1])[0]
    return row, values.mean(lead), float(area.mean()), f"mean over {counted(count, 'datum', 'data')}"
