"""Data that are images, as matplotlib draws them: grey, or red, green and blue; and their δ, a number a pixel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..._optional import matplotlib
from ..._show.table import is_readable
from .images import largest
from .signed import NONFINITE

GREY, COLOURS = 1, (3, 4)  # how many channels an image has


def is_image(values: Any) -> bool:
    """Tell whether numbers are an image: two axes, or a third that comes first or last, of 1, 3 or 4 channels."""
    values = np.asarray(values)
    if not is_readable(values) or np.iscomplexobj(values) or min(values.shape, default=0) == 0:
        return False
    at = channels_at(values.shape)
    sides = [length for axis, length in enumerate(values.shape) if axis != at]
    return len(sides) == 2 and min(sides) > 1


def channels_at(shape: Sequence[int]) -> int | None:
    """Return which axis of an image of this shape its channels are; None if it has none."""
    return next((axis for axis in (2, 0) if len(shape) == 3 and shape[axis] in (GREY, *COLOURS)), None)


def image_pixels(values: Any) -> np.ndarray:
    """Return an image as (height, width) of grey, or (height, width, 4) of colour, from 0 to 1.

    Bytes count from 0 to 255; of colours that are beyond 0 and 1 the least is drawn as 0 and the largest as 1.
    """
    values = np.asarray(values)
    top = 255 if values.dtype == np.uint8 else 1
    values, at = values.astype(np.float64), channels_at(values.shape)
    if at is None:
        return values
    values = np.moveaxis(values, at, -1)
    if values.shape[-1] == GREY:
        return values[..., 0]
    finite = np.isfinite(values)
    low, high = np.min(values, where=finite, initial=0), np.max(values, where=finite, initial=top)
    pixels = np.ones((*values.shape[:2], 4))
    pixels[..., : values.shape[-1]] = np.where(finite, (values - low) / (high - low), 0)
    pixels[~finite.all(-1)] = matplotlib("colors").to_rgba(NONFINITE)
    return pixels


def delta_pixels(delta: Any) -> np.ndarray:
    """Return the δ of an image as (height, width): of a pixel's channels the largest, with its sign."""
    delta = np.asarray(delta).astype(np.float64)
    at = channels_at(delta.shape)
    return delta if at is None else largest(delta, at, delta.shape[at]).squeeze(at)
