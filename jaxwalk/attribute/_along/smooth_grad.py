"""`smooth_grad`: the mean δ around the inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ..._callables import transform
from ..._errors import ArgumentError, shown
from ..._points.name_patterns import At
from ..._source.user_files import Source
from .._attribution import Attribution
from .._explaining import Explaining, derivatives
from .samples import check_key, mean_over_keys


@transform
def smooth_grad(
    fun: Callable,
    at: At = None,
    *,
    by: str | None = None,
    source: Source = None,
    argnums: int | Sequence[int] = 0,
    key: Any,
    samples: int = 50,
    noise: float = 0.15,
    batch_size: int = 1,
) -> Callable[..., Attribution]:
    """Attribute by the mean δ over inputs with Gaussian noise (Smilkov et al., arXiv 1706.03825), at all points in one
    sweep, one walk for each sample. It promises no sum.

    Arguments:
        fun, at, by, source, argnums: as of `conductance`.
        key: of `jax.random`.
        samples: how many.
        noise: its standard deviation, as a share of the range (largest less smallest) of each array.
        batch_size: how many samples are run at once, as of `conductance`; at the same key they are the same samples.

    Returns:
        A function of the arguments of `fun` that returns an `Attribution`, whose `value` is that without noise.

    Raises:
        PointError: (when called) as of `jw.walk`.
        ArgumentError: `key`, `samples`, `noise` or `batch_size` does not fit; (when called) an argument is of integers.

    >>> import jax, jax.numpy as jnp, jaxwalk as jw
    >>> smooth = jw.attribute.smooth_grad(lambda x: jnp.sum(jw.tag(x**2, "square")), key=jax.random.key(0), samples=400)
    >>> bool(jnp.allclose(smooth(jnp.array([0.0, 1.0])).inputs, jnp.array([0.0, 2.0]), atol=0.1))
    True
    """
    explaining = Explaining.checked("smooth_grad", fun, at, by, source, argnums)
    check_key(key, samples, batch_size)
    if not isinstance(noise, (int, float)) or not 0 <= noise < float("inf"):
        raise ArgumentError(f"`noise` is {shown(noise)}; it is a share of the range of the inputs, at least 0.")

    def explain(*args: Any) -> Attribution:
        explaining.check_real_inputs(args, "noise is for arguments of floats")
        whole = explaining.walk(*args)

        def around(key: Any) -> Any:
            noisy = _noisy(key, explaining.inputs(args), noise)
            return derivatives(explaining.walk(*explaining.with_inputs(args, noisy)))

        scores, inputs = mean_over_keys(around, key, samples, batch_size)
        return explaining.attribution(whole.value, scores, inputs, whole.points)

    return explaining.explained(explain)


def _noisy(key: Any, inputs: Any, noise: float) -> Any:
    leaves, tree = jax.tree.flatten(inputs)
    keys = jax.random.split(key, len(leaves))
    spread = [noise * (jnp.max(jnp.real(x)) - jnp.min(jnp.real(x))) for x in leaves]
    each = zip(leaves, spread, keys, strict=True)
    return tree.unflatten([x + (s * jax.random.normal(k, jnp.shape(x))).astype(x.dtype) for x, s, k in each])
