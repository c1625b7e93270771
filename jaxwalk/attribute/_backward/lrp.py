"""`lrp`: layer-wise relevance propagation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..._callables import transform
from ..._errors import ArgumentError, argument, shown
from ..._points.name_patterns import At
from ..._source.user_files import Source
from .._attribution import Attribution, total_of_all
from .._explaining import Explaining, times
from .chosen_layers import rules_by_layer
from .named_rules import NamedRule, RuleNames
from .relevance import Relevance


@transform
def lrp(
    fun: Callable,
    at: At = None,
    *,
    by: str | None = None,
    source: Source = None,
    argnums: int | Sequence[int] = 0,
    rule: NamedRule = "epsilon",
    epsilon: float = 1e-6,
    gamma: float = 0.25,
    alpha: float = 2.0,
    rules: Mapping[str, NamedRule] | None = None,
) -> Callable[..., Attribution]:
    """Attribute by layer-wise relevance propagation (Bach et al. 2015, doi:10.1371/journal.pone.0130140): relevance is
    the result, shared out backward among what each value is made of. One walk.

    A score is output·δ′, where δ′ goes back by other rules than δ. Through a **layer**, z = Σ w·x + b, a dot or a
    convolution of what depends on the inputs with weights that do not, with the bias added to it, by `rule`:

    - "epsilon": w·x / (z + ε·sign z) of the relevance of z to each x. With ε = 0 δ′ is δ, as of a function without
      layers.
    - "gamma": contributions w·x of the sign of z, and b if it has that, count 1 + γ times (Montavon et al. 2019,
      doi:10.1007/978-3-030-28954-6_10; for inputs of both signs Andéol et al., arXiv 2106.13056 is generalised so).
    - "z_plus": all to the positive contributions (Montavon et al., arXiv 1512.02479).
    - "alpha_beta": α of it to the positive ones, 1 − α to the negative ones (Bach et al.).

    Where z is 0 its relevance is 0, and nothing goes back; nor to contributions of one sign where there are none. Where
    x is 0 its relevance is 0; δ′ there is that of the x above 0.

    Elsewhere: through a **function** of one value, entry by entry (relu, gelu, silu, x², written in whatever way), all
    relevance passes, by δ′·f(x)/x (where x is 0, δ′·f'(x)). Of a **product** or quotient of two values each has half.
    **Softmax** and what a **normalisation** divides by are held, taken as constants (Ali et al., arXiv 2202.07304), so
    that what a pattern weighs has all of a product with it. What is chosen has all: by a **maximum**, a sort, a
    `where`, a `cond`. What is linear has its plain gradient: sums share as they are summed.

    All adds up to the result, but for what constants have of it: the biases' shares of z, what is added else (as by a
    norm's shift), what comes of held values alone or out of a `stop_gradient` (as the maximum by which `logsumexp`
    shifts), and ε·sign z. `gap` is Σ inputs − fun(x). Of arguments of integers, such as tokens, relevance goes back to
    the points.

    Arguments:
        fun: a function whose result, a real scalar, is explained: the score of a class, before any softmax.
        at, by, source, argnums: as of `jw.walk`. A point between a product and its bias divides them: that bias is then
            no part of the layer.
        rule: of all layers: a name; or a pair of it and its number, ("gamma", 0.1).
        epsilon, gamma, alpha: the number of each rule where none is given with it; of a rule that is nowhere given so,
            another number than the default is refused.
        rules: by point name or glob, as in `at` (of all points of `fun`), another rule for some layers: for those whose
            result the point is, or comes of by functions, maxima and movements of it alone; and for those in its scope.
            Of several patterns for a layer the last holds.

    Returns:
        A function of the arguments of `fun` that returns an `Attribution`. There is no forward mode through it.

    Raises:
        PointError: (when called) as of `jw.walk`; a pattern of `rules` fits no point, or chooses no layer.
        ArgumentError: a rule is none of these, or its number does not fit, or a number is of no rule; (when called) an
            equation has no rule, such as a `pow` or a `while_loop` of values that depend on the inputs: it says which,
            and where; a layer is of complex numbers, and its rule asks for their sign; the result comes out of
            softmaxes alone.

    >>> import jax, jax.numpy as jnp, jaxwalk as jw
    >>> def score(x):
    ...     hidden = jw.tag(jax.nn.relu(jnp.array([[2.0, -1.0], [1.0, 1.0]]) @ x), "hidden")
    ...     return jnp.array([1.0, 2.0]) @ hidden
    >>> found = jw.attribute.lrp(score, rules={"hidden": "z_plus"})(jnp.array([2.0, 1.0]))
    >>> jnp.round(found.scores["hidden"], 4), jnp.round(found.inputs, 4)
    (Array([3., 6.], dtype=float32), Array([7., 2.], dtype=float32))
    """
    explaining = Explaining.checked("lrp", fun, at, by, source, argnums)
    names = RuleNames.checked(epsilon=epsilon, gamma=gamma, alpha=alpha)
    default, others = names.rule_of("rule", rule), names.rules_of({} if rules is None else rules)
    names.check_used(rule, rules or {})

    def explain(*args: Any) -> Attribution:
        relevance = Relevance.of(explaining, args)
        _check_layers(relevance, rule)
        by_layer = rules_by_layer(relevance.function.found, relevance.found, others)
        found = relevance.walk(lambda layer: by_layer.get(layer.site, default))
        scores = {name: times(delta, found.outputs[name]) for name, delta in found.deltas.items()}
        inputs = None if found.grads is None else times(found.grads, explaining.inputs(args))
        gap = None if inputs is None else total_of_all(inputs) - found.value
        return explaining.attribution(found.value, scores, inputs, found.points, gap)

    return explaining.explained(explain)


def _check_layers(relevance: Relevance, rule: NamedRule) -> None:
    """Refuse a rule of layers where there is none: it would change nothing."""
    if rule != "epsilon" and not any(place.kind == "layer" for place in relevance.found.places):
        raise ArgumentError(
            f"`rule` is {shown(rule)}, a rule of layers, and `{argument('fun')}` has none, no dot and no convolution"
            ' with weights, that what is explained reaches; write products so, as `weights @ x`, or leave it "epsilon".'
        )
