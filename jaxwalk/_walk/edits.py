"""What `intervene` does at each point: the edits and rules that name it, each at all of its steps or at some."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._callables import check_takes
from .._errors import ArgumentError, PointError, listed, shown
from .._jax.jaxpr.types import as_varying, holds, varying
from .._jax.leaves import is_value
from .._points.point import Point, Points, Site
from .._points.steps import Selected, Steps, selected
from .._rewrite.delta_rules import delta_rule


class Edit(NamedTuple):
    """One edit at one point.

    Attributes:
        apply: (value, inputs) -> the value that goes on.
        inputs: arrays with the leading axes of the point, of which `apply` is given those of its step.
    """

    apply: Callable[[Any, Mapping[str, Any]], Any]
    inputs: Mapping[str, Any]


def edits_by_point(points: Points, edits: Mapping[str, Any], deltas: Mapping[str, Any]) -> dict[str, list[Edit]]:
    """Return by point what is done there: its value is changed first, then it goes through the rule of its δ."""
    found: dict[str, list[Edit]] = {}
    for argument, given, make in (("edits", edits, _value_edit), ("deltas", deltas, _delta_edit)):
        for key, (point, steps) in _once(points, given, argument):
            found.setdefault(point.name, []).append(make(point, steps, given[key]))
    return found


class _Taken(NamedTuple):
    """What a key names, once it is known that no other key names it."""

    key: str
    point: Point
    chosen: np.ndarray  # of each step, whether it is one of them


def _once(points: Points, given: Mapping[str, Any], argument: str) -> list[tuple[str, Selected]]:
    """Return what each key names, less second names of one value; refuse two keys that name the same step."""
    found: list[tuple[str, Selected]] = []
    same = points.same()
    at: dict[Site, list[_Taken]] = {}  # by where it is
    after: dict[Site, list[_Taken]] = {}  # by where the same value is before
    for key in given:
        for point, steps in _first_names(selected(points, key, argument)):
            chosen = np.ones([axis.length for axis in point.axes], bool) if steps is None else steps.chosen
            before = [taken for site in (point.site, *point.named_before) for taken in at.get(site, ())]
            for other in (*before, *after.get(point.site, ())):
                if np.any(chosen & other.chosen):
                    raise ArgumentError(_twice(argument, other, key, point))
            taken = _Taken(key, point, chosen)
            at.setdefault(point.site, []).append(taken)
            for site in point.named_before:
                after.setdefault(site, []).append(taken)
            found.append((key, Selected(points[same.get(point.name, point.name)], steps)))
    return found


def _first_names(chosen: Sequence[Selected]) -> Iterator[Selected]:
    """Yield of the points that one key names those whose value it does not name before."""
    sites = {each.point.site for each in chosen}
    for each in {each.point.site: each for each in chosen}.values():
        if sites.isdisjoint(each.point.named_before):
            yield each


def _twice(argument: str, one: _Taken, key: str, point: Point) -> str:
    both = f"`{argument}` names `{one.key}` and `{key}`"
    if one.point.name != point.name or not one.chosen.ndim:
        return f"{both}, which are two names of one value; edit it once."
    return f"{both}, which both are `{point.name}`, at steps that they share; edit each once."


def _value_edit(point: Point, steps: Steps | None, edit: Any) -> Edit:
    inputs = {} if steps is None else {"chosen": jnp.asarray(steps.chosen)}
    if not callable(edit):
        inputs["new"] = _replacement(edit, point, steps)
        if steps is None:
            return Edit(lambda value, at: at["new"], inputs)
        return Edit(lambda value, at: lax.select(at["chosen"], at["new"], value), inputs)
    rules = ", and one of (output, delta) to `deltas`"
    check_takes(edit, f"The edit of `{point.name}`", "value", else_=rules)

    def new(value: jax.Array) -> jax.Array:
        return _as_there(_checked(edit(value), point.name, jnp.shape(value), jnp.result_type(value)), point)

    if steps is None:
        return Edit(lambda value, at: new(value), inputs)
    return Edit(lambda value, at: lax.cond(at["chosen"], new, lambda value: value, value), inputs)


def _delta_edit(point: Point, steps: Steps | None, rule: Any) -> Edit:
    if not callable(rule):
        raise ArgumentError(
            f"The rule in `deltas` for `{point.name}` is {shown(rule)}; give a function (output, delta) -> delta."
        )
    if not point.has_delta:
        raise PointError(f"`deltas` names `{point.name}`, which has no δ to change. {point.why_no_delta()}")
    check_takes(rule, f"The rule in `deltas` for `{point.name}`", "output", "delta")
    through = delta_rule(point, rule)
    inputs = {} if steps is None else {"chosen": jnp.asarray(steps.chosen)}
    return Edit(lambda value, at: through(value, at.get("chosen")), inputs)


def _as_there(new: jax.Array, point: Point) -> jax.Array:
    """Return a new value inside a `shard_map` as one of its point: it varies over the same axes of the mesh."""
    there = varying(point.type)
    if more := [axis for axis in varying(jax.typeof(new)) if axis not in there]:
        fix = f"sum or average the edit over {listed(more)}, as by `jax.lax.psum`"
        raise ArgumentError(
            f"The edit of `{point.name}` varies over {listed(more)} of the mesh; the value there does not; {fix}."
        )
    return as_varying(new, there)


def _replacement(edit: Any, point: Point, steps: Steps | None) -> jax.Array:
    """Return new values with all leading axes of the point; at steps that are not chosen, one that is not used."""
    # A Python number takes the dtype it meets, as everywhere in JAX.
    takes = isinstance(edit, (int, float, complex)) and holds(point.dtype, edit)
    cast = point.dtype if takes else None
    if steps is None:
        return _checked(edit, point.name, point.shape, point.dtype, cast)
    new = _checked(edit, point.name, (*steps.shape, *point.type.shape), point.dtype, cast)
    return new.reshape((-1, *point.type.shape))[steps.rows]


def _checked(edit: Any, name: str, shape: Sequence[int], dtype: Any, cast: Any = None) -> jax.Array:
    """Return a new value as an array, in the dtype `cast` if one is given; refuse one that does not fit."""
    if not is_value(edit):
        fix = "give an array, or a function from the value to one"
        raise ArgumentError(f"The edit of `{name}` is {shown(edit)}, which is not an array; {fix}.")
    new = jnp.asarray(edit) if cast is None else jnp.asarray(edit).astype(cast)
    if new.shape != shape:
        fix = "give it that shape (`jnp.broadcast_to` says so aloud)"
        raise ArgumentError(f"The edit of `{name}` has shape {new.shape}; the value there has shape {shape}; {fix}.")
    if new.dtype != dtype:
        fix = f"cast it with `.astype({str(dtype)!r})`"
        raise ArgumentError(f"The edit of `{name}` has dtype {new.dtype}; the value there has dtype {dtype}; {fix}.")
    return new
