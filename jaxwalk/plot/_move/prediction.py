"""`prediction`: what δ predicts of a move, beside what happens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from ..._errors import ArgumentError, counted, shown
from ..._show.table import number
from ..._source.user_files import Source
from ..._walk.result import Walk
from .._arrays.signed import NONFINITE
from .._checks import check_walk
from .._style import Palette, drawing
from .._words import folded, in_words, room
from .along import JUMPS, Along, Jump, jumps_of, loss_along

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PLACES = 120  # at which the loss is computed along the move


def prediction(
    fun: Callable,
    args: tuple,
    walk: Walk,
    move: Mapping[str, Any],
    *,
    span: float = 1.5,
    by: str | None = None,
    source: Source = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the loss along a move h of values at points, with the line that δ predicts and the secant of h.

    The curve is the loss where t·h is added to what the function computes at the points, for t from -`span` to `span`.
    The tangent at t = 0 has the slope Σ⟨δ, h⟩, that of `Walk.predict`; the secant goes from t = 0 to t = 1, from the
    loss as it is to the loss after the move. Where the loss, or its slope, jumps along the move, a line stands: at no
    more than eight places of each, those at which it changes least evenly, found by halving; a jump of the slope by
    less than 2 % of the largest slope is not looked for. Where the loss is a NaN or an Inf, the curve has a gap, in a
    colour of its own.

    Arguments:
        fun: the function that was walked.
        args: its arguments, as a tuple.
        walk: what `jw.walk(fun, ...)(*args)` returned.
        move: by point name, arrays of the shape of δ there, as for `Walk.predict`.
        span: how far t goes, in both directions.
        by, source: as of the walk.
        ax: the axes to draw in; a new figure's unless told.

    Returns:
        The axes.

    Raises:
        ArgumentError: an argument does not fit: the walk is being traced, is one of many data, or is not of `fun` at
            `args`; a move does not have the shape of δ.
        PointError: a name that has no δ in the walk, or that is no point of `fun`.
        JaxwalkError: matplotlib is not installed.

    >>> import jax.numpy as jnp, jaxwalk as jw
    >>> fun = lambda x: jnp.sum(jw.tag(2 * x, "twice") ** 2)
    >>> x = jnp.array([1.0, 3.0])
    >>> ax = jw.plot.prediction(fun, (x,), jw.walk(fun)(x), {"twice": jnp.array([0.0, -1.0])})
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['what happens', 'what δ predicts: slope −12', 'secant of h: slope −11']
    """
    slope = _checked(fun, args, walk, move, span)
    t = np.unique(np.r_[np.linspace(-span, span, PLACES + 1), 0])
    along = loss_along(fun, args, move, walk.points, t, by, source)
    start, end = along.at(np.array([0.0, 1.0]))[0]
    _check_same(float(walk.value), float(start), along)
    jumps = jumps_of(along)
    with drawing(ax, 5.6, 3.8) as (ax, palette):
        _draw_gaps(ax, along)
        ax.plot(*_curve(along, jumps), color=palette.output, linewidth=2, label="what happens")
        told = f"what δ predicts: slope {in_words(slope)}"
        loss = float(walk.value)
        ax.plot(t, loss + slope * t, "--", color=palette.delta, label=told)
        if np.isfinite(end) and span >= 1:
            told = f"secant of h: slope {in_words(end - loss)}"
            ax.plot([0, 1], [loss, end], ":", color=palette.ink, marker=".", label=told)
        _draw_jumps(ax, jumps, palette)
        ax.plot([0], [loss], "o", color=palette.ink, markersize=5, zorder=5)
        _frame(ax, along, move, loss, slope)
        return ax


def _checked(fun: Any, args: Any, walk: Any, move: Any, span: Any) -> float:
    """Return how much the loss moves to first order."""
    if not callable(fun):
        raise ArgumentError(f"`fun` is {shown(fun)}; give the function that was walked.")
    if not isinstance(args, tuple):
        raise ArgumentError(f"`args` is {shown(args)}; give the arguments of `fun` as a tuple, `(x,)` if it has one.")
    check_walk(walk)
    if jnp.ndim(walk.value):
        raise ArgumentError(
            f"The walk is of {walk.value.size} data; give that of one, `jax.tree.map(lambda a: a[0], walk)`, with its"
            " arguments."
        )
    if isinstance(span, bool) or not isinstance(span, (int, float)) or not 0 < span < float("inf"):
        raise ArgumentError(f"`span` is {shown(span)}; give a positive number.")
    return float(walk.predict(move))


