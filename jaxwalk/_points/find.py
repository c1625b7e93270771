"""From a function and its arguments to its points: traced, and read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .._errors import ArgumentError, shown
from .._jax.stage import Staged, stage
from .._source.files import Source
from .lines import LinePaths
from .point import Points
from .read import read


def find(
    fun: Callable,
    args: tuple,
    kwargs: dict[str, Any],
    by: str | None,
    source: Source,
    argnums: int | Sequence[int] | None = None,
    used: Callable[[Staged], Sequence[bool]] = lambda staged: staged.every,
) -> tuple[Staged, Points]:
    """Traces `fun` and reads its points, `by` and `source` as of `walk`; `used`: which results may depend on one.

    For lines, the function is watched while it is traced. If there are neither tags nor scopes it is traced again.
    """
    if by != "lines":
        staged = stage(fun, args, kwargs, argnums)
        points = read(staged.closed, used(staged), by)
        if points or by is not None:
            return staged, points
    lines = LinePaths(source)
    with lines.watching():
        staged = stage(fun, args, kwargs, argnums)
    lines.join(staged.closed)
    points = read(staged.closed, used(staged), "lines", lines)
    if source is not None and not lines.met_source:
        raise ArgumentError(
            f"`source` is {shown(source)}, but no line of such a file is in what `fun` does; mend or drop it."
        )
    return staged, points
