"""`deep_lift`: how each value's difference from a baseline makes up the result's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ..._callables import transform
from ..._depth import deep_calls
from ..._errors import ArgumentError
from ..._jax.jaxpr.types import type_of
from ..._points.name_patterns import At
from ..._points.ordered_mapping import by_point
from ..._rewrite.substitute import Substitute
from ..._source.user_files import Source
from .._along.path import baseline_of
from .._attribution import Attribution, total_of_all
from .._explaining import Explaining, times
from .analysis.place import Place
from .differences import MOST, active_places, by_middle, by_softmax, by_turns, by_winners
from .run import Examined, replaced_by, without_rule

INSTEAD = "explain a result before it, or use `conductance`, which takes derivatives alone"

_RULES = {
    "function": by_turns,
    "binary": by_turns,
    "product": by_turns,  # a quotient
    "normalisation": by_turns,
    "softmax": by_softmax,
    "maximum": by_winners,
}


@transform
def deep_lift(
    fun: Callable,
    at: At = None,
    *,
    by: str | None = None,
    source: Source = None,
    argnums: int | Sequence[int] = 0,
    baseline: Any = None,
) -> Callable[..., Attribution]:
    """Attribute by DeepLIFT, by its rescale rule (Shrikumar et al., arXiv 1704.02685), at all points in one walk.

    The score of an entry is its part in how the result differs from what it is at the baseline: its own difference,
    (y − y'), times a multiplier δ', which goes back as δ does, but by differences in the place of derivatives. A run at
    the baseline, then a walk. The scores of the inputs add up to fun(x) − fun(x'), exactly; so do those at a layer that
    everything passes through.

    Through a function of one value, entry by entry, whether in one operation or many (relu, gelu, `where`), goes back
    Δy/Δx, or where Δx is no more than rounding, the derivative half way. Of a product or another function of two values
    each gets its Shapley value: of a·b, ½ (b + b')·Δa. Of a maximum, as in `shap` and captum, that which is the largest
    gets max(y, y') − y', and that which was, y − max(y, y'). Of a softmax, y = exp(z), goes back
    L·(δ' − ΣL·δ'/ΣL), with L = Δy/Δz. Of normalisations, products and their parts have the rules of these. Custom
    derivative rules have no say. By lines, a line that is asked for within an activation divides it.

    At zeros a normalisation divides by its ε alone, so that behind many of them multipliers grow beyond all numbers: of
    a transformer take another baseline than zeros, such as a mean of data.

    What is constant by `stop_gradient` gets nothing, though it may differ; nor does what an index or a boolean that is
    computed from many values decides: `gap` has it.

    Arguments:
        fun: a function whose result, a real scalar, is explained: a score, or a loss.
        at, by, source, argnums: as of `jw.walk`.
        baseline: of the arguments that `argnums` names, in their structure and shapes; or a function from them to that;
            None for zeros. Of integers, as tokens, others of the same shape (unless given, token 0 in each place, which
            the result says): then scores are at points alone, and what
            is not computed from the value at one counts as constant.

    Returns:
        A function of the arguments of `fun` that returns an `Attribution`; its `gap` is what the scores of the inputs
        add up to less fun(x) − fun(x'), which is rounding. There is no forward mode through it.

    Raises:
        PointError: (when called) as of `jw.walk`.
        ArgumentError: (when called) the baseline has another structure or shape; something on the way has no rule: a
            sort, the product of all entries, a `while_loop`, a branch that depends on what is explained.

    >>> import jax, jax.numpy as jnp, jaxwalk as jw
    >>> fun = lambda x: jnp.sum(jw.tag(jax.nn.relu(x - jnp.array([0.0, 1.5])), "unit") * 2)
    >>> found = jw.attribute.deep_lift(fun)(jnp.array([1.0, 2.0]))
    >>> found.scores["unit"], found.inputs, float(found.gap)
    (Array([2., 1.], dtype=float32), Array([2., 1.], dtype=float32), 0.0)
    """
    explaining = Explaining.checked("deep_lift", fun, at, by, source, argnums)

    @deep_calls()
    def explain(*args: Any) -> Attribution:
        against = explaining.against(baseline, args)
        start = explaining.with_inputs(args, baseline_of(baseline, explaining.inputs(args)))
        examined = Examined.of(explaining, args, through_maxima=True)
        ruled = [place for place in examined.places if place.kind != "layer"]
        standing_in = [_standing_in(place) for place in ruled]
        other = examined.record(explaining, start, [place for place in ruled if place.kind not in ("linear", "stop")])
        found = examined.walk(standing_in, other.reads)
        outputs = by_point(other.outputs, found.points)
        moved = {name: found.outputs[name] - outputs[name] for name in found.deltas.once()}
        scores = {name: times(found.deltas[name], move) for name, move in moved.items()}
        if found.grads is None:
            return explaining.attribution(found.value, scores, None, found.points, against=against)
        moves = jax.tree.map(lambda a, b: a - b, explaining.inputs(args), explaining.inputs(start))
        inputs = times(found.grads, moves)
        gap = total_of_all(inputs) - (found.value - other.value)
        return explaining.attribution(found.value, scores, inputs, found.points, gap, against=against)

    return explaining.explained(explain)


def _standing_in(place: Place) -> Substitute:
    """Return what stands in for a place, whose payload is what it read at the baseline."""
    if place.kind == "linear":
        return without_rule(place)
    if place.kind == "stop":
        return replaced_by(place, lambda operands, results, others, cotangents: cotangents)
    rule = _rule_of(place)
    return replaced_by(place, lambda operands, results, others, cts: rule(place, operands, others, cts[0]))


def _rule_of(place: Place) -> Callable[[Place, Sequence[Any], Sequence[Any], Any], list[Any]]:
    is_product = place.kind in ("product", "normalisation") and place.name != "div"
    reads = [place.reads[i] for i in active_places(place)]
    if not is_product and any(jnp.issubdtype(type_of(v).dtype, jnp.complexfloating) for v in reads):
        raise ArgumentError(
            f"`deep_lift` cannot divide differences of complex numbers, as {place.said} has; {INSTEAD}."
        )
    if place.kind == "other" or len(reads) > MOST:
        raise ArgumentError(f"`deep_lift` has no rule for {place.said}, which what is explained reaches; {INSTEAD}.")
    return by_middle if is_product else _RULES[place.kind]
