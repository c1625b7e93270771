"""What `guided_backprop` and `deconvolution` share: walks with another way back through relus."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..._depth import deep_calls
from ..._errors import ArgumentError, argument, counted, shown
from .._attribution import Attribution
from .._explaining import Explaining
from .analysis.place import Place
from .analysis.relus import is_relu
from .run import Examined, replaced_by


def through_relus(explaining: Explaining, others: str, back: Callable[[Any, Any], Any]) -> Callable[..., Attribution]:
    """Return what attributes by δ, where at each relu goes back what `back` makes of (result, δ)."""
    if others not in ("refuse", "plain"):
        raise ArgumentError(f'`others` is {shown(others)}; it is "refuse" or "plain".')

    @deep_calls()
    def explain(*args: Any) -> Attribution:
        examined = Examined.of(explaining, args)
        functions = [place for place in examined.places if place.kind == "function"]
        relus = [place for place in functions if is_relu(place)]
        _check(explaining.method, functions, relus, others)
        found = examined.walk(
            replaced_by(place, lambda operands, results, _, cts: [back(results[0], cts[0])]) for place in relus
        )
        scores = {name: found.deltas[name] for name in found.deltas.once()}
        return explaining.attribution(found.value, scores, found.grads, found.points)

    return explaining.explained(explain)


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
            ' their derivative, give `others="plain"`, or use `deep_lift`.'
        )


def _listed(said: Sequence[str], most: int = 3) -> str:
    each = list(dict.fromkeys(said))
    more = f" and {counted(len(each) - most, 'other')}" if len(each) > most else ""
    return ", ".join(each[:most]) + more
