"""`flow`: how large the output and the δ of each point are, from the first to the last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .._errors import PointError, argument, counted, listed, shown
from .._evaluate.result.evaluation import Evaluation
from .._health.finding import Health
from .._health.places import names_by_point, told
from .._learn.history import History
from .._points.name_patterns import At, choose
from .._points.point import Points
from .._walk.result import Walk
from ._rows.captions import fit, head, loss_of, note
from ._rows.findings import given, marks_of, write_marks
from ._rows.log_axis import LogAxis, axis_of, show
from ._rows.rows import Rows, bands, figure_height, prepare, rows_with_steps
from ._sizes import Size, drawable, place_of, sizes_of
from ._style import Palette, drawing
from ._words import folded, room

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Mark(NamedTuple):
    """How a mark is drawn: on which side, in which colour of the palette, and whether it is filled."""

    side: str
    shape: str
    colour: str


MARKS = {
    "non-finite": Mark("", "X", "alarm"),
    "dead": Mark("output", "s", "ends"),
    "blocked": Mark("delta", "D", "ends"),
    "unused": Mark("delta", "o", "faint"),
    "not taken": Mark("output", "v", "faint"),
}
DOTS = {"output": 5.5, "delta": 4.0}  # a δ on an output leaves a ring of it to be seen
GAP = np.full(1, np.nan)  # where a line ends
SIDES = {"output": "output, forward ↓", "delta": "δ, backward ↑"}


def flow(
    result: Walk | Evaluation | History,
    at: At = None,
    *,
    step: int | None = None,
    health: Health | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw how large the output and the δ of each point are, in forward order from above, on a logarithmic scale.

    A size is the root mean square of the entries that are finite; of several data, over all of them. Zeros stand on a
    line of their own beside the scale, and so does a NaN or an Inf. A point in a scan lies in a band, with its steps
    one below the other, in the order of the scan's inputs. Points that are unused, dead (outputs, or all units, zero),
    blocked (δ zero, though the loss depends on it), not finite, or in a branch at which all is zero, are marked. Where
    there is no room for all names, those of the scopes are there instead.

    Arguments:
        result: what `jw.walk` or `jw.evaluate` returned; with `keep`, one that has sizes, as `jw.stats.norms`. Or the
            history of a training, of which it is one step.
        at: which points, as of `jw.walk`.
        step: of a history, the number of a step that it holds; None for the last one.
        health: what `jw.health` returned: its findings stand beside their rows.
        ax: matplotlib's axes to draw on; None for those of a new figure.

    Returns:
        The axes.

    Raises:
        JaxwalkError: matplotlib is not installed.
        ArgumentError: `result` is none of these, or is being traced; `step`, `health` or `ax` is not what it should be.
        PointError: `at` chooses no point; or nothing is known of the sizes at those that it chooses.

    >>> import jax.numpy as jnp, jaxwalk as jw
    >>> walk = jw.walk(lambda x: jnp.sum(jw.tag(jnp.tanh(jw.tag(3 * x, "thrice")), "tanh")))(jnp.array([1.0, 2.0]))
    >>> jw.plot.flow(walk).get_title(loc="left")
    'Flow through 2 points, loss 1.995'
    """
    return flow_of_sizes(result, sizes_of(result, step), at, step, health, ax)


