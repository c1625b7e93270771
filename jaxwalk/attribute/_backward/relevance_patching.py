"""`relevance_patching`: attribution patching, with δ that goes back as relevance does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..._callables import transform
from ..._points.name_patterns import At
from ..._source.user_files import Source
from .._along.path import baseline_of
from .._attribution import Attribution
from .._explaining import Explaining, check_delta_of, check_other, derivatives
from .relevance import Relevance


@transform
def relevance_patching(
    fun: Callable,
    at: At = None,
    *,
    by: str | None = None,
    source: Source = None,
    argnums: int | Sequence[int] = 0,
    other: Any,
    delta_of: str = "this",
) -> Callable[..., Attribution]:
    """Attribute by relevance patching (RelP, Jafari et al., arXiv 2508.21258): as `patching`, (o_other − o_this)·δ′,
    with δ′ that goes back by the rules of relevance where δ would saturate, or be swamped by noise. A
    walk, and a run of the other forward.

    Layers have their plain gradient. Softmax, as in attention patterns, and what a normalisation divides by are held,
    taken as constants; each factor of a product has half; an activation f gives back δ′·f(x)/x; a maximum all to the
    winner: as of `lrp`. Where what follows a point is linear it is `patching`, and the real intervention.

    Arguments:
        fun, at, by, source: as of `patching`.
        argnums: the arguments in which the other run differs.
        other: these, of the other run.
        delta_of: at which run δ′ is taken, "this" or "other".

    Returns:
        A function of the arguments of `fun` that returns an `Attribution`. It promises no sum. There is no forward mode
        through it.

    Raises:
        PointError: (when called) as of `jw.walk`.
        ArgumentError: `delta_of` is neither; (when called) `other` has another structure or shape; an equation has no
            rule, as of `lrp`.

    >>> import jax, jax.numpy as jnp, jaxwalk as jw
    >>> fun = lambda x: jnp.sum(jax.nn.silu(jw.tag(2 * x, "double")))
    >>> found = jw.attribute.relevance_patching(fun, other=jnp.array([1.0, 3.0]))(jnp.array([1.0, 1.0]))
    >>> found.scores["double"], 4 * jax.nn.sigmoid(2.0)
    (Array([0.     , 3.523188], dtype=float32), Array(3.523188, dtype=float32, weak_type=True))
    """
    explaining = Explaining.checked("relevance_patching", fun, at, by, source, argnums)
    check_other(other)
    check_delta_of(delta_of)

    def explain(*args: Any) -> Attribution:
        others = baseline_of(other, explaining.inputs(args), "other")
        walk = lambda *args: Relevance.of(explaining, args).walk(lambda layer: None)
        return explaining.patched(args, others, delta_of, walk, derivatives)

    return explaining.explained(explain)
