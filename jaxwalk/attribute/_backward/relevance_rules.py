"""Rules by which relevance, value times δ′, goes back through what is not a layer: functions, products, normalisations.

Each is a way back: from the cotangents of the results to those of the operands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..._jax.jaxpr import jaxprs
from ..._jax.jaxpr.jaxprs import Closed
from ..._jax.jaxpr.types import widened
from ..._rewrite.substitute import Back


def passed_through(closed: Closed, active: Sequence[bool]) -> Back:
    """Return the way back through a function f of one value, entry by entry: δ′·f(x)/x, so that all relevance passes.

    Where x is 0, or so near to it that the quotient could overflow, it is δ′·f'(x), or 0 if that is not finite.
    """
    place = [*active].index(True)

    def back(operands: Sequence[Any], results: Sequence[Any], _: Any, cts: Sequence[Any]) -> list[Any]:
        x, found = operands[place], gradients(closed, active, operands, list(map(jnp.ones_like, cts)))
        is_near, slope = jnp.abs(x) <= np.sqrt(jnp.finfo(x.dtype).tiny), _wide(found[place])
        quotient = _wide(results[0]) / _wide(jnp.where(is_near, 1, x))
        found[place] = _wide(cts[0]) * jnp.where(is_near, jnp.where(jnp.isfinite(slope), slope, 0), quotient)
        return found

    return back


def halved(closed: Closed, active: Sequence[bool]) -> Back:
    """Return the way back through a product of two values: half of the relevance to each."""

    def back(operands: Sequence[Any], results: Sequence[Any], _: Any, cts: Sequence[Any]) -> list[Any]:
        return [None if ct is None else ct / 2 for ct in gradients(closed, active, operands, cts)]

    return back


def halved_quotient(closed: Closed, active: Sequence[bool]) -> Back:
    """Return the way back through a / b: a product of a and 1/b, through which relevance passes on to b."""
    above, below = (place for place, is_active in enumerate(active) if is_active)

    def back(operands: Sequence[Any], results: Sequence[Any], _: Any, cts: Sequence[Any]) -> list[Any]:
        found = gradients(closed, active, operands, cts)
        found[above], found[below] = found[above] / 2, -found[below] / 2
        return found

    return back


def plain(closed: Closed, active: Sequence[bool]) -> Back:
    """Return the way back of the plain derivative, to the active operands."""
    return lambda operands, results, _, cts: gradients(closed, active, operands, cts)


def gradients(closed: Closed, active: Sequence[bool], operands: Sequence[Any], cts: Sequence[Any]) -> list[Any]:
    """Return the plain cotangents of the active operands, and None for the others."""
    places = [place for place, is_active in enumerate(active) if is_active]

    def of(*values: Any) -> list[Any]:
        given = dict(zip(places, values, strict=True))
        return jaxprs.evaluate(closed, [given.get(i, o) for i, o in enumerate(operands)])

    found = dict(zip(places, jax.vjp(of, *(operands[i] for i in places))[1](list(cts)), strict=True))
    return [found.get(i) for i in range(len(operands))]


def _wide(x: Any) -> jax.Array:
    return x.astype(widened(x.dtype))