def _check_same(walked: float, found: float, along: Along) -> None:
    """Refuse a walk that is not of the function at the arguments."""
    finite = np.abs(along.loss[np.isfinite(along.loss)])
    room = 1e-3 * max(abs(walked), np.max(finite, initial=0))
    if np.isfinite(walked) != np.isfinite(found) or abs(walked - found) > room:
        raise ArgumentError(
            f"The walk has the loss {number(walked)}, and `fun` at `args` {number(found)}; give the function and the"
            " arguments that were walked."
        )


def _curve(along: Along, jumps: list[Jump]) -> tuple[np.ndarray, np.ndarray]:
    """Return the places and losses to draw, with a gap where the loss is not finite, and where it jumps."""
    t, loss = along.t, np.where(np.isfinite(along.loss), along.loss, np.nan)
    for jump in jumps:
        if jump.of_loss:
            at = np.searchsorted(t, jump.t)
            t = np.insert(t, at, [jump.t] * 3)
            loss = np.insert(loss, at, [jump.before, np.nan, jump.after])
    return t, loss


def _draw_gaps(ax: Axes, along: Along) -> None:
    """Draw a band over every stretch at whose places the loss is a NaN or an Inf."""
    bad, t = ~np.isfinite(along.loss), along.t
    edges = np.r_[t[0], (t[1:] + t[:-1]) / 2, t[-1]]
    starts = np.flatnonzero(bad & ~np.r_[False, bad[:-1]])
    ends = np.flatnonzero(bad & ~np.r_[bad[1:], False])
    label = f"NaN or Inf, at {bad.sum()} of {counted(t.size, 'place')}"
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        ax.axvspan(
            edges[start], edges[end + 1], color=NONFINITE, alpha=0.6, linewidth=0, label=label if i == 0 else None
        )


def _draw_jumps(ax: Axes, jumps: list[Jump], palette: Palette) -> None:
    for what in ("loss", "slope"):
        for i, jump in enumerate(jump for jump in jumps if jump.of_loss == (what == "loss")):
            label = f"the {what} jumps" if i else _told(what, jumps)
            ax.axvline(jump.t, color=palette.kink, linewidth=1, linestyle="-" if jump.of_loss else "-.", zorder=0.5)
            ax.lines[-1].set_label("_" + label if i else label)


def _told(what: str, jumps: list[Jump]) -> str:
    """Return what the legend says of the places at which the loss, or its slope, jumps."""
    same = [jump for jump in jumps if jump.of_loss == (what == "loss")]
    name = "kink: the slope" if what == "slope" else "the loss"
    if len(same) == 1:
        (jump,) = same
        sides = (in_words(side, 3) for side in (jump.before, jump.after))
        return f"{name} jumps at t = {in_words(_tidy(jump.t), 3)}, from {' to '.join(sides)}"
    several = f"{JUMPS} or more" if len(same) >= JUMPS else str(len(same))
    return f"{name} jumps at {several} places"


def _tidy(t: float) -> float:
    """Return a place that cannot be told from 0 as 0."""
    return 0.0 if abs(t) < 1e-5 else t


def _frame(ax: Axes, along: Along, move: Mapping[str, Any], loss: float, slope: float) -> None:
    """Write what the axes are, and give the curve the room: of the tangent no more than half as much as of that."""
    width, _ = room(ax)
    known = along.loss[np.isfinite(along.loss)]
    if known.size:
        low, high = float(known.min()), float(known.max())
        half = (high - low) / 2 or abs(slope) * float(along.t[-1]) or 1.0
        tangent = loss + slope * along.t[[0, -1]]
        low, high = max(min(low, *tangent), low - half), min(max(high, *tangent), high + half)
        margin = 0.06 * (high - low) or 0.5
        ax.set_ylim(low - margin, high + margin)
    ax.set(xlim=(along.t[0], along.t[-1]), ylabel="loss")
    title = "The loss along a move h of "
    ax.set_title(title + folded(", ".join(move), width - 5.6 * len(title), 10))
    ax.set_xlabel("t, where t · h is added")
    ax.legend(loc="best", frameon=True, facecolor=ax.get_facecolor(), edgecolor="none", framealpha=0.95)
