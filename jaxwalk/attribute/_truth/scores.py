"""The scores of an attribution that are looked at: of the inputs, or at points; and what they are of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..._errors import ArgumentError, PointError, argument, listed, shown
from ..._jax.leaves import flatten
from ..._points.name_patterns import At, choose
from ..._show.table import is_readable, number
from .._attribution import Attribution, total_of_all
from .._explaining import Explaining

# What a score is of. By this, what is lost where an entry moves can be compared with it.
KINDS = {
    "slope": "what a unit of the entry does",
    "value": "what the entry does as against zero",
    "baseline": "what the entry does as against its value at the baseline",
    "other": "what the entry's value in another run would add",
}
_KIND_OF = {
    "saliency": "slope",
    "internal_influence": "slope",
    "smooth_grad": "slope",
    "guided_backprop": "slope",
    "deconvolution": "slope",
    "gradient_times_output": "value",
    "lrp": "value",
    "conductance": "baseline",
    "integrated_gradients": "baseline",
    "deep_lift": "baseline",
    "patching": "other",
    "relevance_patching": "other",
}
_VMAP = ", and for a batch `jax.vmap` of both: `jax.vmap(lambda found, x: MEASURE(found, fun)(x))(found, x)`."


def check_attribution(attribution: Any) -> None:
    if not isinstance(attribution, Attribution):
        raise ArgumentError(
            f"`attribution` is {shown(attribution)}; give the `Attribution` that a method of `jw.attribute` returned."
        )


def check_value(attribution: Attribution, value: Any) -> None:
    """Refuse an attribution of another result than what the function has. Of what is traced nothing is known.

    Raises:
        ArgumentError: it is of other arguments, or of another function.
    """
    _check_alike(attribution.value, value, attribution, "explains a result of", "the function and the arguments")


def check_inputs(attribution: Attribution, explaining: Explaining, args: Sequence[Any]) -> None:
    """Refuse an attribution whose inputs are other arguments than those that `argnums` names.

    Raises:
        ArgumentError: they are.
    """
    mine, its = ([i % len(args) for i in each] for each in (explaining.positions, attribution.argnums))
    if attribution.inputs is not None and mine != its:
        raise ArgumentError(
            f"`{argument('attribution')}` has scores of the arguments {shown(attribution.argnums)}, and"
            f" `{argument('argnums')}` is {shown(explaining.argnums)}; give those that it is of."
        )


def check_change(attribution: Attribution, change: Any) -> None:
    """Refuse an attribution whose scores promise another change of the result than that from this baseline.

    Raises:
        ArgumentError: it is of another baseline.
    """
    if attribution.gap is not None and _KIND_OF.get(attribution.method) == "baseline":
        promised = total_of_all(attribution.inputs) - attribution.gap
        _check_alike(promised, change, attribution, "is of a change of the result by", "the `baseline`")


def _check_alike(mine: Any, its: Any, attribution: Attribution, what: str, fix: str) -> None:
    if not (is_readable(mine) and is_readable(its)) or jnp.shape(mine) or jnp.shape(its):
        return
    rounding = float(jnp.finfo(jnp.result_type(attribution.value)).eps) ** 0.5
    if not np.isclose(float(mine), float(its), rtol=rounding, atol=rounding, equal_nan=True):
        raise ArgumentError(
            f"`{argument('attribution')}` {what} {number(mine)}, and here it is {number(its)}; give {fix} that it is"
            " of."
        )


def kind_of(attribution: Attribution, given: str | None) -> str:
    """Return what the scores are of, as a key of `KINDS`: by their method, or as given."""
    kinds = ", ".join(map(repr, KINDS))
    if given is not None and given not in KINDS:
        raise ArgumentError(f"`scores` is {shown(given)}; it is one of {kinds}, or None.")
    kind = given or _KIND_OF.get(attribution.method)
    if kind is None:
        raise ArgumentError(
            f"`{argument('attribution')}` is of `{attribution.method}`, whose scores are not known to be of one entry"
            f" and one move; say what they are of by `{argument('scores')}`, one of {kinds}."
        )
    return kind


def sign_of(attribution: Attribution) -> int:
    """Return 1 if a score says what is lost without the entry, −1 if it says what is won by its change."""
    return -1 if _KIND_OF.get(attribution.method) == "other" else 1


def names_at(attribution: Attribution, at: At) -> list[str]:
    """Return which points with scores `at` names, each value by one name.

    Raises:
        PointError: there are none.
    """
    chosen = choose(attribution.points, at)
    same = attribution.points.same()
    wanted = {same.get(name, name) for name in chosen}
    names = [name for name in attribution.scores.once() if same.get(name, name) in wanted]
    if not names:
        raise PointError(f"There are no scores at {listed(chosen)}. {attribution.scores.why_empty()}")
    return names


def name_at(attribution: Attribution, at: At) -> str:
    """Return which point with scores `at` names, the only one.

    Raises:
        PointError: there is none.
        ArgumentError: there are several.
    """
    names = names_at(attribution, at)
    if len(names) > 1:
        raise ArgumentError(
            f"`{argument('at')}` is {shown(at)}, which is {listed(names, 4)}; give the name of one point."
        )
    return names[0]


def scores_of_inputs(attribution: Attribution, shapes: Sequence[tuple[int, ...]]) -> list[jax.Array]:
    """Return the scores of the inputs, as an array for each of these.

    Raises:
        ArgumentError: there are none, or they are of other shapes.
    """
    if attribution.inputs is None:
        raise ArgumentError(
            f"`{argument('attribution')}` has no scores of the inputs, which are of integers, or of which"
            f" `{attribution.method}` has none; name a point by `{argument('at')}`."
        )
    scores, _ = flatten(attribution.inputs)
    mine = [jnp.shape(x) for x in scores]
    if mine != list(shapes):
        raise ArgumentError(
            f"`{argument('attribution')}` has scores of inputs of the shapes {mine}, and the arguments have"
            f" {list(shapes)}; give the arguments and the `{argument('argnums')}` that it is of{_VMAP}"
        )
    return list(scores)


def scores_at(attribution: Attribution, name: str, *shapes: tuple[int, ...]) -> jax.Array:
    """Return the scores at a point, of one of these shapes.

    Raises:
        ArgumentError: they are of another one.
    """
    scores = attribution.scores[name]
    if scores.shape not in shapes:
        raise ArgumentError(
            f"`{argument('attribution')}` has scores of shape {scores.shape} at `{name}`, where the value has"
            f" {shapes[0]}; give a score for each entry, of these arguments{_VMAP}"
        )
    return scores


def by_step(attribution: Attribution, name: str) -> jax.Array:
    """Return the scores at a point with the axes of its loops, each step's flat.

    Raises:
        ArgumentError: they have not these axes.
    """
    scores, point = attribution.scores[name], attribution.points[name]
    lead = point.shape[: len(point.axes)]
    batched = scores.ndim > len(point.shape)
    if scores.shape[: len(lead)] != lead or batched:
        raise ArgumentError(
            f"`{argument('attribution')}` has scores of shape {scores.shape} at `{name}`, where the value has"
            f" {point.shape}; give it of these arguments{_VMAP}"
        )
    return scores.reshape(*lead, -1)
