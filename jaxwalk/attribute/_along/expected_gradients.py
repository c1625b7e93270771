"""`expected_gradients`: conductance, with baselines drawn from data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ..._callables import transform
from ..._errors import ArgumentError, argument, shown
from ..._jax.leaves import becomes_array
from ..._points.name_patterns import At
from ..._source.user_files import Source
from .._attribution import Attribution, change, total_of_all
from .._explaining import Explaining
from .batches import each
from .conductance import OF_INTEGERS
from .path import between
from .samples import check_key, mean_over_keys
from .sweep import moving


@transform
def expected_gradients(
    fun: Callable,
    at: At = None,
    *,
    by: str | None = None,
    source: Source = None,
    argnums: int | Sequence[int] = 0,
    baselines: Any,
    key: Any,
    samples: int = 100,
    batch_size: int = 1,
) -> Callable[..., Attribution]:
    """Attribute by expected gradients (Erion et al., arXiv 1906.10670), at all points in one sweep.

    The mean over baselines x' drawn from data, and α drawn from [0, 1], of ∂fun/∂y · dy/dα at x' + α(x − x'): of the
    inputs (x − x')·∂fun/∂x. The scores of the inputs add up, in the mean, to fun(x) less the mean of fun(x').

    Arguments:
        fun, at, by, source, argnums: as of `conductance`.
        baselines: as the arguments that `argnums` names, with an axis of data in front of every array.
        key: of `jax.random`.
        samples: how many draws: a walk and a forward derivative each.
        batch_size: how many draws are run at once, as of `conductance`; and of the baselines, for the gap. At the same
            key they are the same draws.

    Returns:
        A function of the arguments of `fun` that returns an `Attribution`. Its `gap` is what the scores of the inputs
        add up to less fun(x) − mean fun(x') over all baselines: it is that of a random sum, and falls with √samples.

    Raises:
        PointError: (when called) as of `jw.walk`.
        ArgumentError: `key`, `samples` or `batch_size` does not fit; (when called) `baselines` has another structure
            or shape.

    >>> import jax, jax.numpy as jnp, jaxwalk as jw
    >>> fun = lambda x: jnp.sum(jw.tag(3 * x, "thrice"))
    >>> data = jnp.array([[0.0, 1.0], [2.0, 1.0]])
    >>> found = jw.attribute.expected_gradients(fun, baselines=data, key=jax.random.key(0), samples=400)
    >>> bool(jnp.allclose(found(jnp.array([1.0, 2.0])).inputs, jnp.array([0.0, 3.0]), atol=0.3))
    True
    """
    explaining = Explaining.checked("expected_gradients", fun, at, by, source, argnums)
    check_key(key, samples, batch_size)

    def explain(*args: Any) -> Attribution:
        explaining.check_real_inputs(args, OF_INTEGERS)
        inputs = explaining.inputs(args)
        count = _count(baselines, inputs)
        whole = explaining.walk(*args)

        def drawn(key: Any) -> Any:
            which, where = jax.random.split(key)
            row = jax.random.randint(which, (), 0, count)
            start = jax.tree.map(lambda b, x: jnp.asarray(b)[row].astype(jnp.result_type(x)), baselines, inputs)
            place, direction = between(start, inputs)
            return moving(explaining, explaining.with_inputs(args, place(jax.random.uniform(where))), direction)

        scores, of_inputs = mean_over_keys(drawn, key, samples, batch_size)
        value = lambda start: explaining.fun(*explaining.with_inputs(args, start))
        others = each(value, jax.tree.map(jnp.asarray, baselines), batch_size)
        gap = total_of_all(of_inputs) - jnp.mean(change(others, whole.value))
        return explaining.attribution(whole.value, scores, of_inputs, whole.points, gap)

    return explaining.explained(explain)


def _count(baselines: Any, inputs: Any) -> int:
    """Return how many baselines there are."""
    fix = "give what the argument is, with an axis of data in front"
    if jax.tree.structure(baselines) != jax.tree.structure(inputs):
        raise ArgumentError(f"`{argument('baselines')}` is {shown(baselines)}, of another structure; {fix}.")
    if wrong := [b for b in jax.tree.leaves(baselines) if not becomes_array(b)]:
        raise ArgumentError(f"`{argument('baselines')}` has {shown(wrong[0])}, which is no array of numbers; {fix}.")
    pairs = list(zip(jax.tree.leaves(baselines), jax.tree.leaves(inputs), strict=True))
    counts = {jnp.shape(b)[0] for b, x in pairs if jnp.shape(b)[1:] == jnp.shape(x) and jnp.ndim(b) == jnp.ndim(x) + 1}
    if len(counts) != 1 or any(jnp.shape(b)[1:] != jnp.shape(x) for b, x in pairs) or 0 in counts:
        given, its = ([jnp.shape(pair[i]) for pair in pairs] for i in (0, 1))
        raise ArgumentError(f"`{argument('baselines')}` has the shapes {given}, and the argument {its}; {fix}.")
    if any(jnp.iscomplexobj(b) and not jnp.iscomplexobj(x) for b, x in pairs):
        raise ArgumentError(f"`{argument('baselines')}` is complex where the argument is real; give real numbers.")
    return counts.pop()
