"""`internal_influence`: the mean δ on the path from a baseline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..._callables import transform
from ..._points.name_patterns import At
from ..._source.user_files import Source
from .._attribution import Attribution
from .._explaining import Explaining, derivatives
from .conductance import OF_INTEGERS
from .path import Quadrature
from .sweep import Path


@transform
def internal_influence(
    fun: Callable,
    at: At = None,
    *,
    by: str | None = None,
    source: Source = None,
    argnums: int | Sequence[int] = 0,
    baseline: Any = None,
    steps: int = 50,
    rule: str = "gauss-legendre",
    batch_size: int = 1,
) -> Callable[..., Attribution]:
    """Attribute by ∫ ∂fun/∂y dα, the mean δ along the path from the baseline to the inputs, at all points in one sweep
    (Leino et al., arXiv 1802.03788, with the uniform distribution on the path). It promises no sum.

    Arguments:
        fun, at, by, source, argnums, baseline, steps, batch_size: as of `conductance`.
        rule: "gauss-legendre", "trapezoid", "left", "right" or "midpoint": where on the path, and with what weights.

    Returns:
        A function of the arguments of `fun` that returns an `Attribution`.

    Raises:
        PointError, ArgumentError: as of `conductance`.

    >>> import jax.numpy as jnp, jaxwalk as jw
    >>> found = jw.attribute.internal_influence(lambda x: jnp.sum(jw.tag(2 * x, "twice") ** 2))(jnp.array([1.0, 3.0]))
    >>> jnp.round(found.scores["twice"], 4)
    Array([2., 6.], dtype=float32)
    """
    explaining = Explaining.checked("internal_influence", fun, at, by, source, argnums)
    quadrature = Quadrature.checked(steps, rule, batch_size)

    def explain(*args: Any) -> Attribution:
        path = Path.to(explaining, args, baseline, OF_INTEGERS)
        scores, inputs = quadrature.mean(lambda alpha: derivatives(explaining.walk(*path.arguments(alpha))))
        return explaining.attribution(path.whole.value, scores, inputs, path.whole.points)

    return explaining.explained(explain)
