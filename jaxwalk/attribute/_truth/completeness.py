"""`completeness`: how far scores are from adding up to the change of the result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ..._callables import transform
from ..._jax.jaxpr.jaxprs import argument_names
from ..._jax.jaxpr.types import widened
from ..._jax.leaves import as_input, is_array, is_value
from ..._jax.tracing import Staged, stage
from ..._points.flow import Flow
from ..._points.ordered_mapping import by_point
from ..._points.point import Point
from .._along.path import baseline_of
from .._attribution import Attribution, change, total_of_all
from .._explaining import Explaining
from .measure import Measure
from .scores import by_step, check_attribution, check_change, check_value, sign_of


@transform
def completeness(
    attribution: Attribution,
    fun: Callable,
    *,
    argnums: int | Sequence[int] = 0,
    baseline: Any = None,
) -> Callable[..., Measure]:
    """Measure how far scores are from adding up: Σ scores − (fun(inputs) − fun(baseline)), of the inputs and at each
    point (Sundararajan et al., arXiv 1701.01365; Dhamdhere et al., arXiv 1805.12233).

    At a point it should be 0 only if all that the result has of the inputs goes through the value there, which
    `Measure.through` says: with that value held, nothing of the inputs is left to come to the result. It is read from
    the traced function, whatever the numbers. Of points in loops, each step has a number of its own.

    Arguments:
        attribution: of `fun`, at these arguments, by any method; which promise it, their docstrings say.
        fun: the function that it is of.
        argnums: the arguments that differ between the inputs and the baseline.
        baseline: as of `conductance`, and of integers too. Of `patching` and `relevance_patching` the inputs of the
            other run: their scores are of the way there, and add up to fun(other) − fun(inputs).

    Returns:
        A function of the arguments of `fun` that returns a `Measure`. In `through` there is None for what is in a loop,
        if no other way is seen; and where the function has all its arguments as `*args`, or writes to an array.

    Raises:
        ArgumentError: `attribution` is none; (when called) it is of other arguments or of another baseline; or the
            baseline has another structure or shape.

    >>> import jax.numpy as jnp, jaxwalk as jw
    >>> fun = lambda x: jnp.sum(jw.tag(jw.tag(x**2, "square") * 3, "thrice")) + jnp.sum(x)
    >>> x = jnp.array([1.0, 2.0])
    >>> found = jw.attribute.completeness(jw.attribute.conductance(fun)(x), fun)(x)
    >>> round(float(found.by_point["thrice"]), 2), found.through["thrice"]  # x goes past it: 3 are missing
    (-3.0, False)
    """
    check_attribution(attribution)
    explaining = Explaining.checked("completeness", fun, None, None, None, argnums)

    def measure(*args: Any) -> Measure:
        args = jax.tree.map(lambda x: as_input(x) if is_value(x) else x, args)
        inputs = explaining.inputs(args)
        start = baseline_of(baseline, inputs)
        staged = stage(fun, args, {})
        explaining.result_only(staged)
        value = fun(*args)
        check_value(attribution, value)
        apart = sign_of(attribution) * change(fun(*explaining.with_inputs(args, start)), value)
        check_change(attribution, apart)
        of_inputs = None if attribution.inputs is None else total_of_all(attribution.inputs) - apart
        names = list(attribution.scores.once())
        missed = {name: _totals(by_step(attribution, name)) - apart for name in names}
        ways = _chosen_names(staged, args, explaining)
        through = {name: _all_through(attribution.points.flow, attribution.points[name], ways) for name in names}
        return Measure(
            "completeness", attribution.method, of_inputs, by_point(missed, attribution.points), apart, through
        )

    return explaining.explained(measure)


def _totals(scores: jax.Array) -> jax.Array:
    """Return the sum of the scores of each step, in float32 at least."""
    scores = jnp.real(scores)
    return jnp.sum(scores, -1, dtype=widened(scores.dtype))


def _chosen_names(staged: Staged, args: Sequence[Any], explaining: Explaining) -> set[str] | None:
    """Return what the function calls the arguments that `argnums` names; None if it calls others so too."""
    chosen = {position % len(args) for position in explaining.positions}
    places = [i for i, arg in enumerate(args) for leaf in jax.tree.leaves(arg) if is_array(leaf)]
    names = [name.partition("[")[0].partition(".")[0] for name in argument_names(staged.closed.jaxpr)]
    mine, others = (
        {n for n, i in zip(names, places, strict=True) if (i in chosen) is wanted} for wanted in (True, False)
    )
    return None if mine & others or "" in mine else mine


def _all_through(flow: Flow | None, point: Point, arguments: set[str] | None) -> bool | None:
    """Tell whether no way leads from the arguments to the result but through a point; None if that is not known."""
    if flow is None or arguments is None:
        return None
    met, reads = {flow.names[point.number - 1]}, [flow.result]
    while reads:
        read = reads.pop()
        if not arguments.isdisjoint(read.arguments):
            return False
        new = set(read.points) - met
        met |= new
        reads += [flow.values[number - 1] for number in new]
    # A way may lead past one step of a loop and through another: of all steps together there is none past it.
    return None if point.axes else True
