"""The image that scores are of, pale, below them: it is seen through what is small."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..._errors import ArgumentError, shown
from ..._optional import matplotlib
from .._arrays.as_image import image_pixels, is_image
from .._arrays.signed import NONFINITE, sign_colors
from .scores import Scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes
PALE = 0.62  # how light black becomes: a colour that is half seen through is told from another on it


def fitting(over: Any, scores: Scores) -> np.ndarray:
    """Return the pixels of an image, if a map of scores fits over it: as high and as wide, or smaller in proportion.

    Raises:
        ArgumentError: it is no image, or the scores are no map, or the two do not fit.
    """
    if not (hasattr(over, "shape") and is_image(over)):
        raise ArgumentError(
            f"`over` is {shown(over)}, which is no image; give an array of two axes, or with a third of 1, 3 or 4"
            " channels, first or last."
        )
    shape = scores.values.shape
    if len(shape) != 2:
        raise ArgumentError(
            f"`over` is an image, and the scores of `{scores.name}` that are drawn have the shape {shape}, which is no"
            " map of it; leave `over` out, or choose what is drawn by `step`, `channels` and `channel`."
        )
    pixels = image_pixels(over)
    height, width = pixels.shape[:2]
    if height * shape[1] != width * shape[0]:
        raise ArgumentError(
            f"`over` is {height} × {width} pixels, and the scores of `{scores.name}` are {shape[0]} × {shape[1]}, of"
            " another proportion; leave `over` out, or cut the image."
        )
    return pixels


def draw_below(ax: Axes, pixels: np.ndarray, scores: Scores) -> list[str]:
    """Draw an image below the map that is in the axes, which is the less seen through the larger a score; say how."""
    signed = ax.images[0]
    for above, image in enumerate(ax.images, 2):
        image.set_zorder(above)
    bad = ~np.isfinite(pixels)
    pale = np.clip(PALE + (1 - PALE) * np.where(bad, 0, pixels), 0, 1)
    if pale.ndim == 2:
        pale = np.repeat(pale[..., None], 3, -1)
        pale[bad] = matplotlib("colors").to_rgb(NONFINITE)
    ax.imshow(pale, extent=signed.get_extent(), aspect=ax.get_aspect(), zorder=1)
    for scale in ax.child_axes:  # what the colours of small scores are seen on, there too
        scale.set_facecolor(str(PALE + (1 - PALE) / 2))  # a grey
    ax.set(xticks=[], yticks=[], xlabel="", ylabel="")
    words = ["over the image, pale"]
    shape = scores.values.shape
    return words if shape == pixels.shape[:2] else [*words, f"each score over {_each(pixels, shape)} of its pixels"]


def seen_through() -> Any:
    """Return the colours of signed numbers, from none at 0 to full ones."""
    red, blue = (color[:3] for color in sign_colors(np.array([1.0, -1.0])))
    colors = [(0, (*blue, 1)), (0.5, (*blue, 0)), (0.5, (*red, 0)), (1, (*red, 1))]
    return matplotlib("colors").LinearSegmentedColormap.from_list("signed, seen through", colors)


def _each(pixels: np.ndarray, shape: tuple[int, ...]) -> str:
    return " × ".join(f"{whole / part:.3g}" for whole, part in zip(pixels.shape, shape, strict=False))
