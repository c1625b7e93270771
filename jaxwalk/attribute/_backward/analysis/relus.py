"""Which functions are relus, with a factor or a ceiling or without: told by what they make of a few numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ...._jax.jaxpr import jaxprs, kinds, primitives
from ...._jax.jaxpr.jaxprs import Closed, is_literal
from ...._points.entrywise import CALLS
from .place import Place

if TYPE_CHECKING:
    from jax.extend.core import JaxprEqn

_LAYOUT = ("broadcast_in_dim", "reshape", "squeeze")


class Relu(NamedTuple):
    """What a function is: scale · min(max(x, 0), ceiling)."""

    scale: float
    ceiling: float


def _numbers(dtype: Any) -> np.ndarray:
    """Return numbers of all sizes, four to each power of two, but for those near the least and the largest, where what
    is written as a sum under- or overflows."""
    info = jnp.finfo(dtype)
    powers = np.arange(4 * (info.minexp + info.nmant + 4), 4 * (info.maxexp - 4))
    sizes = np.asarray(2.0 ** (powers / 4), dtype)
    return np.concatenate([-sizes[::-1], np.zeros(1, dtype), sizes])


def is_relu(place: Place) -> bool:
    """Tell whether a function is a relu, in any way that `relu_of` knows."""
    return relu_of(place) is not None


def relu_of(place: Place) -> Relu | None:
    """Return as which relu a function computes, with its factor, as 2 of x + |x|, and its ceiling, as 6 of relu6; None
    if it is none: of some numbers it makes something else, or it reads others."""
    if place.kind != "function" or len(place.reads) != 1:
        return None
    dtype = place.closed.jaxpr.invars[0].aval.dtype  # type: ignore[attr-defined]
    if not jnp.issubdtype(dtype, jnp.floating):
        return None
    with jax.ensure_compile_time_eval():
        of_one = lambda number: _of_number(place.closed, [number])[0]
        of = lambda number: float(of_one(np.asarray(number, dtype)))
        largest = float(jnp.finfo(dtype).max)
        scale, top = 2 * of(0.5), of(largest)
        if not scale > 0:
            return None
        ceiling = top / scale if top < scale * largest else math.inf
        if not (1 / 16 < scale < 16 and of(-3.0) == 0):
            return None
        numbers = _numbers(dtype)
        found = np.asarray(jax.vmap(of_one)(jnp.asarray(numbers)), float)
        expected = scale * np.clip(numbers.astype(float), 0, ceiling)
        is_one = np.allclose(found, expected, rtol=4 * float(jnp.finfo(dtype).eps), atol=0)
        return Relu(scale, ceiling) if is_one and ceiling > 0 else None


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
    name = primitives.names()(eqn)
    is_constant_laid_out = name in _LAYOUT or (name is None and len(values) == 1)  # or varies over a mesh
    if kinds.kinds()(eqn) == "name" or is_constant_laid_out:
        return [values[0]]
    return jaxprs.apply(eqn, values)
