"""A method of attribution: what `evaluate` calls it with, what it must return, and what is kept of its scores."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from .._errors import ArgumentError, PointError, listed, shown
from ..stats import averaged, combine, largest

X = 1  # the argument after `params`: what is attributed to, where a method is not told another
PARTS = ("method", "value", "scores", "totals", "gap", "points")
FIX = (
    "give one of `jw.attribute` that is not called yet, as `jw.attribute.conductance`, or with options"
    " `functools.partial(jw.attribute.conductance, steps=16)`"
)

SCORES = combine(
    averaged(lambda sizes, _: sizes["total_mean"], "total_mean"),
    averaged(lambda sizes, _: sizes["score_abs_mean"], "score_abs_mean"),
    largest(lambda sizes, _: sizes["score_abs_max"], "score_abs_max"),
    name="scores",
)
"""What is kept of a datum's scores at a point, of their sizes: called with these in the place of an output."""


def check_method(method: Any, **asked: Any) -> None:
    """Raise an ArgumentError where `method` is none: (fun, at, by=, source=) -> (params, *datum) -> attribution.

    Arguments:
        method: what is given.
        asked: `at`, `by` and `source` of `evaluate`, which a partial may have already.
    """
    if not callable(method):
        raise ArgumentError(f"`method` is {shown(method)}; {FIX}.")
    if twice := [name for name, value in asked.items() if value is not None and name in _held(method)]:
        raise ArgumentError(f"`method` has {listed(twice)} already, and `evaluate` is given it too; leave one out.")
    if (takes := _signature(method)) is None:
        return
    _check_makes_scores_of_points(method, takes)
    args, named = _arguments(method, None, asked)
    try:
        takes.bind(*args, **named)
    except TypeError:
        if needed := _needed(takes, args, named):
            options = ", ".join(f"{name}=..." for name in needed)
            raise ArgumentError(
                f"`method` is called with (fun, at, by=, source=), and `{_name(method)}` needs {listed(needed)} too;"
                f" give `functools.partial({_public(method)}, {options})`."
            ) from None
        names = ", ".join(parameter.name for parameter in takes.parameters.values())
        raise ArgumentError(f"`method` is called with (fun, at, by=, source=), and takes ({names}); {FIX}.") from None


def _check_makes_scores_of_points(method: Any, takes: inspect.Signature) -> None:
    """Refuse what of `jw.attribute` is no method, or has scores of pairs of points."""
    if not _is_ours(method):
        return
    if _name(method) == "edges":
        raise ArgumentError(
            "`method` is `edges`, whose scores are of pairs of points, none of a point; give `patching` with the same"
            " `other`, whose total at a point is what all its edges say together, or have the edges of a batch by"
            " `jax.vmap(jw.attribute.edges(fun, argnums=1, other=...), in_axes=(None, 0, 0))(params, x, y)`."
        )
    first = next(iter(takes.parameters.values()), None)
    if first is not None and first.kind is not first.VAR_POSITIONAL and first.name != "fun":
        raise ArgumentError(f"`method` is `{_name(method)}`, which gives no scores at points; {FIX}.")


def explained(method: Callable, fun: Callable, **asked: Any) -> Callable:
    """Return what gives the attribution of one datum: (params, *datum) -> attribution."""
    args, named = _arguments(method, fun, asked)
    explain = method(*args, **named)
    if not callable(explain):
        raise ArgumentError(f"`method` returned {shown(explain)}, which cannot be called with a datum; {FIX}.")
    return explain


def options_of(method: Any) -> dict[str, Any]:
    """Return the options of a method by name, those that it has by default too, but for those of `evaluate` itself."""
    takes = None if method is None else _signature(_unwrapped(method))
    if takes is None:
        return {}
    options = {p.name: p.default for p in takes.parameters.values() if p.kind is p.KEYWORD_ONLY} | {**_held(method)}
    return {name: value for name, value in options.items() if name not in ("at", "by", "source", "argnums")}


def check_attribution(found: Any) -> None:
    """Raise an error where what a method found, as shapes, is no attribution, or has no scores at points."""
    if not all(hasattr(found, part) for part in PARTS):
        raise ArgumentError(f"`method` returned {shown(found)}, which is no attribution at points; {FIX}.")
    if not found.totals:
        raise PointError(f"`{found.method}` has no scores at points, which are summed here. {found.totals.why_empty()}")


def _arguments(method: Any, fun: Any, asked: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Return what a method is called with: what a partial has already is not given again."""
    named = {name: value for name, value in asked.items() if name not in _held(method)}
    if "argnums" not in _held(method) and _takes_argnums(method):
        named["argnums"] = X
    return [fun, *([named.pop("at")] if "at" in named else [])], named


def _needed(takes: inspect.Signature, args: list[Any], named: Mapping[str, Any]) -> list[str]:
    """Return which options, without a default, are not given, where they are all that is missing."""
    try:
        given = takes.bind_partial(*args, **named).arguments
    except TypeError:
        return []
    options = [p for p in takes.parameters.values() if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    return [p.name for p in options if p.name not in given]


def _unwrapped(method: Any) -> Any:
    return method.func if isinstance(method, functools.partial) else method


def _name(method: Any) -> str:
    return getattr(_unwrapped(method), "__name__", type(method).__name__)


def _public(method: Any) -> str:
    return f"jw.attribute.{_name(method)}" if _is_ours(method) else _name(method)


def _is_ours(method: Any) -> bool:
    return str(getattr(_unwrapped(method), "__module__", "")).startswith("jaxwalk.attribute")


def _held(method: Any) -> Mapping[str, Any]:
    return method.keywords if isinstance(method, functools.partial) else {}


def _takes_argnums(method: Any) -> bool:
    takes = _signature(method)
    return takes is not None and any(p.name == "argnums" or p.kind is p.VAR_KEYWORD for p in takes.parameters.values())


def _signature(method: Any) -> inspect.Signature | None:
    try:
        return inspect.signature(method)
    except (TypeError, ValueError):  # it has none that Python knows
        return None
