"""`patching`: what putting the values of another run in the place of this one's is predicted to change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..._callables import transform
from ..._points.name_patterns import At
from ..._source.user_files import Source
from .._along.path import Quadrature, baseline_of, between
from .._attribution import Attribution
from .._explaining import Explaining, check_delta_of, check_other, derivatives


@transform
def patching(
    fun: Callable,
    at: At = None,
    *,
    by: str | None = None,
    source: Source = None,
    argnums: int | Sequence[int] = 0,
    other: Any,
    delta_of: str = "this",
    steps: int = 1,
    batch_size: int = 1,
) -> Callable[..., Attribution]:
    """Attribute by attribution patching: at each point the change of the result that is predicted, to first order, if
    the value there were that of another run: (o_other − o_this)·δ (Nanda 2023; Syed et al., arXiv 2310.10348).

    With the sign of that change: `jw.intervene(fun, {name: o_other})(*args) − fun(*args)`, which it equals where what
    follows is linear. To patch the clean values into the corrupted run, call it with the corrupted arguments, and give
    the clean ones as `other`; for the converse, the other way round.
    A walk, and a run of the other forward.

    Arguments:
        fun, at, by, source: as of `conductance`.
        argnums: the arguments in which the other run differs.
        other: these, of the other run.
        delta_of: at which run δ is taken, "this" or "other".
        steps: above 1, δ is the mean over so many nodes of the path of the inputs between the runs, by the midpoint
            rule, and `delta_of` says nothing (EAP-IG, for nodes: Hanna et al., arXiv 2403.17806). Between tokens there
            is no path: take that of their embeddings, as the example does.
        batch_size: of these nodes, as of `conductance`.

    Returns:
        A function of the arguments of `fun` that returns an `Attribution`. It promises no sum.

    Raises:
        PointError: (when called) as of `jw.walk`.
        ArgumentError: `delta_of`, `steps` or `batch_size` does not fit; (when called) `other` has another structure or
            shape, or with `steps` is of integers.

    >>> import jax.numpy as jnp, jaxwalk as jw
    >>> fun = lambda x: jnp.sum(2 * jw.tag(x**2, "square"))
    >>> corrupted, clean = jnp.array([1.0, 1.0]), jnp.array([1.0, 3.0])
    >>> found = jw.attribute.patching(fun, other=clean)(corrupted)
    >>> found.scores["square"], jw.intervene(fun, {"square": clean**2})(corrupted) - fun(corrupted)
    (Array([ 0., 16.], dtype=float32), Array(16., dtype=float32))
    >>> table = jnp.array([0.0, 1.0, 3.0])
    >>> of_tokens = lambda tokens: jnp.sum(jw.tag(jw.tag(table[tokens], "embed") ** 2, "square"))
    >>> this, others = (jw.outputs(of_tokens, "embed")(jnp.array(t))[1]["embed"] for t in ([1, 1], [1, 2]))
    >>> of_embedding = lambda e: jw.intervene(of_tokens, {"embed": e})(jnp.array([1, 1]))
    >>> jw.attribute.patching(of_embedding, other=others, steps=4)(this).scores["embed"]
    Array([0., 8.], dtype=float32)
    """
    explaining = Explaining.checked("patching", fun, at, by, source, argnums)
    quadrature = Quadrature.checked(steps, "midpoint", batch_size)
    check_other(other)
    check_delta_of(delta_of)

    def explain(*args: Any) -> Attribution:
        inputs = explaining.inputs(args)
        others = baseline_of(other, inputs, "other")
        if steps == 1:
            return explaining.patched(args, others, delta_of, explaining.walk, derivatives)
        explaining.check_real_path(args)
        place, _ = between(others, inputs)
        there = lambda alpha: explaining.walk(*explaining.with_inputs(args, place(alpha)))
        means = lambda _: quadrature.mean(lambda alpha: derivatives(there(alpha)))
        return explaining.patched(args, others, "this", explaining.walk, means)

    return explaining.explained(explain)
