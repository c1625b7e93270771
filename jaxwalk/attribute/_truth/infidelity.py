"""`infidelity`: how far scores are from what random moves really do to the result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ..._callables import check_takes, transform
from ..._errors import ArgumentError, argument, shown
from ..._points.name_patterns import At
from ..._points.ordered_mapping import Named, by_point
from ..._source.user_files import Source
from .._along.path import baseline_of
from .._along.samples import check_key
from .._attribution import Attribution, change
from .._explaining import Explaining
from .measure import Measure
from .reruns import AT_ONCE, check_result
from .scores import check_attribution, check_change, check_inputs, kind_of, names_at
from .trials import Outcomes, Trial


@transform
def infidelity(
    attribution: Attribution,
    fun: Callable,
    *,
    at: At = None,
    by: str | None = None,
    source: Source = None,
    argnums: int | Sequence[int] = 0,
    baseline: Any = None,
    key: Any,
    samples: int = 100,
    perturb: Callable[[Any, Any], Any] | None = None,
    scaled: bool = False,
    scores: str | None = None,
    batch_size: int = AT_ONCE,
) -> Callable[..., Measure]:
    """Measure the infidelity of scores Φ (Yeh et al., arXiv 1901.09392, definition 2.1): the mean, over random moves I,
    of (Σ I·Φ − (fun(x) − fun(x − I)))², of the inputs, and at each point, whose value is moved as by
    `jw.intervene(fun, {name: lambda v: v - I})`; in a loop all steps move.

    Φ is by unit of a move. A method whose scores are of a whole way, from zero or from a baseline, has it divided by
    that way: I·Φ is then the share of the way that an entry moves, times its score; an entry without any way stays.

    Arguments:
        attribution: of `fun`, at these arguments.
        fun: the function that it is of.
        at: the points, of those with scores: each of their values is moved by itself, and nothing else is. None for all
            points, and for the inputs, of which all arrays move together.
        by, source, argnums: those of the attribution.
        baseline: that of the attribution, as of `conductance`; of `patching` the other run.
        key: of `jax.random`.
        samples: how many moves, of the inputs and at each point: one run each.
        perturb: (key, value) -> I, of each array that moves, of its shape, and real where it is; None for I that puts
            each entry to its baseline or leaves it, by one half (the paper's "subset of difference to baseline"; at
            points, slopes move to zero).
        scaled: whether Φ is first scaled by the one number by which it fits best.
        scores: what the scores are of: "slope", by unit; "value", of the way from zero; "baseline", of that from the
            value in the run at the baseline; "other", of that to the value there. None: as of the method.
        batch_size: as of `deletion`. All points are moved by one program.

    Returns:
        A function of the arguments of `fun` that returns a `Measure`: NaN where no move is any.

    Raises:
        PointError: (when called) there are no scores at these points.
        ArgumentError: an option does not fit; the method's scores are not by entry; (when called) the attribution is of
            other arguments.

    >>> import jax, jax.numpy as jnp, jaxwalk as jw
    >>> fun = lambda x: jnp.sum(jw.tag(x**2, "square") * 3)
    >>> x = jnp.array([1.0, 2.0])
    >>> found = jw.attribute.infidelity(jw.attribute.gradient_times_output(fun)(x), fun, key=jax.random.key(0))(x)
    >>> float(found.by_point["square"]), bool(found.inputs > 1)  # linear in the square, and not in x
    (0.0, True)
    """
    check_attribution(attribution)
    check_key(key, samples, batch_size)
    if perturb is not None and not callable(perturb):
        raise ArgumentError(f"`perturb` is {shown(perturb)}; it must be a function (key, value) -> move, or None.")
    if perturb is not None:
        check_takes(perturb, f"`{argument('perturb')}`", "key", "value")
    explaining = Explaining.checked("infidelity", fun, at, by, source, argnums)
    kind = kind_of(attribution, scores)
    trial = Trial(attribution, explaining, kind, baseline, perturb, key, samples, batch_size)

    def measure(*args: Any) -> Measure:
        check_result(explaining, args)
        check_inputs(attribution, explaining, args)
        is_of_inputs = at is None and attribution.inputs is not None
        inputs = _mean_square(trial.of_inputs(args), scaled)[0] if is_of_inputs else None
        each = Named({}, {"*": attribution.scores.why_empty()})
        if attribution.scores or at is not None or inputs is None:
            names = names_at(attribution, at)
            found = dict(zip(names, _mean_square(trial.of_points(args, names), scaled), strict=True))
            each = by_point(found, attribution.points, "It was not asked for.")
        if kind == "baseline":  # the result is that of the attribution: the moves have been compared with it
            start = baseline_of(baseline, explaining.inputs(args))
            check_change(attribution, change(fun(*explaining.with_inputs(args, start)), attribution.value))
        return Measure("infidelity", attribution.method, inputs, each)

    return explaining.explained(measure)


def _mean_square(found: Outcomes, scaled: bool) -> jax.Array:
    """Return the mean of (what is said − what happens)² over the moves; NaN where none is any."""
    said, real = found.said, found.lost
    if scaled:
        square = jnp.sum(said**2, -1, keepdims=True)
        scale = jnp.sum(said * real, -1, keepdims=True) / jnp.where(square == 0, jnp.ones_like(square), square)
        said = scale * said
    return jnp.where(found.is_any.any(-1), jnp.mean((said - real) ** 2, -1), jnp.nan)
