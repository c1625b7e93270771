"""Words of findings: numbers, shares, and names of points that are not too many."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .._errors import listed
from .._points.point import Point
from .._show.table import number

NAMED = 3  # points that one sentence names


def in_forward_order(points: Iterable[Point]) -> tuple[str, ...]:
    """Return the names of points in forward order, each once."""
    return tuple(dict.fromkeys(point.name for point in sorted(points, key=lambda point: point.number)))


def percent(share: float) -> str:
    """Write a share as a percentage; one that is not whole is not shown as if it were."""
    return f"{min(100 * share, 99.9) if share < 1 else 100:.3g} %"


def fold(factor: float) -> str:
    """Write a factor with two digits."""
    return f"{float(f'{factor:.2g}'):,.0f}" if 10 <= factor < 1e6 else f"{factor:.2g}"


def brief(value: float) -> str:
    """Write a number with three digits."""
    return number(value, 3)


def also(names: Sequence[str], what: str = "So it is at") -> str:
    """Return a sentence that names further points, after another; "" if there are none."""
    return f" {what} {listed(names, NAMED)}." if names else ""
