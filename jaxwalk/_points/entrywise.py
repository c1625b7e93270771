"""Which equations work entry by entry, and which of their values are made of numbers alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._jax.jaxpr import jaxprs, kinds, primitives, types
from .._jax.jaxpr.jaxprs import is_literal

if TYPE_CHECKING:
    from jax.extend.core import Jaxpr, JaxprEqn, Var

CALLS = ("jit", "checkpoint", "custom_jvp", "custom_vjp")
_OF_ENTRIES = frozenset(
    (*primitives.UNARY, *primitives.BINARY, *primitives.LOGICAL)
    + ("integer_pow", "round", "clamp", "select_n", "convert", "reduce_precision", "copy")
)


class Entrywise:
    """Tells of an equation, or of a call of a function, whether it works entry by entry."""

    def __init__(self) -> None:
        self.kind_of, self.name_of = kinds.kinds(), primitives.names()

    def __call__(self, eqn: JaxprEqn) -> bool:
        """Tell whether each entry of the results is a function of the entries at its own place."""
        if eqn.effects:
            return False
        if self.kind_of(eqn) in CALLS:
            return all(self._is_within(closed.jaxpr, eqn) for closed in jaxprs.jaxprs_of(eqn)[:1])
        return self.name_of(eqn) in _OF_ENTRIES or self.kind_of(eqn) == "name"

    def _is_within(self, jaxpr: Jaxpr, call: JaxprEqn) -> bool:
        shapes = {types.type_of(v).shape for v in call.outvars}
        constants = {v for v in jaxpr.invars if types.type_of(v).shape == ()}
        for eqn in jaxpr.eqns:
            if eqn.invars and all(is_literal(v) or v in constants for v in eqn.invars):
                constants.update(eqn.outvars)  # of scalars alone, as what `jnp.where` fills in
            elif not (self(eqn) and {types.type_of(v).shape for v in eqn.outvars} <= shapes):
                return False
        return True


def constants_of(jaxpr: Jaxpr) -> dict[Var, int]:
    """Return the results that are made of nothing but numbers written into a jaxpr, and by which equation."""
    found: dict[Var, int] = {}
    for index, eqn in enumerate(jaxpr.eqns):
        if eqn.invars and not eqn.effects and all(is_literal(v) or v in found for v in eqn.invars):
            found.update(dict.fromkeys(eqn.outvars, index))
    return found
