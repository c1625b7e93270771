"""Which equation gives a softmax: JAX writes it out, as exp(x) / Σ exp(x)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .._jax.jaxpr import call_parameters, jaxprs, types
from .._jax.jaxpr.jaxprs import is_literal
from .entrywise import CALLS

if TYPE_CHECKING:
    from jax.extend.core import Jaxpr, JaxprEqn, Literal, Var

Told = Callable[["JaxprEqn"], str | None]
_AS_IT_IS = ("broadcast_in_dim", "reshape", "squeeze", "convert", "copy", "stop_gradient")


def is_softmax(jaxpr: Jaxpr, v: Var | Literal, kind_of: Told, name_of: Told) -> bool:
    """Tell whether a value is a softmax along its last axis, of which every entry is there, in whatever dtype."""
    made_by: dict[Var | Literal, JaxprEqn] = {out: eqn for eqn in jaxpr.eqns for out in eqn.outvars}

    def maker(v: Var | Literal) -> JaxprEqn | None:
        """Return the equation that makes a value, before it is laid out or converted."""
        while (eqn := None if is_literal(v) else made_by.get(v)) is not None and name_of(eqn) in _AS_IT_IS:
            v = eqn.invars[0]
        return eqn

    eqn = maker(v)
    if eqn is None:
        return False
    if kind_of(eqn) in CALLS:
        inner = jaxprs.jaxprs_of(eqn)[0].jaxpr
        places = [place for place, out in enumerate(eqn.outvars) if types.is_array_type(out.aval)]
        return len(places) == 1 and is_softmax(inner, inner.outvars[places[0]], kind_of, name_of)
    if name_of(eqn) != "div":
        return False
    part, total = map(maker, eqn.invars)
    if part is None or total is None or name_of(part) != "exp" or name_of(total) != "reduce_sum":
        return False
    last = len(types.type_of(total.invars[0]).shape) - 1
    return maker(total.invars[0]) is part and tuple(call_parameters.reduced_axes(total)) == (last,)
