"""`find`: traces a function and reads its points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .._errors import ArgumentError, argument, shown
from .._jax.tracing import Staged, stage
from .._source.user_files import Source, is_users
from .hints import hinted
from .paths.lines import LinePaths
from .point import Points
from .walkable_values import read


def find(
    fun: Callable,
    args: tuple,
    kwargs: dict[str, Any],
    by: str | None,
    source: Source,
    argnums: int | Sequence[int] | None = None,
    used: Callable[[Staged], Sequence[bool]] = lambda staged: [True] * len(staged.closed.jaxpr.outvars),
) -> tuple[Staged, Points]:
    """Trace `fun` and reads its points, `by` and `source` as of `walk`; `used`: which results may depend on one.

    For lines, the function is watched while it is traced. If there are neither tags nor scopes, it is traced again.
    """
    if by != "lines":
        staged = stage(fun, args, kwargs, argnums)
        points = read(staged.closed, used(staged), by)
        if points and source is not None:
            raise ArgumentError(
                f"`{argument('source')}` says whose lines are points, but `{argument('fun')}` has tags or scopes, which"
                ' are the points then; leave it out, or use `by="lines"`.'
            )
        if points or by is not None:
            return staged, hinted(staged.closed.jaxpr, points, by)
    lines = LinePaths(source)
    staged = lines.watch(lambda: stage(fun, args, kwargs, argnums))
    points = read(staged.closed, used(staged), "lines", lines)
    if source is not None and not lines.met_source:
        raise ArgumentError(
            f"`{argument('source')}` is {shown(source)}, but no line of such a file is in what `{argument('fun')}`"
            " does; mend or drop it."
        )
    return staged, hinted(staged.closed.jaxpr, points, "lines")


def check_by(by: str | None, source: Source = None) -> None:
    """Refuse a `by` that is not known, and a `source` that is none or has no meaning with `by`."""
    if by not in (None, "tags", "scopes", "lines"):
        choices = '"tags", "scopes" or "lines" (or None: tags and scopes together, lines where there are neither)'
        raise ArgumentError(f"`by` is {shown(by)}; points come from {choices}.")
    if source is not None and by in ("tags", "scopes"):
        raise ArgumentError(f'`source` says whose lines are points, but `by` is "{by}"; leave it out, or use "lines".')
    is_users(source)
