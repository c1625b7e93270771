"""`intervene`: run a function with the values at some points replaced or changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from .._errors import ArgumentError, shown
from .._jax.leaves import is_value, renamed_after
from .._jax.types import holds
from .._points.at import point_named
from .._points.find import check_by, find
from .._points.point import Point, Points
from .._rewrite.rewire import Visitor, plan, run
from .._source.files import Source


def intervene(fun: Callable, edits: Mapping[str, Any], *, by: str | None = None, source: Source = None) -> Callable:
    """`fun`, with the values at some points replaced or changed.

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
        edited = Points([point_named(found, name, "edits") for name in edits])
        _check_once(edited)
        values = {name: _as_fitting(edit, edited[name]) for name, edit in edits.items() if not callable(edit)}

        def visit(name: str, value: Any, replacement: Any) -> tuple[Any, None]:
            return replacement if name in values else _fitting(edits[name](value), value, name), None

        planned = plan(staged.closed, edited.values(), at_once=True)
        outs, _ = run(planned, staged.args, values, Visitor(visit, recorded=None, as_there=True))
        return staged.results(outs)

    return intervened


def _check_once(edited: Points) -> None:
    for name, other in edited.same().items():
        raise ArgumentError(f"`edits` names `{name}` and `{other}`, which are two names of one value; edit it once.")


def _as_fitting(edit: Any, point: Point) -> jax.Array:
    """A replacement as an array, if it has the shape and dtype of its point."""
    value = _as_array(edit, point.name)
    # A Python number takes the dtype it meets, as everywhere in JAX.
    if isinstance(edit, (int, float, complex)) and holds(point.dtype, edit):
        value = value.astype(point.dtype)
    _check_fit(value, point.shape, point.dtype, point.name)
    return value


def _fitting(value: Any, old: Any, name: str) -> jax.Array:
    new = _as_array(value, name)
    _check_fit(new, jnp.shape(old), jnp.result_type(old), name)
    return new


def _as_array(edit: Any, name: str) -> jax.Array:
    if not is_value(edit):
        fix = "give an array, or a function from the value to one"
        raise ArgumentError(f"The edit of `{name}` is {shown(edit)}, which is not an array; {fix}.")
    return jnp.asarray(edit)


def _check_fit(new: jax.Array, shape: tuple[int, ...], dtype: Any, name: str) -> None:
    if new.shape != shape:
        fix = "give it that shape (`jnp.broadcast_to` says so aloud)"
        raise ArgumentError(f"The edit of `{name}` has shape {new.shape}; the value there has shape {shape}; {fix}.")
    if new.dtype != dtype:
        fix = f"cast it with `.astype({str(dtype)!r})`"
        raise ArgumentError(f"The edit of `{name}` has dtype {new.dtype}; the value there has dtype {dtype}; {fix}.")
