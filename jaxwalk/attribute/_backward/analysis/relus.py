"""Which functions are relus: told by what they make of a few numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from ...._jax.jaxpr import jaxprs, kinds, primitives
from ...._jax.jaxpr.jaxprs import Closed, is_literal
from ...._points.entrywise import CALLS
from .place import Place

if TYPE_CHECKING:
    from jax.extend.core import JaxprEqn

_NUMBERS = (-100.0, -3.0, -0.5, -1e-3, 0.0, 1e-3, 0.5, 3.0, 100.0)
_LAYOUT = ("broadcast_in_dim", "reshape", "squeeze")


def is_relu(place: Place) -> bool:
    """Tell whether a function is max(x, 0): of some numbers it makes what that makes of them, and reads no others."""
    if place.kind != "function" or len(place.reads) != 1:
        return False
    dtype = place.closed.jaxpr.invars[0].aval.dtype  # type: ignore[attr-defined]
    if not jnp.issubdtype(dtype, jnp.floating):
        return False
    with jax.ensure_compile_time_eval():
        numbers = [np.asarray(number, dtype) for number in _NUMBERS]
        return all(np.asarray(_of_number(place.closed, [x])[0]) == np.maximum(x, 0) for x in numbers)


def _of_number(closed: Closed, args: Sequence[Any]) -> list[Any]:
    """Compute a program that works entry by entry, of numbers in the place of arrays."""
    env: dict[Any, Any] = dict(zip(closed.jaxpr.invars, args, strict=True))
    read = lambda v: jaxprs.literal_array(v) if is_literal(v) else env[v]
    for eqn in closed.jaxpr.eqns:
        env.update(zip(eqn.outvars, _through(eqn, [read(v) for v in eqn.invars]), strict=True))
    return [read(v) for v in closed.jaxpr.outvars]


def _through(eqn: JaxprEqn, values: Sequence[Any]) -> list[Any]:
    if kinds.kinds()(eqn) in CALLS:
        return _of_number(jaxprs.jaxprs_of(eqn)[0], values)
    if kinds.kinds()(eqn) == "name" or primitives.names()(eqn) in _LAYOUT:
        return [values[0]]
    return jaxprs.apply(eqn, values)
