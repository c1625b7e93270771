"""`deconvolution`: δ, itself sent through each relu on the way back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp

from ..._callables import transform
from ..._points.name_patterns import At
from ..._source.user_files import Source
from .._attribution import Attribution
from .._explaining import Explaining
from .relu_rules import through_relus


@transform
def deconvolution(
    fun: Callable,
    at: At = None,
    *,
    by: str | None = None,
    source: Source = None,
    argnums: int | Sequence[int] = 0,
    others: str = "refuse",
) -> Callable[..., Attribution]:
    """Attribute by deconvolution (Zeiler and Fergus, arXiv 1311.2901). One walk.

    The score is δ, as it is where through each relu goes back max(δ, 0), whether the relu is on or off (but
    where one with a ceiling, as `jax.nn.relu6`, has reached it, nothing goes back). All else has
    its derivative: a maximum of windows sends δ to the winner, as their switches do.

    Arguments:
        fun, at, by, source, argnums, others: as of `guided_backprop`.

    Returns:
        A function of the arguments of `fun` that returns an `Attribution`. It promises no sum.

    Raises:
        PointError, ArgumentError: as of `guided_backprop`.

    >>> import jax, jax.numpy as jnp, jaxwalk as jw
    >>> fun = lambda x: jw.tag(jax.nn.relu(x), "unit") @ jnp.array([1.0, -1.0, 1.0])
    >>> jw.attribute.deconvolution(fun)(jnp.array([2.0, 2.0, -2.0])).inputs
    Array([1., 0., 1.], dtype=float32)
    """
    explaining = Explaining.checked("deconvolution", fun, at, by, source, argnums)

    def back(result: Any, delta: Any) -> Any:
        return jnp.maximum(delta, 0)

    return through_relus(explaining, others, back)
