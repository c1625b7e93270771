"""Pictures of single points: of so many that the page stays small."""

from __future__ import annotations

from collections.abc import Mapping

from .record import Record

PICTURES = 24  # points that have one


def pictures_of(record: Record) -> tuple[Mapping[str, str], list[str]]:
    """Return pictures by point, and sentences on which have none."""
    return {}, []
