"""`concept`: how fast the result moves along the direction of a concept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from ..._callables import transform
from ..._errors import ArgumentError, argument, near, shown
from ..._jax.leaves import becomes_array
from ..._points.name_patterns import At
from ..._points.point import Point
from ..._source.user_files import Source
from .._attribution import Attribution
from .._explaining import Explaining, axis_of, times


@transform
def concept(
    fun: Callable,
    at: At = None,
    *,
    by: str | None = None,
    source: Source = None,
    vectors: Any,
    axis: int | None = None,
) -> Callable[..., Attribution]:
    """Attribute to a concept, a direction in the values at a point: δ·v, entry by entry (TCAV: Kim et al., arXiv
    1711.11279). One walk.

    `totals` is the derivative of the result along v. `jax.vmap` gives it for each datum; the TCAV score of these data
    is the share of them in which it is positive, `jnp.mean(found.totals["NAME"] > 0)`. `concept_vector` finds v from
    examples, `concept_test` whether its score says more than that of examples drawn at random.

    Arguments:
        fun: a function whose result, a real scalar, is explained: the score of a class.
        at: the points, as of `jw.walk`; None for those that `vectors` names.
        by, source: as of `jw.walk`.
        vectors: by point name the direction v; or one array, that of each point. It has the shape of the value: without
            the axes of loops, for all of their steps, or with them.
        axis: an axis of a value without those of loops, as that of the channels: then v has one number for each of its
            units, which is that of all positions.

    Returns:
        A function of the arguments of `fun` that returns an `Attribution`, whose `inputs` are None. It promises no sum.

    Raises:
        PointError: (when called) as of `jw.walk`.
        ArgumentError: there are no vectors; (when called) a point has none, or one of another shape, or no such axis.

    >>> import jax.numpy as jnp, jaxwalk as jw
    >>> score = lambda x: jnp.sum(jw.tag(x**2, "square"))
    >>> found = jw.attribute.concept(score, vectors={"square": jnp.array([0.6, -0.8])})(jnp.array([1.0, 2.0]))
    >>> found.scores["square"], round(float(found.totals["square"]), 2)
    (Array([ 0.6, -0.8], dtype=float32), -0.2)
    """
    named = isinstance(vectors, Mapping)
    if vectors is None or (named and not vectors):
        raise ArgumentError("`vectors` has no vector; give one by point name, as `concept_vector` finds them.")
    if axis is not None and (not isinstance(axis, int) or isinstance(axis, bool)):
        raise ArgumentError(f"`axis` is {shown(axis)}; it must be the number of an axis, or None.")
    at = list(vectors) if named and at is None else at
    explaining = Explaining.of_points("concept", fun, at, by, source)

    def explain(*args: Any) -> Attribution:
        found = explaining.walk(*args)
        scores = {}
        for name in found.deltas.once():
            vector = _of_point(vectors, found.points[name], found.points.also(name)) if named else vectors
            scores[name] = times(found.deltas[name], _along(vector, found.points[name], axis))
        return explaining.attribution(found.value, scores, None, found.points)

    return explaining.explained(explain)


def _of_point(vectors: Mapping[str, Any], point: Point, also: str) -> Any:
    names = [point.name, *(name for name in vectors if f"`{name}`" in also)]
    for name in names:
        if name in vectors:
            return vectors[name]
    raise ArgumentError(
        f"`{argument('vectors')}` has none for `{point.name}`, which `{argument('at')}` chooses; give one, or choose"
        f" others. {near(point.name, vectors)}"
    )


def _along(vector: Any, point: Point, axis: int | None) -> jax.Array:
    """Return the vector in the dtype of a point, with axes by which it fits the value there."""
    lead, shape = point.shape[: len(point.axes)], point.shape[len(point.axes) :]
    units = shape if axis is None else (point.shape[axis_of(point, axis)],)
    if not becomes_array(vector):
        raise ArgumentError(
            f"`{argument('vectors')}` has for `{point.name}` {shown(vector)}, which is no array of numbers; give one,"
            " as `concept_vector` finds it."
        )
    vector = jnp.asarray(vector)
    if vector.shape not in (units, (*lead, *units)):
        both = f"{units}" + (f", or with the steps of its loops {(*lead, *units)}" if lead else "")
        raise ArgumentError(
            f"`{argument('vectors')}` has for `{point.name}` an array of shape {vector.shape}; there it has the shape"
            f" {both}" + (" (of the values without their positions: by `axis`)." if axis is None else ".")
        )
    if jnp.iscomplexobj(vector) and not jnp.issubdtype(point.dtype, jnp.complexfloating):
        raise ArgumentError(f"`{argument('vectors')}` is complex for `{point.name}`, which is real; give real numbers.")
    if axis is not None:
        others = tuple(i for i in range(-len(shape), 0) if i != axis and i + len(shape) != axis)
        vector = jnp.expand_dims(vector, others)
    if vector.ndim < len(point.shape):
        vector = jnp.expand_dims(vector, tuple(range(len(lead))))
    return vector.astype(point.dtype)
