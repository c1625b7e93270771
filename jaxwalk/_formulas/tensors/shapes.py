"""Shapes of terms, and the letters of their axes in a sum of products."""

from __future__ import annotations

from .term import Shape


def relabelled(*letters: str) -> tuple[str, ...]:
    """Name the letters of a product in the order in which they come."""
    names: dict[str, str] = {}
    return tuple(
        "".join(names.setdefault(c, "abcdefghijklmnopqrstuvwxyz"[len(names)]) for c in part) for part in letters
    )


def without(shape: Shape, axes: Shape) -> Shape:
    return tuple(n for i, n in enumerate(shape) if i not in axes)


def unit_axes(old: Shape, new: Shape) -> Shape | None:
    """Return where axes of length 1 were put in, if that is all that was done to a shape."""
    axes, left = [], list(old)
    for i, n in enumerate(new):
        if left and left[0] == n and len(new) - i >= len(left):
            left.pop(0)
        elif n == 1:
            axes.append(i)
        else:
            return None
    return None if left else tuple(axes)
