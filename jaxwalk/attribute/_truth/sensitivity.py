"""`sensitivity`: how far an attribution changes where the inputs hardly do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ..._callables import transform
from ..._errors import ArgumentError, shown
from ..._jax.jaxpr.types import widened
from .._along.batches import each
from .._along.samples import check_key
from .._attribution import Attribution
from .._explaining import Explaining
from .measure import Measure
from .reruns import AT_ONCE


@transform
def sensitivity(
    explain: Callable[..., Attribution],
    argnums: int | Sequence[int] = 0,
    *,
    key: Any,
    samples: int = 10,
    radius: float = 0.02,
    batch_size: int = AT_ONCE,
) -> Callable[..., Measure]:
    """Measure the max-sensitivity of a method (Yeh et al., arXiv 1901.09392, definition 3.1): the largest change of its
    scores that is found where each entry of the inputs moves by at most `radius`, relative to the scores themselves,
    both by the root of the sum of squares.

    It is the largest of `samples` moves, uniform in [−radius, radius]: a lower bound of that of all. One attribution
    for each, with `batch_size` of them vmapped.

    Arguments:
        explain: what a method returned: `jw.attribute.conductance(fun)`.
        argnums: the arguments that move.
        key: of `jax.random`.
        samples: how many moves.
        radius: how far an entry moves at most, in its own unit.
        batch_size: how many attributions are held at once.

    Returns:
        A function of the arguments of `explain` that returns a `Measure`. Where the scores are zeros, it is NaN.

    Raises:
        ArgumentError: `explain` is none; `key`, `samples`, `radius` or `batch_size` does not fit; (when called) an
            argument is of integers.

    >>> import jax, jax.numpy as jnp, jaxwalk as jw
    >>> fun = lambda x: jnp.sum(jw.tag(x**2, "square"))
    >>> measure = jw.attribute.sensitivity(jw.attribute.saliency(fun), key=jax.random.key(0), radius=0.1)
    >>> found = measure(jnp.array([1.0, 1.0]))  # |δ| of x is 2x, that of the square is always 1
    >>> bool(0.01 < found.inputs <= 0.1), found.by_point["square"]
    (True, Array(0., dtype=float32))
    """
    if not callable(explain):
        raise ArgumentError(
            f"`explain` is {shown(explain)}; give what a method returned: `jw.attribute.conductance(fun)`."
        )
    check_key(key, samples, batch_size)
    if isinstance(radius, bool) or not isinstance(radius, (int, float)) or not 0 < radius < float("inf"):
        raise ArgumentError(f"`radius` is {shown(radius)}; it must be a number above 0.")
    explaining = Explaining.checked("sensitivity", explain, None, None, None, argnums)

    def measure(*args: Any) -> Measure:
        explaining.check_real_inputs(args, "name others by `argnums`, or make the embedding the argument")
        inputs = explaining.inputs(args)
        here = _found(explain(*args))
        scores = here.inputs, here.scores

        def change(key: Any) -> Any:
            near = explain(*explaining.with_inputs(args, _moved(key, inputs, radius)))
            apart = jax.tree.map(lambda a, b: a - b, (near.inputs, near.scores), scores)
            return _sizes(*apart)

        largest = jax.tree.map(lambda x: jnp.max(x, 0), each(change, jax.random.split(key, samples), batch_size))
        of_inputs, of_points = jax.tree.map(lambda a, b: a / b, largest, _sizes(*scores))
        return Measure("sensitivity", here.method, of_inputs, of_points)

    return explaining.explained(measure)


def _found(attribution: Any) -> Attribution:
    if not isinstance(attribution, Attribution):
        raise ArgumentError(
            f"`explain` returned {shown(attribution)}, no `Attribution`; give what a method returned:"
            " `jw.attribute.conductance(fun)`."
        )
    return attribution


def _sizes(inputs: Any, scores: Any) -> tuple[Any, Any]:
    """Return the root of the sum of squares of all inputs' scores, and of those at each point."""
    square = lambda x: jnp.sum(jnp.abs(x.astype(widened(x.dtype))) ** 2)
    of_inputs = None if inputs is None else jnp.sqrt(sum(map(square, jax.tree.leaves(inputs))))
    return of_inputs, jax.tree.map(lambda x: jnp.sqrt(square(x)), scores)


def _moved(key: Any, inputs: Any, radius: float) -> Any:
    leaves, tree = jax.tree.flatten(inputs)
    keys = jax.random.split(key, len(leaves))
    moves = [
        jax.random.uniform(k, jnp.shape(x), minval=-radius, maxval=radius) for x, k in zip(leaves, keys, strict=True)
    ]
    return tree.unflatten([x + m.astype(jnp.result_type(x)) for x, m in zip(leaves, moves, strict=True)])
