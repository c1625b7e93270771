"""`integrated_gradients`: along the path of the inputs, or along one of each point's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..._callables import transform
from ..._errors import ArgumentError, shown
from ..._points.name_patterns import At
from ..._source.user_files import Source
from ..._walk.intervene import intervene
from ..._walk.walk import walk
from .._attribution import Attribution, total_of_all
from .._explaining import Explaining, times
from .conductance import OF_INTEGERS
from .path import Quadrature, baseline_of, between
from .sweep import Path

OF_INPUTS = "Integrated gradients along the path of the inputs are of these; at points there is `conductance`, or"
OF_INPUTS += ' `along="own"`.'


@transform
def integrated_gradients(
    fun: Callable,
    at: At = None,
    *,
    by: str | None = None,
    source: Source = None,
    argnums: int | Sequence[int] = 0,
    baseline: Any = None,
    steps: int = 50,
    rule: str = "gauss-legendre",
    along: str = "inputs",
    batch_size: int = 1,
) -> Callable[..., Attribution]:
    """Attribute by integrated gradients (Sundararajan et al., arXiv 1703.01365).

    Along the path of the inputs: (x − x')·∫ ∂fun/∂x dα, of the inputs alone. Along each point's own path, from its
    value at the baseline to its value at the inputs, with all that does not come through it held at what it is at the
    inputs: (y − y')·∫ ∂fun/∂y dα. That is one sweep for each point, one after the other, and compiled for each. Of a
    point in a loop all steps move together, so that their scores are not what each has alone.

    Arguments:
        fun, at, by, source, argnums, steps, batch_size: as of `conductance`.
        rule: as of `internal_influence`.
        baseline: as of `conductance`. Of integers, as tokens, others of the same shape: with `along="own"`.
        along: "inputs" or "own".

    Returns:
        A function of the arguments of `fun` that returns an `Attribution`. Along the inputs' path `gap` is what their
        scores add up to less fun(inputs) − fun(baseline); along each point's own there is none.

    Raises:
        PointError, ArgumentError: as of `conductance`.

    >>> import jax, jax.numpy as jnp, jaxwalk as jw
    >>> fun = lambda x: jnp.prod(jw.tag(x + 1, "next"))
    >>> found = jw.attribute.integrated_gradients(fun)(jnp.array([1.0, 2.0]))
    >>> jnp.round(found.inputs, 4), fun(jnp.array([1.0, 2.0])) - fun(jnp.zeros(2))
    (Array([2., 3.], dtype=float32), Array(5., dtype=float32))
    >>> own = jw.attribute.integrated_gradients(fun, along="own")(jnp.array([1.0, 2.0]))
    >>> jnp.round(own.scores["next"], 4)
    Array([2., 3.], dtype=float32)
    """
    explaining = Explaining.checked("integrated_gradients", fun, at, by, source, argnums)
    quadrature = Quadrature.checked(steps, rule, batch_size)
    if along not in ("inputs", "own"):
        raise ArgumentError(f'`along` is {shown(along)}; it is "inputs" or "own".')

    def of_inputs(*args: Any) -> Attribution:
        path = Path.to(explaining, args, baseline, OF_INTEGERS)
        mean = quadrature.mean(lambda alpha: explaining.walk(*path.arguments(alpha)).grads)
        inputs = times(mean, path.direction)
        gap = total_of_all(inputs) - path.change
        return explaining.attribution(path.whole.value, {}, inputs, path.whole.points, gap, OF_INPUTS)

    def of_points(*args: Any) -> Attribution:
        found = explaining.walk(*args)
        others = baseline_of(baseline, explaining.inputs(args))
        _, start = explaining.forward(*explaining.with_inputs(args, others))
        own = lambda name: _own(explaining, quadrature, args, name, start[name], found.outputs[name])
        each = {name: own(name) for name in found.deltas.once()}
        against = explaining.against(baseline, args)
        return explaining.attribution(found.value, each, None, found.points, against=against)

    return explaining.explained(of_inputs if along == "inputs" else of_points)


def _own(explaining: Explaining, quadrature: Quadrature, args: Any, name: str, start: Any, end: Any) -> Any:
    place, direction = between(start, end)
    options = {"by": explaining.by, "source": explaining.source}

    def delta(alpha: Any) -> Any:
        there = intervene(explaining.fun, {name: place(alpha)}, **options)
        return walk(there, name, **options)(*args).deltas[name]

    return times(quadrature.mean(delta), direction)
