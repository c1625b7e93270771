"""Where findings are: at which points, in a few words, for the tables and the pictures of other things."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Any

from .._errors import ArgumentError, counted, listed, shown
from .finding import Finding, Health


def check_health(health: Any) -> None:
    """Raise an ArgumentError if it is no `Health`."""
    if not isinstance(health, Health):
        raise ArgumentError(f"`health` is {shown(health)}, which is no `Health`; give what `jw.health` returned.")


def points_of(finding: Finding) -> tuple[str, ...]:
    """Return the points that a finding is about."""
    return finding.points or ((finding.point,) if finding.point is not None else ())


def names_by_point(health: Health) -> dict[str, tuple[str, ...]]:
    """Return the names of the findings at each point that has some, each name once."""
    found: dict[str, dict[str, None]] = {}
    for finding in health:
        for point in points_of(finding):
            found.setdefault(point, {})[finding.name] = None
    return {point: tuple(names) for point, names in found.items()}


def names_at(health: Health, point: str) -> list[str]:
    """Return the names of the findings at a point, each once."""
    return list(dict.fromkeys(finding.name for finding in health if point in points_of(finding)))


def notes_of(health: Health, points: Container[str], where: str) -> Iterator[str]:
    """Yield what stands below a table that has a column of findings: how many there are, and which are elsewhere.

    Arguments:
        where: where all that is known of them is, as "Walk.health".
    """
    if not health:
        yield "Healthy: `jw.health` found nothing."
        return
    yield f"{counted(len(health), 'finding')}; `{where}` says what each means, and what to try."
    if others := [finding.name for finding in health if not any(name in points for name in points_of(finding))]:
        yield f"At none of these points: {', '.join(dict.fromkeys(others))}."


def told(health: Health, points: Container[str]) -> Iterator[str]:
    """Yield what was found at which of these points, and what was found elsewhere."""
    here, elsewhere = [], []
    for name in dict.fromkeys(finding.name for finding in health):
        places = list(
            dict.fromkeys(place for finding in health if finding.name == name for place in points_of(finding))
        )
        weights = dict.fromkeys(path for finding in health if finding.name == name for path in finding.weights)
        if known := [place for place in places if place in points]:
            first = f"{counted(len(known), 'point')}, first " if len(known) > 1 else ""
            here.append(f"{name} at {first}`{known[0]}`")
        else:
            others = listed([*places, *weights], 2)
            elsewhere.append(f"{name} at {others}" if others else name)
    if here:
        yield f"Found: {'; '.join(here)}."
    if elsewhere:
        yield f"Found, but at none of these points: {'; '.join(elsewhere)}."
