"""`concept_vector`: the direction of a concept, from examples of it and of others."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from ..._errors import ArgumentError, argument, shown
from ..._jax.jaxpr.types import widened
from ..._jax.leaves import becomes_array

STEPS = 50  # of Newton's method, which ends in about 10


def concept_vector(positive: Any, negative: Any, *, penalty: float = 1.0) -> Any:
    """Find the concept activation vector of examples (Kim et al., arXiv 1711.11279): the normal, of length 1, of the
    plane between the values at a point in examples of a concept and in others.

    By logistic regression with an L2 penalty, of which the intercept is free: that of scikit-learn, whose `C` is
    1/`penalty`, of all values divided by their standard deviation, one number. It goes through `jax.jit` and
    `jax.vmap`, and takes a matrix of the number of examples or of entries squared, whichever are fewer.

    Arguments:
        positive: the values in examples of the concept, with the axis of examples first; or several by point name, as
            `jax.vmap(jw.outputs(fun, "NAME"))(examples)[1]` has them.
        negative: the same of other examples; there may be another number of them.
        penalty: above 0. The larger, the nearer v is to the difference of the two means.

    Returns:
        v, in the shape of the value; or these by point name. It points to the concept. Of values that are all the same,
        it is NaN.

    Raises:
        ArgumentError: there are no examples; the two have not the same points or shapes, or no real numbers; `penalty`
            is not above 0.

    >>> import jax.numpy as jnp, jaxwalk as jw
    >>> striped, others = jnp.array([[3.0, 1.0], [3.0, -1.0]]), jnp.array([[-1.0, 1.0], [-1.0, -1.0]])
    >>> jnp.round(jnp.abs(jw.attribute.concept_vector(striped, others)), 4)
    Array([1., 0.], dtype=float32)
    """
    check_penalty(penalty)
    check_alike(positive, negative, ("positive", "negative"))
    return jax.tree.map(lambda a, b: normal(a, b, penalty), positive, negative)


def check_penalty(penalty: Any) -> None:
    if isinstance(penalty, bool) or not isinstance(penalty, (int, float)) or not 0 < penalty < float("inf"):
        raise ArgumentError(f"`penalty` is {shown(penalty)}; it must be a number above 0.")


def check_alike(one: Any, other: Any, names: tuple[str, str], sets: int = 0) -> None:
    """Refuse values that are not those of the same points; `sets`: how many axes the second has before the examples."""
    first, second = (f"`{argument(name)}`" for name in names)
    mine, its = jax.tree.structure(one), jax.tree.structure(other)
    if mine != its:
        raise ArgumentError(f"{first} has the structure {mine}, and {second} {its}; give values at the same points.")
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        for name, x, axes in ((first, a, 1), (second, b, sets + 1)):
            _check_examples(name, x, axes)
        if jnp.shape(a)[1:] != jnp.shape(b)[sets + 1 :]:
            lead = "the axes of sets and of examples" if sets else "the axis of examples"
            raise ArgumentError(
                f"{first} has values of shape {jnp.shape(a)[1:]}, and {second}, after {lead},"
                f" {jnp.shape(b)[sets + 1 :]}; give values at the same point."
            )


def _check_examples(name: str, values: Any, axes: int) -> None:
    if not becomes_array(values):
        raise ArgumentError(f"{name} has {shown(values)}, which is no array of numbers; give values in examples.")
    shape = jnp.shape(values)
    if len(shape) < axes or 0 in shape:
        first = "axes of sets and of examples" if axes > 1 else "the axis of examples"
        raise ArgumentError(f"{name} has an array of shape {shape}; it must have {first} in front, and none empty.")
    if not jnp.issubdtype(jnp.result_type(values), jnp.floating):
        raise ArgumentError(f"{name} has an array of {jnp.result_type(values)}; give real numbers, of floats.")


def normal(positive: jax.Array, negative: jax.Array, penalty: float) -> jax.Array:
    """Return the normal of the plane between two arrays of examples, of length 1."""
    dtype = widened(jnp.result_type(positive))
    x = jnp.concatenate([jnp.reshape(a, (len(a), -1)).astype(dtype) for a in (positive, negative)])
    x = x - jnp.mean(x, 0, keepdims=True)
    x = x / jnp.sqrt(jnp.mean(x**2))
    signs = jnp.concatenate([jnp.ones(len(positive), dtype), -jnp.ones(len(negative), dtype)])
    # The slopes are a sum of examples: there are no more unknowns than these, however many entries a value has.
    span, coordinates = jnp.linalg.qr(x.T) if x.shape[1] > x.shape[0] else (None, x.T)
    slopes = _slopes(coordinates.T, signs, penalty)
    slopes = slopes if span is None else span @ slopes
    return (slopes / jnp.linalg.norm(slopes)).reshape(jnp.shape(positive)[1:]).astype(jnp.result_type(positive))


def _slopes(x: jax.Array, signs: jax.Array, penalty: float) -> jax.Array:
    """Return the slopes of a logistic regression, by Newton's method."""
    x = jnp.concatenate([x, jnp.ones((len(x), 1), x.dtype)], 1)
    free = jnp.full(x.shape[1], penalty, x.dtype).at[-1].set(0)

    def objective(weights: jax.Array) -> jax.Array:
        return jnp.sum(jax.nn.softplus(-signs * (x @ weights))) + jnp.sum(free * weights**2) / 2

    def step(_: Any, weights: jax.Array) -> jax.Array:
        wrong = jax.nn.sigmoid(-signs * (x @ weights))
        curvature = x.T @ ((wrong * (1 - wrong))[:, None] * x) + jnp.diag(free)
        move = jnp.linalg.solve(curvature, jax.grad(objective)(weights))
        tried = weights[None] - jnp.exp2(-jnp.arange(8, dtype=x.dtype))[:, None] * move[None]
        return tried[jnp.argmin(jax.vmap(objective)(tried))]

    return jax.lax.fori_loop(0, STEPS, step, jnp.zeros(x.shape[1], x.dtype))[:-1]
