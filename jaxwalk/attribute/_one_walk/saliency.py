"""`saliency`: the size of δ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ..._callables import transform
from ..._points.name_patterns import At
from ..._source.user_files import Source
from .._attribution import Attribution
from .._explaining import Explaining


@transform
def saliency(
    fun: Callable,
    at: At = None,
    *,
    by: str | None = None,
    source: Source = None,
    argnums: int | Sequence[int] = 0,
) -> Callable[..., Attribution]:
    """Attribute by |δ|: how fast the result moves with each entry (Simonyan et al., arXiv 1312.6034). One walk.

    Arguments:
        fun: a function whose result, a real scalar, is explained: a score, or a loss.
        at, by, source, argnums: as of `jw.walk`.

    Returns:
        A function of the arguments of `fun` that returns an `Attribution`. It promises no sum.

    Raises:
        PointError, ArgumentError: (when called) as of `jw.walk`.

    >>> import jax.numpy as jnp, jaxwalk as jw
    >>> jw.attribute.saliency(lambda x: -jnp.sum(jw.tag(x * x, "square")))(jnp.array([1.0, 3.0])).inputs
    Array([2., 6.], dtype=float32)
    """
    explaining = Explaining.checked("saliency", fun, at, by, source, argnums)

    def explain(*args: Any) -> Attribution:
        found = explaining.walk(*args)
        scores, inputs = jax.tree.map(jnp.abs, (dict(found.deltas), found.grads))
        return explaining.attribution(found.value, scores, inputs, found.points)

    return explaining.explained(explain)
