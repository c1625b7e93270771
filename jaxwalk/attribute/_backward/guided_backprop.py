"""`guided_backprop`: δ with nothing negative passed back through a relu."""

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
def guided_backprop(
    fun: Callable,
    at: At = None,
    *,
    by: str | None = None,
    source: Source = None,
    argnums: int | Sequence[int] = 0,
    others: str = "refuse",
) -> Callable[..., Attribution]:
    """Attribute by guided backpropagation (Springenberg et al., arXiv 1412.6806). One walk.

    The score is δ, as it is where through each relu goes back max(δ, 0), where the relu is on, and else nothing. All
    else has its derivative. A relu is what computes max(x, 0), however it is written: `jax.nn.relu`, `jnp.maximum`,
    `jnp.clip`, `jnp.where`, x·(x > 0), (x + |x|)/2; a custom derivative rule in which there is one has no say. One that
    is cut off at a ceiling, as `jax.nn.relu6`, is a relu and a cut: where the ceiling is reached, nothing goes back.
    What of all this is not recognised, as where a point is asked for within, is another function, and refused as such.

    It shows what stands out in an image; what it shows may depend little on the weights (Adebayo et al., arXiv
    1810.03292). It promises no sum.

    Arguments:
        fun: a function whose result, a real scalar, is explained: the score of a class.
        at, by, source, argnums: as of `jw.walk`.
        others: what to do about functions of one value, entry by entry, that are not relus, as a gelu, a square, the
            root in a normalisation: "refuse" them, or leave their derivative "plain", as captum does.

    Returns:
        A function of the arguments of `fun` that returns an `Attribution`. There is no forward mode through it.

    Raises:
        PointError: (when called) as of `jw.walk`.
        ArgumentError: `others` does not fit; (when called) there is no relu, or there are other functions.

    >>> import jax, jax.numpy as jnp, jaxwalk as jw
    >>> fun = lambda x: jw.tag(jax.nn.relu(x), "unit") @ jnp.array([1.0, -1.0, 1.0])
    >>> jw.attribute.guided_backprop(fun)(jnp.array([2.0, 2.0, -2.0])).inputs
    Array([1., 0., 0.], dtype=float32)
    """
    explaining = Explaining.checked("guided_backprop", fun, at, by, source, argnums)

    def back(result: Any, delta: Any) -> Any:
        return jnp.where(result > 0, jnp.maximum(delta, 0), 0)

    return through_relus(explaining, others, back)
