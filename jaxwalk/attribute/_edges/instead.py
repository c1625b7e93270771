"""What to name in the place of a reader that reads no sum: the scope, as of a norm, that reads the stream before it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..._errors import listed
from ..._jax import origin
from ..._points.point import Points
from .sums import Why


def instead_of(
    readers: Iterable[str], left_out: Mapping[tuple[str, str], Why], points: Points, reading: Iterable[str]
) -> dict[str, str]:
    """Return by reader that something else than a sum is before, for all writers, the point to name; "" if none is
    known.

    Arguments:
        readers: the names of all readers.
        left_out: as of `Edges.left_out`.
        points: all points of the function.
        reading: those of the readers that have an edge.
    """
    has_edge, found = set(reading), {}
    for reader in dict.fromkeys(readers):
        whys = {points[writer].number: why for (writer, end), why in left_out.items() if end == reader}
        if whys and reader not in has_edge:
            found[reader] = _scope_of(whys[max(whys)], reader, points)  # of the last writer: nearest to the reader
    return found


def _scope_of(why: Why, reader: str, points: Points) -> str:
    """Return the outermost scope, that the reader is not in, in which a value is bent."""
    openings = {element.identity for element in origin.name_stack(why.eqn)}
    names = [p.name for p in points.values() if p.kind == "scope" and p.opening in openings]
    others = [name for name in names if name != reader and not reader.startswith(f"{name}/")]
    return min(others, key=len, default="")


def sentence_of(instead: Mapping[str, str]) -> str:
    """Return what is wrong with readers, and what to name; `instead` is not empty."""
    known = [name for name in dict.fromkeys(instead.values()) if name]
    fix = f"name what does, {listed(known, 2)}," if known else "tag what is read before that,"
    does = "does" if len(instead) == 1 else "do"
    what = f"{listed(instead, 1)} {does} not read the stream itself, but what is made of it, as by a norm"
    return f"{what}: {fix} or name a scope that holds both."
