"""`graph`: a model as the textbook draws it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..._errors import ArgumentError, PointError, shown
from ..._points.name_patterns import At, choose
from ..._points.point import Points
from ..._walk.result import Walk
from .._sizes import sizes_of
from . import by_hand, by_scope
from .folding import folded
from .network import network_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FEW = 12  # points, each of which is drawn with all that is known of it


def graph(what: Walk | Points, *, depth: int | None = None, at: At = None, ax: Axes | None = None) -> Axes:
    """Draw a model: its points as boxes, what is computed from what as arrows.

    Arguments:
        what: a `Walk`, or the `Points` of a function.
        at: which points, as of `walk`. An arrow between two may lead through points that are left out.
        ax: matplotlib's axes to draw on; None for a new figure.
    """
    points, walk = _points_of(what)
    chosen = choose(points, at) if at is not None else points
    if not chosen:
        raise PointError("There are no points to draw; `jw.points` says how to get some.")
    network = network_of(chosen, "result" if walk is None else "Loss")
    sizes = {} if walk is None else {size.point.name: size for size in sizes_of(walk)}
    if depth is None and len(network.nodes) - 1 <= FEW:
        return by_hand.drawn(network, what, sizes, ax)
    return by_scope.drawn(folded(network, depth), what, sizes, ax)


def _points_of(what: Walk | Points) -> tuple[Points, Walk | None]:
    if isinstance(what, Walk):
        return what.points, what
    if isinstance(what, Points):
        return what, None
    raise ArgumentError(
        f"`what` is {shown(what)}; give the `Walk` that `jw.walk` made, or the `Points` of `jw.points`."
    )
