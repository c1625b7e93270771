"""`insertion`: the result while entries are put back in the order of their scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..._callables import transform
from ..._source.user_files import Source
from .._attribution import Attribution
from .._explaining import Explaining
from .curve import Curve, Ordering
from .reruns import AT_ONCE


@transform
def insertion(
    attribution: Attribution,
    fun: Callable,
    *,
    at: str | None = None,
    by: str | None = None,
    source: Source = None,
    argnums: int | Sequence[int] = 0,
    baseline: Any = None,
    channel: int | None = None,
    steps: int = 50,
    batch_size: int = AT_ONCE,
) -> Callable[..., Curve]:
    """Run the function while entries of the inputs, or of the value at a point, are put back in the place of a
    baseline, those of the highest scores first (Petsiuk et al., arXiv 1806.07421). The larger the area under the curve,
    the better the scores say what the result comes from.

    Arguments:
        attribution, fun, at, by, source, argnums, baseline, channel, steps, batch_size: as of `deletion`.

    Returns:
        A function of the arguments of `fun` that returns a `Curve`, as of `deletion`.

    Raises:
        PointError, ArgumentError: as of `deletion`.

    >>> import jax.numpy as jnp, jaxwalk as jw
    >>> fun = lambda x: jnp.sum(jw.tag(x * jnp.array([1.0, 3.0, 2.0]), "product"))
    >>> x = jnp.ones(3)
    >>> found = jw.attribute.insertion(jw.attribute.gradient_times_output(fun)(x), fun, at="product")(x)
    >>> found.values, round(float(found.area), 3)
    (Array([0., 3., 5., 6.], dtype=float32), 3.667)
    """
    explaining = Explaining.checked("insertion", fun, at, by, source, argnums)
    ordering = Ordering(attribution, explaining, baseline, channel, steps, batch_size).checked()
    return explaining.explained(ordering.curve)
