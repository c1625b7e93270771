"""The walk in which relevance goes back: by δ′, whose product with a value is the relevance of that."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..._errors import ArgumentError, argument
from ..._jax.jaxpr import jaxprs, primitives, types
from ..._jax.jaxpr.jaxprs import Closed
from ..._rewrite.substitute import Back, Substitute
from ..._walk.result import Walk
from ..._walk.walk import walk_staged
from .._explaining import Explaining
from . import relevance_rules as rules
from .analysis.place import Place
from .analysis.places import Analysed, analysed
from .layer_rules import LayerRule, back_through_layer
from .run import Traced, replaced_by

_CHOOSE = ("sort", "top_k", "approx_top_k", "select_n", "cond")  # where values go, which of them, which branch
_SELECT = ("max", "min", "select_n", "add", "sub", "neg", "convert", "copy", "name")


class Relevance(NamedTuple):
    """A traced function, as relevance goes through it.

    Attributes:
        held: the last equations of its softmaxes, which are held.
        mixing: by `id`, the equations that would be products of two values, were softmax not held.
        found: what there is else, with softmax held.
    """

    method: str
    function: Traced
    held: Sequence[Place]
    mixing: frozenset[int]
    found: Analysed

    @classmethod
    def of(cls, explaining: Explaining, args: Sequence[Any]) -> Relevance:
        """Trace a function at its arguments.

        Raises:
            ArgumentError: its result depends on what is explained through softmaxes alone.
        """
        function = Traced.of(explaining, args)
        closed, explained, chosen = function.staged.closed, function.explained, function.points
        first = analysed(closed, explained, chosen, softmax_alone=True)
        held = [place for place in first.places if place.kind == "softmax"]
        found = analysed(closed, explained, chosen, held=[place.site for place in held])
        if first.is_explained[0] and not found.is_explained[0]:
            raise ArgumentError(
                f"`{explaining.method}` holds softmax, and the result of `{argument('fun')}` depends on what is"
                f" explained through {held[-1].said} alone; return a logit instead."
            )
        mixing = frozenset(id(place.eqn) for place in first.places if place.kind == "product")
        return cls(explaining.method, function, held, mixing, found)

    def walk(self, rule_of: Callable[[Place], LayerRule | None]) -> Walk:
        """Walk it, with the rule of each layer; None for the plain gradient."""
        substitutes = [_with_held(place, range(len(place.reads))) for place in self.held]
        for place in self.found.places:
            if place.kind == "normalisation":
                _, factor = (i for i, is_active in enumerate(place.active) if is_active)
                substitutes.append(_with_held(place, [factor]))
            elif (way_back := self._way_back(place, rule_of)) is not None:
                substitutes.append(replaced_by(place, way_back))
        return walk_staged(self.function.staged, self.function.points, None, substitutes=substitutes)

    def _way_back(self, place: Place, rule_of: Callable[[Place], LayerRule | None]) -> Back | None:
        """Return the way back through a place; None for the plain derivative."""
        match place.kind:
            case "layer":
                is_mixing = any(id(eqn) in self.mixing for eqn in place.closed.jaxpr.eqns)
                rule = None if is_mixing else rule_of(place)
                if rule is not None and rule.by_sign:
                    self._check_real(place, rule)
                return None if rule is None else back_through_layer(place.closed, place.active, rule)
            case "function":
                return rules.passed_through(place.closed, place.active)
            case "product" if place.name == "div":
                return rules.halved_quotient(place.closed, place.active)
            case "product":
                return rules.halved(place.closed, place.active)
            case "linear":
                return rules.plain(place.closed, place.active)
            case "maximum":
                return None
            case "binary" if _selects(place.closed):
                return None
            case "other" if place.name in _CHOOSE:
                return None
        raise ArgumentError(
            f"`{self.method}` has no rule for {place.said}, which reads values that depend on what is explained; put"
            " `jax.lax.stop_gradient` before it, which holds it, or take a method without rules, such as"
            " `jw.attribute.integrated_gradients`."
        )

    def _check_real(self, place: Place, rule: LayerRule) -> None:
        dtypes = [types.type_of(v).dtype for v in place.closed.jaxpr.invars]
        if any(jnp.issubdtype(dtype, jnp.complexfloating) for dtype in dtypes):
            raise ArgumentError(
                f'`{self.method}` has "{rule.name}" for the layer {place.said}, which is of complex numbers: their'
                ' contributions have no sign; take "epsilon" there.'
            )


def _with_held(place: Place, places: Collection[int]) -> Substitute:
    """Return what stands in for a place, with the operands at `places` held: nothing goes back to them."""

    def run(args: Sequence[Any], payload: Any) -> tuple[list[Any], None]:
        given = [_hold(value) if i in places else value for i, value in enumerate(args)]
        return jaxprs.evaluate(place.closed, given), None

    return Substitute(place.site, place.reads, run)


@jax.custom_jvp
def _hold(value: Any) -> Any:
    """Return a value, past which no derivative goes. A derivative of that sees the value move, as it would not what
    comes out of `stop_gradient`."""
    return value


_hold.defjvp(lambda primals, tangents: (primals[0], jnp.zeros_like(tangents[0])))


def _selects(closed: Closed) -> bool:
    """Tell whether a program only selects among values: its plain gradient gives all relevance to the selected."""
    name_of = primitives.names()

    def is_more(eqn: Any) -> bool:
        bodies = jaxprs.jaxprs_of(eqn)
        return not bodies and any(types.is_float(v.aval) for v in eqn.outvars) and name_of(eqn) not in _SELECT

    return not jaxprs.any_equation(closed.jaxpr, is_more)
