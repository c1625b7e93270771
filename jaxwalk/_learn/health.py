"""`health`: what is wrong with the flow of a walk, of a dataset, or of a training, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._evaluate.result.evaluation import Evaluation
from .._health.finding import Health
from .._health.judge import judge
from .._walk.result import Walk
from .history import History
from .seen import Seen
from .to_signals import signals_of


def health(result: Walk | Evaluation | History | Seen | Sequence[Seen] | Any, **thresholds: Any) -> Health:
    """Return what is wrong with the flow, the gravest first; empty is healthy.

    A finding on a training holds in most of the later half of its steps; one on a stack of layers is one, not twelve.
    Sizes of δ are compared over depth and over steps, never with an absolute number.

    Arguments:
        result: a walk, with its arrays or with `keep=jw.stats.health`; an evaluation with `keep=jw.stats.health`; the
            history of a training, or all that `jw.learn` returns; what one watched step has seen, a list of these, or
            several stacked by `lax.scan`.
        **thresholds: by name, as `dead_share=0.3`; False under the name of a rule, as `unused=False`, leaves it out.

            - `overflow_share=0`, `underflow_share=0.1`: of δ in float16 or bfloat16 (Micikevicius et al., 2018).
            - `exploding_fold=1000`, `vanishing_fold=1000`: ‖δ‖ at one end of a stack over that at the other, by the
              slope of log ‖δ‖ of Theil and Sen (of the effect: Glorot and Bengio, 2010). `exploding_trend=1000`,
              `vanishing_trend=1000`: over the steps; for the second, the loss has not halved.
            - `dead_active=0.01`, `dead_share=0.5`: of the data, and of the units (SageMaker Debugger, DeadRelu).
            - `saturated_share=0.5`: of the entries, or of the rows of a softmax (SageMaker Debugger,
              SaturatedActivation); of a causal mask's rows no more than half have one entry.
            - `update_least=1e-8`, `update_most=10`: ‖update‖/‖w‖ (SageMaker Debugger, WeightUpdateRatio).
              `update_once=1`: of most arrays in one step, from which the training does not recover.
              `update_growth=1000`: of it over the steps, where it ends above 0.1.
            - `initialisation_fold=100`: the std of outputs at one end of a stack over that at the other (He et al.,
              2015).
            - `stalled_fall=0.01`: of the loss, in 50 steps or more. `negative_loss_least=0`: the loss.

    Returns:
        Health: a tuple of `Finding`, which shows itself as a table; `notes` tell what was not looked for.

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
    found = judge(signals_of(result), thresholds)
    result = getattr(result, "history", result)
    if not isinstance(result, History) or found.named("nonfinite") or thresholds.get("nonfinite") is False:
        return found
    return Health([*result.findings.named("nonfinite"), *found], found.notes, found.about)
