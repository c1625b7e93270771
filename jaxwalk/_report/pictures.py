"""Pictures of single points: their entries as images, of so many points that the page stays small."""

from __future__ import annotations

from collections.abc import Mapping

from .._evaluate.result.evaluation import Evaluation
from .._show.table import is_readable
from ..plot._heat import heat
from .picture import svg_of
from .record import Record
from .sizes import overall

PICTURES = 16  # points that have one
WIDTH, HEIGHT = 7.2, 3.3  # inches


def pictures_of(record: Record) -> tuple[Mapping[str, str], list[str]]:
    """Return pictures by point, SVG, and sentences on which points have one.

    What has a matrix or more at a point has a picture; a vector's entries are in its histogram.
    """
    walk = record.result
    if isinstance(walk, Evaluation):
        return {}, []
    drawable = [name for name in walk.outputs if is_readable(walk.outputs[name]) and _is_large(record, name)]
    chosen = sorted(drawable, key=lambda name: _rank(record, name))[:PICTURES]
    draw = lambda name: svg_of(
        lambda ax: heat(walk, name, ax=ax), WIDTH, HEIGHT, f"point{record.place(name)}", "output and δ as images"
    )
    said = []
    if len(chosen) < len(drawable):
        said = [
            f"{len(chosen)} of the {len(drawable):,} points that hold a matrix or more open with a picture of their"
            " entries: those with a mark first, then those of largest δ."
        ]
    return {name: draw(name) for name in chosen}, said


def _is_large(record: Record, name: str) -> bool:
    shape = record.points[name].shape
    return len(shape) > 1 and 0 not in shape


def _rank(record: Record, name: str) -> tuple[bool, float]:
    size = record.sizes.get(name)
    return not (size and size.marks()), -(overall(size.delta if size else None) or 0.0)
