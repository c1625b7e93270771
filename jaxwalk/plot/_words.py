"""Where the words of a picture have room: lines as wide as it is, names whose middle is left out, panels in axes."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from .._errors import counted
from .._printable import printable
from .._show.table import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

AROUND = (34, 44, 30, 16)  # points left, right, below and above a panel, for its ticks, its scale, and its title
LETTER = 0.56  # how wide a letter is on average, in heights of the type


def has_layout(ax: Axes) -> bool:
    """Tell whether a layout of the figure gives the axes their size; that of insets is of the axes around them."""
    figure = ax.get_figure(root=True)
    return figure is not None and ax in figure.axes and figure.get_layout_engine() is not None


def lay_out(ax: Axes) -> None:
    """Give axes that are alone in their figure the size that they will have: what is drawn in them asks for it."""
    figure = ax.get_figure(root=True)
    if figure is not None and figure.axes == [ax] and (engine := figure.get_layout_engine()) is not None:
        ax.set(title=" ", xlabel=" ", xticks=[], yticks=[])
        engine.execute(figure)
        ax.set(title="", xlabel="")


def room(ax: Axes) -> tuple[float, float]:
    """Return the width and the height of axes in points."""
    figure = ax.get_figure(root=True)
    extent = ax.get_window_extent()
    scale = 72 / (figure.dpi if figure is not None else 72)
    return extent.width * scale, extent.height * scale


def has_room(ax: Axes, text: str, size: float) -> bool:
    """Tell whether axes are as wide as a text in type of `size` points."""
    return len(text) * LETTER * size < room(ax)[0]


def wrapped(text: str, width: float, size: float) -> str:
    """Return a text in lines that are at most `width` points wide in type of `size` points."""
    return textwrap.fill(printable(text), max(12, int(width / (LETTER * size))), break_on_hyphens=False)


def folded(name: str, width: float, size: float) -> str:
    """Return a name in at most `width` points: where it is longer, the middle of it is left out."""
    name, letters = printable(name), max(6, int(width / (LETTER * size)))
    if len(name) <= letters:
        return name
    end = (letters - 1) * 2 // 3
    return f"{name[: letters - 1 - end]}…{name[-end:]}"


def in_words(value: Any, digits: int = 4) -> str:
    """Return a number as it is written in a picture, with the minus sign of its axes."""
    return number(value, digits).replace("-", "−")


def nonfinite(values: np.ndarray) -> str:
    """Count the entries that are a NaN, and those that are an Inf: "3 NaN, 1 Inf"; "" where there is none."""
    counts = {"NaN": int(np.isnan(values).sum()), "Inf": int(np.isinf(values).sum())}
    total = f" of {counted(values.size, 'entry', 'entries')}" if values.ndim else ""
    found = [f"{count} {kind}" for kind, count in counts.items() if count]
    return ", ".join(found) + total if found else ""


def panels(ax: Axes, count: int) -> list[tuple[float, float, float, float]]:
    """Return the boxes of panels beside one another in axes, with room for what is written around each."""
    width, height = room(ax)
    each = 1 / count
    left, right, below, above = (
        part / whole for part, whole in zip(AROUND, (width, width, height, height), strict=True)
    )
    across, up = max(each - left - right, 0.4 * each), max(1 - below - above, 0.4)
    return [(i * each + min(left, 0.3 * each), min(below, 0.3), across, up) for i in range(count)]
