"""Pictures of single points: their entries as images, of so many points that the page stays small."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._points.point import Point
from .._show.table import is_readable
from .._walk.result import Walk
from ..plot._heat import heat
from .picture import svg_of
from .record import Record
from .sizes import overall

PICTURES = 16  # points that have one
WIDTH, HEIGHT = 7.2, 3.3  # inches, at most
SIDE, MARGIN = 2.4, 1.0  # the width of one image, and the height of what is written around it


def pictures_of(record: Record) -> tuple[Mapping[str, str], list[str]]:
    """Return pictures by point, SVG, and sentences on which points have one.

    What has a matrix or more at a point has a picture; a vector's entries are in its histogram.
    """
    walk = record.result
    if not isinstance(walk, Walk):
        return {}, []
    drawable = [name for name in walk.outputs if is_readable(walk.outputs[name]) and _is_large(record, name)]
    chosen = sorted(drawable, key=lambda name: _rank(record, name))[:PICTURES]
    said = []
    if len(chosen) < len(drawable):
        said = [
            f"{len(chosen)} of the {len(drawable):,} points that hold a matrix or more open with a picture of their"
            " entries: those with a mark first, then those of largest δ."
        ]
    return {name: _picture(walk, record.points[name], record.place(name)) for name in chosen}, said


def _picture(walk: Walk, point: Point, place: int | None) -> str:
    def draw(ax: Any) -> None:
        heat(walk, point.name, ax=ax).set_title("", loc="left")  # the page says which point it is

    return svg_of(draw, WIDTH, _height(point.shape), f"point{place}", "output and δ as images")


def _height(shape: tuple[int, ...]) -> float:
    """Return how tall the picture of a matrix is, beside which the one of δ stands; of more axes, which are tiled, the
    largest."""
    if len(shape) != 2:
        return HEIGHT
    return MARGIN + min(max(SIDE * shape[0] / shape[1], 0.5), HEIGHT - MARGIN)


def _is_large(record: Record, name: str) -> bool:
    shape = record.points[name].shape
    return len(shape) > 1 and 0 not in shape


def _rank(record: Record, name: str) -> tuple[bool, float]:
    size = record.sizes.get(name)
    return not (size and size.marks()), -(overall(size, "delta") or 0.0)
