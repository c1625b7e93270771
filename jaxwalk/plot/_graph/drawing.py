"""Boxes, arrows and words on matplotlib's axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..._optional import matplotlib
from .geometry import Place

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CORNER = 0.08  # the radius of a rounded corner, in inches


class Sheet:
    """Axes in inches, on which the run goes from left to right or from the top down.

    Attributes:
        scale: how much smaller than meant everything is, for the axes to hold it.
    """

    def __init__(
        self, ax: Axes, is_down: bool, length: float, first: float, last: float, is_new: bool, start: float = 0.0
    ):
        self.ax, self._is_down = ax, is_down
        (left, bottom), (right, top) = self._at((start - 0.05, last + 0.05)), self._at((length + 0.05, first - 0.05))
        left, right, bottom, top = min(left, right), max(left, right), min(bottom, top), max(bottom, top)
        self.scale, more = 1.0, (0.0, 0.0)
        if not is_new:
            inches = _inches(ax)
            self.scale = min(1.0, inches[0] / (right - left), inches[1] / (top - bottom))
            more = inches[0] / self.scale - (right - left), inches[1] / self.scale - (top - bottom)
        ax.set(
            xlim=(left - more[0] / 2, right + more[0] / 2), ylim=(bottom - more[1] / 2, top + more[1] / 2),
            aspect="equal",
        )  # fmt: skip
        ax.set_axis_off()

    def _at(self, place: Place) -> tuple[float, float]:
        along, across = place
        return (across, -along) if self._is_down else (along, -across)

    def box(self, middle: Place, along: float, across: float, face: Any, edge: Any, width: float, gid: str) -> None:
        """Draw a box with rounded corners."""
        x, y = self._at(middle)
        w, h = (across, along) if self._is_down else (along, across)
        patches = matplotlib("patches")
        style = patches.BoxStyle("round", pad=0, rounding_size=CORNER)
        corner = (x - w / 2, y - h / 2)
        patch = patches.FancyBboxPatch(corner, w, h, style, fc=face, ec=edge, lw=width * self.scale, zorder=3, gid=gid)
        self.ax.add_patch(patch)

    def arrow(
        self, corners: Sequence[Place], colour: Any, dashed: bool = False, head: bool = True, gid: str = ""
    ) -> None:
        """Draw an arrow along corners, which are rounded."""
        path = _rounded([self._at(place) for place in corners], not self._is_down)
        patches = matplotlib("patches")
        patch = patches.FancyArrowPatch(
            path=path, arrowstyle="-|>" if head else "-", mutation_scale=9 * self.scale, color=colour, fc=colour,
            lw=1.2 * self.scale, ls="--" if dashed else "-", zorder=2, gid=gid, shrinkA=0, shrinkB=0,
            capstyle="butt", joinstyle="round", fill=head,
        )  # fmt: skip
        self.ax.add_patch(patch)

    def text(self, place: Place, lines: Sequence[str], colour: Any, size: float, **options: Any) -> None:
        """Write lines, in the middle of a place if not said otherwise."""
        x, y = self._at(place)
        options = {"ha": "center", "va": "center", "linespacing": 1.15, "zorder": 4} | options
        self.ax.text(x, y, "\n".join(lines), color=colour, fontsize=size * self.scale, **options)


def _inches(ax: Axes) -> tuple[float, float]:
    """Return the size of axes, once their figure is laid out."""
    figure: Any = ax.get_figure(root=True)
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()
    box, inches = ax.get_position(original=True), figure.get_size_inches()
    return box.width * inches[0], box.height * inches[1]


def _rounded(corners: Sequence[tuple[float, float]], is_level: bool) -> Any:
    """Return the path along corners; of two that are not in line, a curve that begins and ends along the run."""
    Path = matplotlib("path").Path
    (x, y), (u, v) = corners[0], corners[-1]
    if len(corners) == 2:
        if abs(x - u) < 1e-6 or abs(y - v) < 1e-6:
            return Path(corners)
        middle, level = (x + u) / 2, (y + v) / 2
        between = [(middle, y), (middle, v)] if is_level else [(x, level), (u, level)]
        return Path([corners[0], *between, corners[-1]], [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4])
    places, codes = [corners[0]], [Path.MOVETO]
    for before, corner, after in zip(corners, corners[1:], corners[2:], strict=False):
        places += [_toward(corner, before), corner, _toward(corner, after)]
        codes += [Path.LINETO, Path.CURVE3, Path.CURVE3]
    return Path([*places, corners[-1]], [*codes, Path.LINETO])


def _toward(corner: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """Return a place near a corner, on the way to another."""
    dx, dy = other[0] - corner[0], other[1] - corner[1]
    length = (dx * dx + dy * dy) ** 0.5
    share = min(0.5, CORNER / length) if length else 0
    return corner[0] + share * dx, corner[1] + share * dy
