"""Labels of the entries of an axis, as of tokens, in the place of their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..._errors import ArgumentError, counted, shown
from ..._printable import printable
from .._words import folded, room
from .scores import Scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = 8  # points of the type of a label
LONGEST = 60  # points that a label is wide, at most
APART = 10.0  # points from one label to the next


class Labels(NamedTuple):
    """The labels, and whether the columns of the picture have them, and the rows."""

    texts: Sequence[str]
    across: bool
    down: bool


def labelled(labels: Any, scores: Scores) -> Labels:
    """Return which axes of the picture have as many entries as there are labels.

    Raises:
        ArgumentError: they are no strings, or none has as many, or the picture is of tiles.
    """
    if labels is None:
        return Labels((), False, False)
    if isinstance(labels, str) or not hasattr(labels, "__iter__"):
        raise ArgumentError(f"`labels` is {shown(labels)}; give a list of strings, one for each entry of an axis.")
    texts = [printable(str(label)) for label in labels]
    if scores.values.ndim > 2:
        raise ArgumentError(
            f"`labels` are given, but the scores of `{scores.name}` are drawn as tiles, of the shape"
            f" {scores.values.shape}; choose one of these by `step`, or by `channels` and `channel`."
        )
    lengths = [1, 1, *scores.values.shape][-2:]
    down, across = (length == len(texts) and length > 1 for length in lengths)
    if not (down or across):
        raise ArgumentError(
            f"`labels` has {counted(len(texts), 'entry', 'entries')}, and the scores of `{scores.name}` that are drawn"
            f" have the shape {scores.values.shape}; give a label for each entry of one of these axes."
        )
    return Labels(texts, across, down)


def draw_labels(ax: Axes, labels: Labels) -> list[str]:
    """Write the labels at the entries of their axes; return a word where there is room for a part of them alone."""
    width, height = room(ax)
    words = []
    for is_wanted, axis, length in ((labels.across, ax.xaxis, width), (labels.down, ax.yaxis, height)):
        if is_wanted:
            count = len(labels.texts)
            every = max(1, -(-int(count * APART) // max(int(length), 1)))
            places = range(0, count, every)
            texts = [folded(labels.texts[place], LONGEST, SIZE) for place in places]
            upright = axis is ax.xaxis and max(map(len, texts)) * 5 > length / len(texts)
            axis.set_ticks(places, texts, parse_math=False, rotation=90 if upright else 0)
            axis.set_label_text("")
            words += [f"every {every}. label"] * (every > 1)
    return [*dict.fromkeys(words)]
