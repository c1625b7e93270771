"""`graph`: a model as the textbook draws it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..._errors import ArgumentError, PointError, shown
from ..._evaluate.result.evaluation import Evaluation
from ..._points.name_patterns import At, choose
from ..._points.point import Points
from ..._walk.result import Walk
from .._sizes import Size, sizes_of
from . import by_hand, by_scope
from .folding import folded
from .network import Network, network_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FEW = 12  # values, each of which is drawn with all that is known of it


def graph(what: Walk | Evaluation | Points, *, depth: int | None = None, at: At = None, ax: Axes | None = None) -> Axes:
    """Draw a model: its points as boxes, and what is computed from what as arrows.

    The arrows are those of the traced function: skips, branches and loops are drawn as they are. The step of a loop
    that feeds the next is a dashed arrow. Where the flow goes through a mutable array, or the points are from a file,
    it is not known; the points then stand in forward order, joined by lines, and the picture says so.

    Up to 12 values are drawn one by one: Xⁱ at the arrow that leaves a box, δⁱ at the one that comes back to it, a few
    numbers written out, else shape and root mean square. No arrow comes back where no derivative does. Under a box is
    the derivative of a scalar by the one value that it is computed from, where δ tells it: δ of that value, divided by
    δ of the scalar. Beside the boxes are the arguments of the function that are read there. Dead, blocked,
    unused and non-finite points, and kinks that `Walk.with_kinks` has added, are marked.

    More are folded by the parts of their names, and a box says how many points are in it. Siblings that follow each
    other and are alike inside are one box, "h_0 … 11  ×12". The colour is the root mean square of all δ in a box; where
    there is none, of the outputs.

    Arguments:
        what: a `Walk`, an `Evaluation`, or the `Points` of a function, of which there are no numbers to draw.
        depth: how many parts of the names are told apart; None for as many as fit 20 boxes. Parts that all names begin
            with do not count.
        at: which points, as of `walk`. An arrow between two may lead through points that are left out.
        ax: matplotlib's axes to draw on; None for a new figure, as large as needed. Smaller axes make it all smaller.

    Returns:
        Axes: without frame and ticks, in inches.

    Raises:
        ArgumentError: an argument is none of these; or the walk is being traced.
        PointError: there are no points to draw, or `at` matches none.
        JaxwalkError: matplotlib is not installed.

    >>> import jax.numpy as jnp, jaxwalk as jw
    >>> fun = jw.objective(jw.chain(lambda w, x: w @ x, jnp.tanh), lambda o, y: 0.5 * (o - y) ** 2)
    >>> walk = jw.walk(fun)({"L1": jnp.array([1.0, 2.0])}, jnp.array([3.0, -1.0]), 1.0)
    >>> ax = jw.plot.graph(walk)
    >>> sorted(text.get_text() for text in ax.texts if "L" in text.get_text())
    ['L1', 'L2', 'Loss', 'backward: δⁱ = ∂Loss/∂Xⁱ']
    """
    if depth is not None and (not isinstance(depth, int) or isinstance(depth, bool) or depth < 1):
        raise ArgumentError(f"`depth` is {shown(depth)}; it must be an integer of at least 1, or None.")
    points = _points_of(what)
    if not points:
        raise PointError("There are no points to draw; `jw.points` says what can be named, and how.")
    network = network_of(points if at is None else choose(points, at), "result" if what is points else "Loss")
    sizes, network = _sized(what, network)
    if depth is None and len(network.nodes) - 1 <= FEW:
        return by_hand.drawn(network, what, sizes, ax)
    return by_scope.drawn(folded(network, depth), what, sizes, ax)


def _points_of(what: Walk | Evaluation | Points) -> Points:
    if isinstance(what, Points):
        return what
    if isinstance(what, (Walk, Evaluation)):
        return what.points
    raise ArgumentError(
        f"`what` is {shown(what)}; give the `Walk` that `jw.walk` made, the `Evaluation` of `jw.evaluate`, or the"
        " `Points` of `jw.points`."
    )


def _sized(what: Walk | Evaluation | Points, network: Network) -> tuple[dict[str, Size], Network]:
    """Return the sizes at points, by name; with none, where what was kept tells none, the network says so."""
    if isinstance(what, Points):
        return {}, network
    try:
        return {size.point.name: size for size in sizes_of(what)}, network
    except PointError:
        return {}, network._replace(notes=(*network.notes, "what was kept tells no sizes"))
