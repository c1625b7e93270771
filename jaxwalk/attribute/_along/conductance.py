"""`conductance`: what flows through each entry on the path from a baseline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..._callables import transform
from ..._points.name_patterns import At
from ..._source.user_files import Source
from .._attribution import Attribution
from .._explaining import Explaining
from .path import Quadrature
from .sweep import Path, swept

OF_INTEGERS = 'name the point that embeds them: `integrated_gradients(fun, "NAME", along="own")`'


@transform
def conductance(
    fun: Callable,
    at: At = None,
    *,
    by: str | None = None,
    source: Source = None,
    argnums: int | Sequence[int] = 0,
    baseline: Any = None,
    steps: int = 50,
    rule: str = "trapezoid",
    batch_size: int = 1,
) -> Callable[..., Attribution]:
    """Attribute by conductance, at all points in one sweep (Dhamdhere et al., arXiv 1805.12233; 1807.09946).

    The score of an entry y is ∫ ∂fun/∂y · dy/dα dα, along the straight path x(α) from the baseline to the inputs: the
    part of fun(x) − fun(baseline) that flows through it. At a layer through which everything passes the scores add up
    to that difference; so do those of the inputs, which are their integrated gradients. In a scan over
    `steps` nodes: memory does not grow with them, but for what is run at once (`batch_size`).

    Arguments:
        fun: a function whose result, a real scalar, is explained: a score, or a loss.
        at, by, source, argnums: as of `jw.walk`; the path is one of the arguments that `argnums` names.
        baseline: of these, in their structure and shapes; or a function from them to that; None for zeros.
        steps: how many nodes.
        rule: "trapezoid": Σ ½ (δ + δ')·(y' − y) over neighbours on the path, which costs one walk a node.
            "gauss-legendre", "left", "right", "midpoint": δ·dy/dα at each node, a walk and a forward derivative; of
            smooth functions Gauss and Legendre's nodes are far more accurate.
        batch_size: how many nodes are run at once, vmapped, as of `jax.lax.map`: what one walk needs of memory is
            needed so many times. Above 1 it pays where one walk leaves a GPU, or many cores, idle. The numbers are the
            same but for rounding.

    Returns:
        A function of the arguments of `fun` that returns an `Attribution`; its `gap` is what the scores of the inputs
        add up to less fun(inputs) − fun(baseline): the error of the quadrature.

    Raises:
        PointError: (when called) as of `jw.walk`.
        ArgumentError: `steps`, `rule` or `batch_size` does not fit; (when called) the baseline has another structure or
            shape, or an argument of integers has no path.

    >>> import jax, jax.numpy as jnp, jaxwalk as jw
    >>> fun = lambda x: jnp.sum(jw.tag(jax.nn.softplus(x), "unit")) ** 2
    >>> found = jw.attribute.conductance(fun)(jnp.array([1.0, 2.0]))
    >>> change = fun(jnp.array([1.0, 2.0])) - fun(jnp.zeros(2))
    >>> bool(abs(found.totals["unit"] - change) < 1e-3), bool(abs(found.gap) < 1e-3)
    (True, True)
    """
    explaining = Explaining.checked("conductance", fun, at, by, source, argnums)
    quadrature = Quadrature.checked(steps, rule, batch_size)

    def explain(*args: Any) -> Attribution:
        path = Path.to(explaining, args, baseline, OF_INTEGERS)
        scores, inputs, gap = swept(explaining, path, quadrature)
        return explaining.attribution(path.whole.value, scores, inputs, path.whole.points, gap)

    return explaining.explained(explain)
