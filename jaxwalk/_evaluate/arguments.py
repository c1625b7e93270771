"""The arguments of `evaluate`, checked before anything is compiled."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

from jax.core import Tracer

from .._errors import ArgumentError, check_count, counted, shown
from .._jax.jaxpr.jaxprs import is_staging
from .._jax.leaves import flatten
from .._points.find import check_by
from .._points.name_patterns import At
from .._source.user_files import Source
from ..stats import averaged, summary
from ..stats._statistic import Statistic
from .batches import Batches
from .method import SCORES, check_method

BY_NUMBER = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Asked(NamedTuple):
    """What is asked of an evaluation: the arguments of `evaluate` but for params and data.

    Attributes:
        statistic: what to keep: of outputs and δ, or with a method, of scores.
        method: of attribution, or None.
    """

    fun: Callable
    at: At
    by: str | None
    source: Source
    statistic: Statistic | None
    top: int
    mesh: Any
    method: Callable | None = None

    @classmethod
    def checked(
        cls, fun: Callable, at: At, by: str | None, source: Source, keep: Any, top: int, mesh: Any, method: Any = None
    ) -> Asked:
        check_by(by, source)
        statistic = statistic_of(keep)
        if method is not None:
            if keep is not summary:
                raise ArgumentError(
                    "`keep` is of outputs and δ, and a `method` gives scores, of which totals and sizes are kept; give"
                    " one of the two."
                )
            check_method(method, at=at, by=by, source=source)
            statistic = SCORES
        check_count("top", top)
        return cls(fun, at, by, source, statistic, top, mesh, method)


def statistic_of(keep: Any) -> Statistic | None:
    """Return the statistic that `keep` is, or that averages what it returns.

    Raises:
        ArgumentError: it is neither.
    """
    if keep is None or isinstance(keep, Statistic):
        return keep
    if not callable(keep):
        what = shown(keep) if not isinstance(keep, (list, tuple)) else f"a {type(keep).__name__} of {len(keep)}"
        raise ArgumentError(
            f"`keep` is {what}; give one of `jw.stats` (to join several: `jw.stats.combine`), a function"
            " (output, delta) -> arrays, whose results are averaged over the data, or None."
        )
    return averaged(keep)


def check_untraced(*trees: Any, who: str = "evaluate") -> None:
    """Raise an ArgumentError where these, or what is computed now, are being traced: data are gone through now."""
    if is_staging() or any(isinstance(leaf, Tracer) for leaf in flatten(trees)[0]):
        raise ArgumentError(
            f"`{who}` goes through data now and cannot be traced; call it outside `jax.jit`, `jax.vmap` and `jax.grad`."
        )


def check_takes(fun: Callable, data: Batches) -> None:
    """Raise an ArgumentError where `fun` takes more or fewer arguments than a datum has parts."""
    try:
        parameters = list(inspect.signature(fun).parameters.values())
    except (TypeError, ValueError):  # it has no signature that Python knows
        return
    taken = [p for p in parameters if p.kind in BY_NUMBER][1:]
    needed = [p.name for p in taken if p.default is p.empty]
    given, takes_any = len(data.datum), any(p.kind is p.VAR_POSITIONAL for p in parameters)
    if len(needed) <= given and (takes_any or given <= len(taken)):
        return
    names = needed if given < len(needed) else [p.name for p in taken]
    count = f"at least {len(needed)}" if takes_any else " to ".join(map(str, sorted({len(needed), len(taken)})))
    one = f"({', '.join(names)})" if len(names) > 1 else "".join(names)
    fix = f"give an iterable of {one}, such as [{one}]" if names else "give a function of `params` and the data"
    raise ArgumentError(
        f"Batch 0 of `batches` is {_kind(data.first)}, so `fun` is given {counted(given, 'argument')} after `params`,"
        f" and takes {count}; {fix}."
    )


def _kind(batch: Any) -> str:
    if hasattr(batch, "shape") or hasattr(batch, "__array__"):
        return "one array"
    is_plain = isinstance(batch, (tuple, list)) and not hasattr(batch, "_fields")
    return f"a {type(batch).__name__}" + (f" of {len(batch)}" if is_plain else "")
