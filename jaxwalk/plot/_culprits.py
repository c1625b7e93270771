"""`culprits`: what is most to blame, entries of a walk or data of many, as bars or as images with their δ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._errors import check_count, counted
from .._evaluate.result.evaluation import Evaluation
from .._walk.result import Walk
from ._arrays.blamed import bars_of, items_of, worth_of
from ._arrays.gallery import Item, draw_gallery, gallery_size
from ._arrays.ranked import Bar, draw_ranked
from ._checks import check_result
from ._style import drawing
from ._words import lay_out, room, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def culprits(
    result: Walk | Evaluation,
    data: Any = None,
    *,
    k: int = 6,
    captions: Any = None,
    cmap: Any = "gray",
    ax: Axes | None = None,
) -> Axes:
    """Draw what is most to blame for the loss: data as images where they are images, else bars.

    - Of a walk: a bar for each of the `k` entries of largest |δ|, its length δ. If the datum is an image, that and its
      δ stand beside them.
    - Of many walks, by `jax.vmap`: the `k` data of largest loss, each with its δ below, if they are images. Else the
      bars of the entries, of all data.
    - Of an evaluation: a bar for the loss of each of the `k` data of largest loss, with the point at which its δ is
      largest. With `data`, their images.

    Arguments:
        result: what `jw.walk`, or `jw.evaluate`, returned.
        data: the data, if they are to be seen: an array or a sequence, of which `data[index]` is a datum, or a function
            from the index of a datum to it; of a single walk, the datum itself. Or the name of a point of a walk whose
            outputs are images; unless told, that is the point `input` if there is one, as in a chain.
        k: how many entries or data.
        captions: what stands above the image of a datum, in place of its index: a sequence of which `captions[index]`
            is one, or a function from the index to it.
        cmap: the colours of grey images, as matplotlib names them.
        ax: the axes to draw in; a new figure's unless told.

    Returns:
        The axes.

    Raises:
        ArgumentError: an argument does not fit, or the walk is being traced.
        PointError: the walk holds no deltas, as with `keep`; or `data` names a point that is not in it.
        JaxwalkError: matplotlib is not installed.

    >>> import jax.numpy as jnp, jaxwalk as jw
    >>> walk = jw.walk(lambda x: jnp.sum(jw.tag(x * x, "square") ** 2))(jnp.array([1.0, 3.0]))
    >>> ax = jw.plot.culprits(walk, k=2)
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['square[1] = 9', 'square[0] = 1']
    """
    check_result(result)
    check_count("k", k)
    items, words = items_of(result, data, k, captions)
    is_one = isinstance(result, Walk) and not result.value.ndim
    size = gallery_size(items) if items and not is_one else (7.6, max(0.28 * k + 1.4, 3.0 if items else 0))
    with drawing(ax, *size) as (ax, palette):
        lay_out(ax)
        bars = bars_of(result, k, palette) if is_one or not items else []
        if items:
            ax.set(xticks=[], yticks=[], facecolor="none")
            ax.spines[:].set_visible(False)
            left, right = _halves(ax) if bars else (ax, None)
            words += draw_gallery(left, items, cmap)
        else:
            right = ax
        if right is not None:
            draw_ranked(right, bars, worth_of(result) if isinstance(result, Evaluation) else "δ", palette)
        ax.set_title(_title(result, bars, items))
        _say(ax, words)
        return ax


def _halves(ax: Axes) -> tuple[Axes, Axes]:
    """Return axes for an image at the left, and for bars at the right, in these axes."""
    _, height = room(ax)
    below = min(34 / height, 0.3)
    left, right = ax.inset_axes((0, 0, 0.3, 1)), ax.inset_axes((0.54, below, 0.46, 0.98 - below))
    left.axis("off")
    return left, right


def _title(result: Walk | Evaluation, bars: list[Bar], items: list[Item]) -> str:
    if isinstance(result, Walk) and bars:
        return f"The {counted(len(bars), 'entry', 'entries')} most to blame"
    return f"The {counted(len(bars or items), 'datum', 'data')} of largest {worth_of(result)}"


def _say(ax: Axes, words: list[str]) -> None:
    if words:
        width, _ = room(ax)
        above = f"{ax.get_xlabel()}\n" if ax.get_xlabel() else ""
        ax.set_xlabel(above + wrapped("; ".join(words), width, 8), loc="left", fontsize=8)
