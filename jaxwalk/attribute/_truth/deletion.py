"""`deletion`: the result while entries are taken away in the order of their scores."""

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
def deletion(
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
    """Run the function while entries of the inputs, or of the value at a point, are put to a baseline, those of the
    highest scores first (Petsiuk et al., arXiv 1806.07421). The smaller the area under the curve, the better the scores
    say what the result comes from.

    The order is that of the scores with their signs; of equal ones the first goes first. Of `patching`, whose scores
    say what another run would add, the lowest go first.

    Arguments:
        attribution: of `fun`, at these arguments, by any method with a score for each entry.
        fun: the function that it is of.
        at: the name of one point, as by `jw.intervene`; None for the inputs.
        by, source, argnums: those of the attribution.
        baseline: of the inputs, as of `conductance`; of a point its value there, or a function from the value to that.
        channel: an axis whose entries go together, by the sum of their scores, as those of a pixel: of a value without
            the axes of scans. The scores may be those of `grad_cam`, which have no such axis.
        steps: how many; one for each entry if there are fewer of these.
        batch_size: how many runs are vmapped; these batches go one after the other.

    Returns:
        A function of the arguments of `fun` that returns a `Curve`. If a score is NaN, there is no order, and all of it
        is NaN.

    Raises:
        PointError: (when called) there are no scores at the point.
        ArgumentError: an option does not fit; (when called) the attribution is of other arguments, or has no scores of
            inputs; `fun` returns no real scalar.

    >>> import jax.numpy as jnp, jaxwalk as jw
    >>> fun = lambda x: jnp.sum(jw.tag(x * jnp.array([1.0, 3.0, 2.0]), "product"))
    >>> x = jnp.ones(3)
    >>> found = jw.attribute.deletion(jw.attribute.gradient_times_output(fun)(x), fun)(x)
    >>> found.values, round(float(found.area), 3)
    (Array([6., 3., 1., 0.], dtype=float32), 2.333)
    """
    explaining = Explaining.checked("deletion", fun, at, by, source, argnums)
    ordering = Ordering(attribution, explaining, baseline, channel, steps, batch_size).checked()
    return explaining.explained(ordering.curve)
