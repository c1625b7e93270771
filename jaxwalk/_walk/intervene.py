"""`intervene`: run a function with the values at some points replaced or changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from .._errors import ArgumentError, shown
from .._jax.leaves import is_value, renamed_after
from .._jax.types import holds
from .._points.find import check_by, find
from .._points.name_patterns import own_names, point_named
from .._points.point import Point, Points
from .._rewrite.rewire import Visitor, plan, run
from .._source.user_files import Source


def intervene(fun: Callable, edits: Mapping[str, Any], *, by: str | None = None, source: Source = None) -> Callable:
    """Return `fun` with the values at some points replaced or changed.

    What it returns can be walked, differentiated and intervened in again; at an edited point, output and δ are then
    those of the new value. With `outputs` it gives the Jacobian from one point to another:
    `jax.jacobian(lambda v: jw.outputs(jw.intervene(fun, {"a": v}), "b")(x)[1]["b"])(a)`.

    Arguments:
        fun: any function of arrays; its result may be anything.
        edits: by point name, the new value (an array of the point's shape and dtype; inside a scan, with the leading
            axis of its steps), or a function from the value to the new one (inside a scan, run at every step).
        by, source: as of `walk`.

    Returns:
        A function of the arguments of `fun` that returns what `fun` would.

    Raises:
        PointError: (when called) a name that no point has, or that is opaque.
        ArgumentError: there are no edits; or (when called) an edit does not have the shape and dtype of its point.

    >>> import jax.numpy as jnp, jaxwalk as jw
    >>> fun = lambda x: jw.tag(x + 1, "next") * 2
    >>> float(jw.intervene(fun, {"next": lambda v: v * 10})(jnp.float32(3.0)))
    80.0
    """
    check_by(by, source)
    if not isinstance(edits, Mapping) or not edits:
        raise ArgumentError(f"`edits` is {shown(edits)}; it must be a mapping from point names to functions or values.")
    for name in edits:
        if not isinstance(name, str):
            raise ArgumentError(f"`edits` has the key {shown(name)}; the keys are names of points.")

    @renamed_after(fun, "intervene")
    def intervened(*args: Any, **kwargs: Any) -> Any:
        staged, found = find(fun, args, kwargs, by, source)
        own = own_names(edits, found)
        edited = Points([point_named(found, name, "edits") for name in own])
        for name, other in edited.same().items():
            both = f"`edits` names `{name}` and `{other}`"
            raise ArgumentError(f"{both}, which are two names of one value; edit it once.")
        values = {name: _replacement(edit, edited[name]) for name, edit in own.items() if not callable(edit)}

        def visit(name: str, value: Any, replacement: Any) -> tuple[Any, None]:
            if name in values:
                return replacement, None
            return _checked(own[name](value), name, jnp.shape(value), jnp.result_type(value)), None

        planned = plan(staged.closed, edited.values(), at_once=True)
        outs, _ = run(planned, staged.args, values, Visitor(visit, recorded=None, as_there=True))
        return staged.results(outs)

    return intervened


def _replacement(edit: Any, point: Point) -> jax.Array:
    # A Python number takes the dtype it meets, as everywhere in JAX.
    takes = isinstance(edit, (int, float, complex)) and holds(point.dtype, edit)
    return _checked(edit, point.name, point.shape, point.dtype, point.dtype if takes else None)


def _checked(edit: Any, name: str, shape: tuple[int, ...], dtype: Any, cast: Any = None) -> jax.Array:
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
