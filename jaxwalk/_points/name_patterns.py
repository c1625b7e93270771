"""`at`: which points. A name, a glob, a predicate, a list of them, or None for all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import TypeAlias

from .._errors import ArgumentError, PointError, argument, listed, near, shown
from .point import Point, Points, of_same_function

At: TypeAlias = str | Callable[[Point], bool] | Iterable["At"] | None

WAYS = (
    "There are three ways to get some: name values with `jw.tag(x, name)`, or compose the layers with `jw.chain`"
    ' (by="tags"); compute them within a `jax.named_scope(name)`, as `jw.scoped(model)` does for modules of Equinox'
    ' and Flax NNX (by="scopes"); or walk the lines of your source (by="lines"), with `source=` if they are of an'
    " installed package"
)


def check_at(at: At, name: str = "at") -> None:
    """Refuse an `at` that is an argument of the function: it is meant for what a transform returns.

    Arguments:
        name: of the argument that it is.
    """
    if hasattr(at, "shape") or isinstance(at, (Mapping, bool, int, float, complex)):
        raise ArgumentError(
            f"`{argument(name)}` is {shown(at)}; it must be a name, a glob, a predicate on `Point`, a list, or None."
            " The arguments of `fun` go to what is returned: `jw.walk(fun)(...)`."
        )


def choose(points: Points, at: At, by: str | None = None) -> Points:
    """Return the points that `at` asks for, in forward order; opaque ones only where a glob or None covers them.

    Raises:
        PointError: nothing matches, or what is asked for by name cannot be walked.
    """
    if not points:
        kind = "" if by is None else f' by="{by}"'
        raise PointError(f"The function has no points{kind}. {WAYS}.")
    chosen = points if at is None else _matching(points, at)
    if all(point.opaque for point in chosen.values()):
        first = next(iter(chosen.values()))
        which = "" if at is None else f" that `{argument('at')}={shown(at)}` matches"
        raise PointError(f"Every point{which} is opaque: {listed(chosen)}. `{first.name}` is {first.opaque}.")
    return chosen


def point_named(points: Points, name: str, argument: str) -> Point:
    """Return the walkable point of this exact name."""
    if name not in points:
        raise PointError(f"`{argument}` names `{name}`, but there is no such point. {near(name, points)}")
    point = points[name]
    if point.opaque:
        raise PointError(f"`{argument}` names `{name}`, which is opaque: it is {point.opaque}.")
    return point


def _matching(points: Points, at: At) -> Points:
    if callable(at):
        chosen = points.where(at)
        if not chosen:
            raise PointError(f"`{argument('at')}` is a predicate that holds for none of the points {listed(points)}.")
        return chosen
    if isinstance(at, str):
        return _by_name(points, at)
    if not isinstance(at, Iterable) or isinstance(at, bytes):
        raise ArgumentError(
            f"`{argument('at')}` is {shown(at)}; it must be a name, a glob, a predicate on `Point`, a list, or None."
        )
    wanted = {name for item in at for name in _matching(points, item)}
    if not wanted:
        raise PointError(f"`{argument('at')}` is an empty list; leave it None for all points, or name some.")
    return points.where(lambda point: point.name in wanted)


def _by_name(points: Points, name: str) -> Points:
    if name in points:
        return of_same_function(points, [point_named(points, name, argument("at"))])
    chosen = fitting(points, name)
    base = name.rpartition("[")[0] if name.endswith("]") else ""
    in_loops = [step for step in ([base] if base in points else fitting(points, base)) if points[step].axes]
    if not chosen and in_loops:
        raise PointError(
            f"`{argument('at')}={name!r}` matches no point: one in a loop, as `{in_loops[0]}`, is there once for"
            " all steps; name that, and take from what is found the part of the step (`jw.intervene` alone changes one"
            " by itself)."
        )
    if not chosen:
        raise PointError(f"`{argument('at')}={name!r}` matches no point. {near(name, points)}")
    return chosen


def fitting(points: Points, pattern: str) -> Points:
    """Return the points whose names, or aliases, fit a glob."""
    parts = pattern.split("/")
    names = lambda point: (point.name, *point.aliases)
    return points.where(lambda point: any(_fits(name.split("/"), parts) for name in names(point)))


def _fits(parts: list[str], pattern: list[str]) -> bool:
    """Tell whether a name's parts fit a glob's: `*` stays within a part, as in paths; `**` is any number of parts."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_fits(parts[i:], pattern[1:]) for i in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _fits(parts[1:], pattern[1:])
