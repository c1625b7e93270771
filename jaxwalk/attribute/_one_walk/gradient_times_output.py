"""`gradient_times_output`: δ times the value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..._callables import transform
from ..._points.name_patterns import At
from ..._source.user_files import Source
from .._attribution import Attribution
from .._explaining import Explaining, times


@transform
def gradient_times_output(
    fun: Callable,
    at: At = None,
    *,
    by: str | None = None,
    source: Source = None,
    argnums: int | Sequence[int] = 0,
) -> Callable[..., Attribution]:
    """Attribute by δ·output, entry by entry; of the arguments by gradient × input (Ancona et al., arXiv 1711.06104).

    One walk. Minus a score is what putting the entry to 0 is predicted to change, to first order. Where what follows is
    linear without a bias, scores add up to the result; else no sum is promised. Of complex numbers it is the real part.

    Arguments:
        fun: a function whose result, a real scalar, is explained: a score, or a loss.
        at, by, source, argnums: as of `jw.walk`.

    Returns:
        A function of the arguments of `fun` that returns an `Attribution`.

    Raises:
        PointError, ArgumentError: (when called) as of `jw.walk`.

    >>> import jax.numpy as jnp, jaxwalk as jw
    >>> found = jw.attribute.gradient_times_output(lambda x: jnp.sum(jw.tag(x * x, "square")))(jnp.array([1.0, 3.0]))
    >>> found.scores["square"], found.inputs, float(found.totals["square"])
    (Array([1., 9.], dtype=float32), Array([ 2., 18.], dtype=float32), 10.0)
    """
    explaining = Explaining.checked("gradient_times_output", fun, at, by, source, argnums)

    def explain(*args: Any) -> Attribution:
        found = explaining.walk(*args)
        scores = {name: times(delta, found.outputs[name]) for name, delta in found.deltas.items()}
        inputs = None if found.grads is None else times(found.grads, explaining.inputs(args))
        return explaining.attribution(found.value, scores, inputs, found.points)

    return explaining.explained(explain)
