"""`health`: what is wrong with the flow of a walk, of a dataset, or of a training, in words."""

from __future__ import annotations

from typing import Any

from .._evaluate.result.evaluation import Evaluation
from .._health.finding import Health
from .._health.judge import judge
from .._walk.result import Walk
from .history import History
from .seen import Seen
from .to_signals import signals_of


def health(result: Walk | Evaluation | History | Seen, **thresholds: Any) -> Health:
    """Return what is wrong with the flow, the gravest first; empty is healthy.

    Arguments:
        result: a walk, with its arrays or with `keep=jw.stats.health`; an evaluation with `keep=jw.stats.health`; the
            history of a training; or what one watched step has seen, or several stacked by `lax.scan`.
        **thresholds: by name, as `dead_share=0.3`; False under the name of a rule, as `unused=False`, leaves it out.

    >>> import jax, jax.numpy as jnp, jaxwalk as jw
    >>> def loss(weights, x):
    ...     layer = lambda x, w: (jw.tag(jax.nn.sigmoid(x @ w), "layer"), None)
    ...     return jnp.mean(jax.lax.scan(layer, x, weights)[0] ** 2)
    >>> weights = jax.random.normal(jax.random.key(0), (12, 8, 8)) / 8**0.5
    >>> [finding.name for finding in jw.health(jw.walk(loss)(weights, jnp.ones((4, 8))))]
    ['vanishing']

    Raises:
        ArgumentError: it is none of these, or is being traced; or there is no such threshold, or it is no number that
            it can be.
    """
    return judge(signals_of(result), thresholds)
