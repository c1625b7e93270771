"""What `guided_backprop` and `deconvolution` share: walks with another way back through relus."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp

from ..._depth import deep_calls
from ..._errors import ArgumentError, argument, counted, shown
from ..._rewrite.substitute import Back
from .._attribution import Attribution
from .._explaining import Explaining
from .analysis.place import Place
from .analysis.relus import Relu, relu_of
from .run import Examined, replaced_by


def through_relus(explaining: Explaining, others: str, back: Callable[[Any, Any], Any]) -> Callable[..., Attribution]:
    """Return what attributes by δ, where at each relu goes back what `back` makes of (result, δ)."""
    if others not in ("refuse", "plain"):
        raise ArgumentError(f'`others` is {shown(others)}; it is "refuse" or "plain".')

    @deep_calls()
    def explain(*args: Any) -> Attribution:
        examined = Examined.of(explaining, args)
        functions = [place for place in examined.places if place.kind in ("function", "other")]
        found_relus = [(place, relu) for place in functions if (relu := relu_of(place)) is not None]
        _check(explaining.method, functions, [place for place, _ in found_relus], others)
        found = examined.walk(replaced_by(place, _way_back(relu, back)) for place, relu in found_relus)
        scores = {name: found.deltas[name] for name in found.deltas.once()}
        return explaining.attribution(found.value, scores, found.grads, found.points)

    return explaining.explained(explain)


def _way_back(relu: Relu, back: Callable[[Any, Any], Any]) -> Back:
    """Return the way back through a relu, to which its factor, and the cut at its ceiling, are linear, or flat."""

    def through(operands: Sequence[Any], results: Sequence[Any], _: Any, cotangents: Sequence[Any]) -> list[Any]:
        result, delta = results[0], cotangents[0]
        delta = delta if relu.scale == 1 else delta * jnp.asarray(relu.scale, delta.dtype)
        gone = back(result, delta)
        top = jnp.asarray(relu.scale * relu.ceiling, result.dtype)
        return [gone if relu.ceiling == math.inf else jnp.where(result < top, gone, jnp.zeros_like(gone))]

    return through


def _check(method: str, functions: Sequence[Place], relus: Sequence[Place], others: str) -> None:
    """Refuse a function without a relu, and one with other activations, unless these are left as they are."""
    rest = [place.said for place in functions if place not in relus]
    if not relus:
        instead = f" (but {_listed(rest)})" if rest else ""
        raise ArgumentError(
            f"`{method}` changes what goes back through relus, and `{argument('fun')}` has none that what is explained"
            f" reaches{instead}; use `saliency` or `deep_lift`."
        )
    if rest and others == "refuse":
        raise ArgumentError(
            f"`{method}` has a rule for relus alone, and `{argument('fun')}` has {_listed(rest)} too; to leave these"
            ' their derivative, give `others="plain"`; write what is a relu as `jax.nn.relu`; or use `deep_lift`.'
        )


def _listed(said: Sequence[str], most: int = 3) -> str:
    each = list(dict.fromkeys(said))
    more = f" and {counted(len(each) - most, 'other')}" if len(each) > most else ""
    return ", ".join(each[:most]) + more