def flow_of_sizes(
    result: Walk | Evaluation | History,
    sizes: Sequence[Size],
    at: At = None,
    step: int | None = None,
    health: Health | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw as `flow`, of sizes that are known: those of `result`."""
    health, others = _met(result, step, given(health))
    chosen = choose(result.points, at) if len(result.points) else result.points
    drawn = drawable([size for size in sizes if size.point.name in chosen])
    if chosen and not drawn:
        raise PointError(
            f"`{argument('at')}={shown(at)}` chooses points of which no size is known: {listed(chosen)}; choose others."
        )
    rows = rows_with_steps([size.point for size in drawn])
    with drawing(ax, 7.5, figure_height(rows)) as (axes, palette):
        marks = [(i, mark) for i, size in enumerate(drawn) for mark in size.marks()]
        colours = {drawn[i].point.name: getattr(palette, MARKS[mark].colour) for i, mark in reversed(marks)}
        names = prepare(axes, rows, palette, dict.fromkeys(names_by_point(health), palette.alarm) | colours)
        bands(axes, rows, palette)
        slot = axes.get_position()
        fit(axes, slot)
        axis = axis_of(drawn)
        show(axes, axis, palette)
        for side in SIDES:
            _draw_side(axes, drawn, rows, axis, side, palette)
        _draw_marks(axes, drawn, rows, axis, marks, palette)
        axes.set_xlabel("root mean square of the entries")
        write_marks(axes, rows, marks_of(health, rows.points), palette)
        head(axes, _title(result, chosen, step))
        found = told(health, {size.point.name for size in drawn})
        note(axes, palette, [*found, *others, *names, *_left_out(drawn, chosen)])
        fit(axes, slot)
    return axes


def _draw_side(ax: Axes, sizes: Sequence[Size], rows: Rows, axis: LogAxis, name: str, palette: Palette) -> None:
    """Draw one side: a line through the points, a dot at each, and a small one at each step of a loop."""
    values, y, small = _series(sizes, rows, name)
    x, colour = axis.place(values), getattr(palette, name)
    ax.plot(x, y, color=colour, alpha=0.45, linewidth=1, label=f"_{name}", zorder=2)
    each = room(ax)[1] / max(rows.edges[-1], 1)
    large = (~small) & np.isfinite(x)
    for chosen, size, kind in (
        (large, min(DOTS[name], each), ""),
        (small & np.isfinite(x), 0.45 * DOTS[name], " by step"),
    ):
        label = f"_{name}{kind}" if kind and np.any(large) else SIDES[name]
        if np.any(chosen):
            style = {"linestyle": "none", "marker": "o", "markersize": size, "markeredgewidth": 0}
            ax.plot(x[chosen], y[chosen], color=colour, label=label, zorder=3, **style)


def _series(sizes: Sequence[Size], rows: Rows, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return one side of all points as a line: sizes, heights, and which are steps of a loop."""
    values: list[np.ndarray] = []
    heights: list[np.ndarray] = []
    for i, size in enumerate(sizes):
        side = getattr(size, name)
        found = GAP if side is None else side.rms.ravel()
        is_loop = found.size > 1
        values += [GAP, found, GAP] if is_loop else [found]
        heights += [GAP, rows.steps(i, found.size), GAP] if is_loop else [np.array([rows.middle(i)])]
    small = [np.full(each.size, each.size > 1) for each in values]
    return np.concatenate([GAP, *values]), np.concatenate([GAP, *heights]), np.concatenate([[False], *small])


def _draw_marks(
    ax: Axes, sizes: Sequence[Size], rows: Rows, axis: LogAxis, marks: Sequence[tuple[int, str]], palette: Palette
) -> None:
    """Draw the marks that occur, each kind with its number and the first point that has it."""
    for mark, (side, shape, colour) in MARKS.items():
        which = [i for i, each in marks if each == mark]
        if not which:
            continue
        places = [
            p for i in which for p in (_at_side(sizes, rows, axis, i, side) if side else _bad(sizes, rows, axis, i))
        ]
        x, y = np.array(places, float).reshape(-1, 2).T
        name = folded(sizes[which[0]].point.name, 110, 8)
        label = f"{mark}: {name}" if len(which) == 1 else f"{mark}: {len(which)}, first {name}"
        hollow = {"markerfacecolor": "none"} if side else {"markeredgewidth": 0}
        style = {"linestyle": "none", "marker": shape, "markersize": 7, **hollow}
        ax.plot(x, y, color=getattr(palette, colour), label=label, zorder=4, clip_on=False, **style)


def _at_side(sizes: Sequence[Size], rows: Rows, axis: LogAxis, i: int, name: str) -> list[tuple[float, float]]:
    side = getattr(sizes[i], name) or sizes[i].output or sizes[i].delta
    values = np.zeros(1) if side is None else np.ravel(side.rms)
    place = np.ravel(axis.place(np.array([np.median(values)])))[0]
    return [(float(place), rows.middle(i))]


def _bad(sizes: Sequence[Size], rows: Rows, axis: LogAxis, i: int) -> list[tuple[float, float]]:
    """Return where the steps are that have a NaN or an Inf, on the line for these."""
    bad = np.any([np.ravel(sizes[i].nonfinite_steps(side)) for side in sizes[i].sides.values()], axis=0)
    return [(axis.nonfinite or np.nan, y) for y in rows.steps(i, len(bad))[bad]]


def _met(result: Walk | Evaluation | History, step: int | None, health: Health) -> tuple[Health, list[str]]:
    """Return the findings of the step that is drawn, and a sentence on those of others; of no training, all."""
    if not isinstance(result, History):
        return health, []
    number = result.steps[place_of(result, step)]
    met = lambda finding: finding.steps is None or finding.steps[0] <= number <= finding.steps[1]
    others = dict.fromkeys(finding.name for finding in health if not met(finding))
    said = [f"Found, but not in this step: {', '.join(others)}."] if others else []
    return Health(filter(met, health)), said


def _left_out(drawn: Sequence[Size], chosen: Points) -> Iterator[str]:
    known = {size.point.name for size in drawn}
    if unknown := [name for name in chosen if name not in known]:
        yield f"Without sizes (opaque, booleans, or nothing was kept): {listed(unknown, 4)}."
    if empty := [name for name in known if 0 in chosen[name].shape]:
        yield f"Without entries: {listed(empty, 4)}."


def _title(result: Walk | Evaluation | History, chosen: Points, step: int | None) -> str:
    of = "" if len(chosen) == len(result.points) else f"{len(chosen)} of "
    return f"Flow through {of}{counted(len(result.points), 'point')}, {loss_of(result, step)}"
