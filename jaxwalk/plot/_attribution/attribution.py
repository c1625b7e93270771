"""`attribution`: how much each point has to do with a result, as bars; or each entry of one point, as a map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..._points.name_patterns import At, choose
from ...attribute import Attribution, Curve, Edges
from .._rows.rows import figure_height
from .._style import drawing
from .bars import draw_totals
from .curves import curves_of, draw_curves
from .edges_map import draw_edges, size_of
from .given import check_no_points, check_none, data_of, is_one
from .score_map import draw_map
from .scores import scores_at
from .totals import totals_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def attribution(
    attribution: Attribution | Edges | Curve | Sequence[Curve],
    at: At = None,
    *,
    datum: int | tuple[int, ...] | None = None,
    step: int | tuple[int, ...] | None = None,
    channels: int | None = None,
    channel: int | None = None,
    over: Any = None,
    labels: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw how much each point has to do with a result: the totals of all as bars; or of one, its scores as a map. Also
    edges, as a map of who writes and who reads; and curves of deletion and insertion.

    Of several points: a row for each, in forward order from above, with the total of its scores as a bar, red above
    zero and blue below it, and beside it the mean of |score|, on a logarithmic scale. A point in a loop has a bar for
    each step, in the order of the scan's inputs. Above them stand the inputs, all their arrays together. Where the
    method promises what the scores of the inputs add up to, a dashed line is there.

    Of one point, which `at` names: up to 64 scores in a row are bars; more are a strip. A matrix is drawn as it lies.
    Of three axes or more the scores are summed over the channels, and what is left beside two axes is tiled. The
    scale is symmetric around zero. What is larger than there is room for is reduced, block by block, to the score of
    largest magnitude. What was summed, chosen, tiled or reduced is written below; so is how many are a NaN or an Inf,
    which have a colour of their own.

    Of `Edges`: a row for each writer, a column for each reader, in forward order; red above zero and blue below it, on
    a scale that is symmetric around zero; where there is no edge, the cell is blank. Where they have room, the scores
    stand in the cells. Of a `Curve`, or of several in one picture: the result against which fraction of the entries has
    gone, or is back, with the area below each in the legend.

    Arguments:
        attribution: what a method of `jw.attribute` returned, `edges` among them; or what `deletion` or `insertion`
            did, or a list of such curves. Of many, by `jax.vmap`, means over the data are drawn.
        at: the name of one point, for its scores; or "inputs" for those of the inputs (unless a point has that name),
            of several arrays "inputs/0" or "inputs/w", as they lie in the arguments. Else which points have rows, as
            of `jw.walk`: None for all, or if there are scores of the inputs alone, for these.
        datum: of many attributions, by `jax.vmap`, which; unless told, the mean over all is drawn. A tuple where
            several `jax.vmap` are nested.

    These are of the scores of one point:
        step: of a point in a scan, which; unless told, all, tiled or as rows. A tuple in a scan in a scan.
        channels: which axis of the value the scores are summed over, and is gone; unless told it is guessed, of three
            axes or more, as `jw.plot.heat` does. Of a value of tokens × features, -1 leaves a bar for each token.
        channel: which entry of that axis is drawn alone, in place of the sum.
        over: an image that the scores are drawn over, as that of the inputs: an array, as high and as wide as the
            scores, or larger in proportion, with 1, 3 or 4 channels or none.
        labels: of the entries of an axis, as tokens; each axis of so many entries has them. Of curves: a name for each.
        ax: the axes to draw in; a new figure's unless told.

    Returns:
        The axes.

    Raises:
        ArgumentError: an argument does not fit, or the attribution is being traced.
        PointError: `at` chooses no point, or one without scores.
        JaxwalkError: matplotlib is not installed.

    >>> import jax.numpy as jnp, jaxwalk as jw
    >>> fun = lambda x: jnp.sum(jw.tag(x * x, "square"))
    >>> found = jw.attribute.conductance(fun)(jnp.array([1.0, -3.0]))
    >>> jw.plot.attribution(found).get_title(loc="left")
    'conductance at 1 point, result 10'
    >>> jw.plot.attribution(found, "inputs", labels=["first", "second"]).get_title(loc="left")
    'inputs: conductance'
    """
    options = {"step": step, "channels": channels, "channel": channel, "over": over}
    if isinstance(attribution, Edges):
        check_no_points({"at": at, **options, "labels": labels}, "edges")
        with drawing(ax, *size_of(attribution)) as (axes, palette):
            draw_edges(axes, attribution, datum, palette)
        return axes
    if (curves := curves_of(attribution)) is not None:
        check_no_points({"at": at, **options}, "a curve")
        with drawing(ax, 5.4, 3.6) as (axes, palette):
            draw_curves(axes, curves, datum, labels, palette)
        return axes
    return _of_points(attribution, at, datum, options, labels, ax)


def _of_points(
    attribution: Any, at: At, datum: Any, options: dict[str, Any], labels: Sequence[str] | None, ax: Axes | None
) -> Axes:
    """Draw the totals of points, or the scores of one."""
    data = data_of(attribution, datum)
    if is_one(attribution, at):
        over = options.pop("over")
        scores = scores_at(attribution, at, data, **options)  # type: ignore[arg-type]
        with drawing(ax, 4.6, 3.9 if scores.values.ndim > 1 else 2.8) as (axes, palette):
            draw_map(axes, scores, f"{scores.name}: {attribution.method}", over, labels, palette)
        return axes
    check_none(options | {"labels": labels})
    chosen = choose(attribution.points, at)
    totals = totals_of(attribution, chosen, data, with_inputs=at is None)
    with drawing(ax, 7.5, figure_height(totals.rows)) as (axes, palette):
        draw_totals(axes, totals, palette)
    return axes
