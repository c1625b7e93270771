"""`training`: what went on at each point while a model was trained, points × steps, below the loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..._health.finding import Health
from ..._health.places import names_by_point, told
from ..._learn.history import History
from ..._learn.learn import Learned
from ..._learn.seen import Seen
from ..._points.name_patterns import At, choose
from ..._points.point import Point
from ..._rewrite.tap import loops
from .._rows.captions import fit, head, note
from .._rows.findings import given, marks_of, write_marks
from .._rows.rows import LABEL, Rows, bands, prepare, rows_of
from .._style import drawing
from .._words import lay_out, room
from .cells import cells_of, result_of, without, words_of
from .frames import APART, LANE, frame, lanes_of, write_lanes
from .given import history_of
from .heat_map import draw_below, draw_cells
from .loss import draw_loss
from .raster import step_edges
from .words import notes, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INCHES, LEAST, TALLEST = 0.17, 5, 45  # of a row of a figure of our own; and the rows that it grows with
LOSS, GAP = 62.0, 7.0  # typographic points that the loss takes, and that are below it: more where rows are thin
BELOW = 62.0  # and those that the names of the steps and the scale of the colours take
THICK = 3  # rows that a point in a loop takes, at most


def training(
    history: History | Learned | Seen | Sequence[Seen],
    at: At = None,
    *,
    of: str = "delta",
    health: Health | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw how large δ, or the output, was at each point in each step of a training, below the curve of the loss.

    A row for each point, in forward order from above, a column for each step; a point in a scan has a thin row for each
    layer, in the order of the scan's inputs. The scale of the colours is logarithmic. A NaN or an Inf has a colour of
    its own, and so have sizes that are exactly zero. Where there are more steps or layers than have room, one cell is
    of several, of which it shows the largest, or that there is a NaN; it is said of how many. Where there is no room
    for all names, those of the scopes are there instead.

    Arguments:
        history: that of `jw.learn`; or what steps of `jw.watch` have seen: one, a list of them, or those that
            `lax.scan` has stacked.
        at: which points, as of `jw.walk`.
        of: "delta" or "output", for its root mean square (where that was not kept, its ℓ2 norm or its largest
            magnitude); or the name of a result that was kept, one number a point and step, as "output_zeros".
        health: what `jw.health(history)` returned: the points and steps of its findings are framed, with their names;
            those of no point, as of the loss or of weights, have a bar below the loss.
        ax: matplotlib's axes to draw in; None for those of a new figure. The two pictures are insets of it.

    Returns:
        The axes.

    Raises:
        JaxwalkError: matplotlib is not installed.
        ArgumentError: an argument is not what it should be; or nothing was kept under the name `of`.
        PointError: `at` chooses no point; or nothing is known of the sizes at those that it chooses.

    >>> import jax.numpy as jnp, numpy as np, jaxwalk as jw
    >>> points = jw.points(lambda x: jnp.sum(jw.tag(3 * x, "thrice")), jnp.ones(2))
    >>> kept = jw.Named({"thrice": {"delta_rms": np.array([1.0, 0.1, 0.01])}})
    >>> history = jw.History(np.arange(3), np.array([4.0, 2.0, 1.0]), kept, jw.Named({}), points, total=3)
    >>> jw.plot.training(history).get_title(loc="left")
    'Training: 3 steps, loss 4 to 1; δ at 1 point'
    """
    history = history_of(history)
    health = given(health)
    result = result_of(history, of)
    chosen = choose(history.points, at) if len(history.points) else history.points
    cells = cells_of(history, chosen, result)
    rows = rows_with_layers([each.point for each in cells])
    steps = step_edges(history)
    with drawing(ax, 7.5, height_of(rows, lanes_of(health))) as (axes, palette):
        lay_out(axes)
        lanes = lanes_of(health, room(axes)[1])
        loss, heat = _insets(axes, lanes, rows)
        names = prepare(heat, rows, palette, dict.fromkeys(names_by_point(health), palette.alarm))
        slot = axes.get_position()
        fit(axes, slot)
        draw_loss(loss, history, palette)
        scale, said = draw_cells(heat, cells, rows, steps, palette)
        bands(heat, rows, palette)
        write_marks(heat, rows, marks_of(health, rows.points), palette)
        frame(heat, health, rows, steps, palette)
        write_lanes(loss, health, lanes, steps, palette)
        draw_below(axes, heat, scale, words_of(result), palette)
        head(axes, title(history, chosen, of), heat)
        found = told(health, {point.name for point in rows.points})
        note(axes, palette, [*found, *said, *notes(history), *without(chosen, cells, result), *names], BELOW)
        fit(axes, slot)
    return axes


def rows_with_layers(points: Sequence[Point]) -> Rows:
    """Return rows of points, of which one in a loop is thicker: its layers are in it."""
    return rows_of(points, [min(max(math.prod(loops(point)), 1), THICK) for point in points])


def height_of(rows: Rows, lanes: int = 0) -> float:
    """Return how many inches a figure of our own takes for these rows, and lines of findings below the loss."""
    return 2.9 + INCHES * min(max(float(rows.edges[-1]), LEAST), TALLEST) + LANE * lanes / 72


def _insets(ax: Axes, lanes: int, rows: Rows) -> tuple[Axes, Axes]:
    """Return axes for the loss, and below it, and lines of findings, for the points, within these axes."""
    height = max(room(ax)[1], 1)
    first = height * float(rows.edges[1] / rows.edges[-1])  # the first row, whose name stands in its middle
    apart = min(max(GAP, LABEL - first / 2), 0.05 * height) + LANE * lanes + APART * (lanes > 0)
    above, gap = min(LOSS / height, 0.35), apart / height
    ax.set(xticks=[], yticks=[], facecolor="none")
    ax.spines[:].set_visible(False)
    heat = ax.inset_axes((0, 0, 1, 1 - above - gap))
    loss = ax.inset_axes((0, 1 - above, 1, above), sharex=heat)
    for each in (loss, heat):
        each.set_facecolor("none")
    return loss, heat
