"""Which taps a walk has at its points, and what comes back through them, by point."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._errors import PointError, listed
from .._points.ordered_mapping import Named, by_point
from .._points.point import Point, Points
from .._points.units import Keep
from .._rewrite.keep import keep_taps
from .._rewrite.rewire import Visitor
from .._rewrite.rules import Records
from .._rewrite.tap import Tap, both_tap, delta_tap


def visited(points: Points) -> list[Point]:
    """Return the points to visit: those that are not opaque, and of the names of one value one."""
    same = points.same()
    return [p for p in points.values() if p.opaque is None and p.name not in same]


def taps_at(points: Points, keep: Keep | Mapping[str, Keep | None] | None) -> dict[str, Tap]:
    felt = [p for p in visited(points) if p.has_delta]
    if keep is None:
        return {p.name: delta_tap(p) for p in felt}
    each = {p.name: keep for p in felt} if not isinstance(keep, Mapping) else keep
    taps = {p.name: both_tap(p) for p in felt if p.name in each and each[p.name] is None}
    kept = {name: one for name, one in each.items() if one is not None}
    taps |= keep_taps([p for p in felt if p.name in kept], kept)
    if not taps:
        name, point = next(iter(points.items()))
        why = point.why_no_delta()
        raise PointError(
            f"`keep` was given, but no value at {listed(points)} has a δ to keep; choose others by `at`. Why `{name}`"
            f" has none: {why[0].lower()}{why[1:]}"
        )
    return taps


def tapping(taps: Mapping[str, Tap]) -> Visitor:
    """Return what sends the values at the points through their taps; those that have no δ pass as they are."""
    return Visitor(
        lambda name, x, slots: taps[name].through(x, slots) if name in taps else (x, None),
        lambda name, value: (taps[name].noted or value) if name in taps else value,
    )


def slots_of(taps: Mapping[str, Tap]) -> dict[str, Any]:
    return {name: tap.slots for name, tap in taps.items()}


def collected(chosen: Points, taps: Mapping[str, Tap], cotangents: Mapping[str, Any], noted: Records) -> Named:
    return by_point({name: taps[name].collect(ct, noted[name]) for name, ct in cotangents.items()}, chosen)
