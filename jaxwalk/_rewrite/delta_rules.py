"""A rule for δ at a point: the identity, whose backward pass goes on with what the rule makes of (output, δ)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from .._errors import ArgumentError, shown
from .._jax.jaxpr import jaxprs, types
from .._jax.leaves import is_value
from .._jax.reach import Reach
from .._jax.shards import trace_inside
from .._points.point import Point


def delta_rule(point: Point, rule: Callable[[Any, Any], Any]) -> Callable[[jax.Array, jax.Array | None], jax.Array]:
    """Return an identity (x, whether the rule holds here; None for always) -> x that passes `rule(x, δ)` back.

    The rule is traced here, and what it closes over made an argument of the identity, as JAX asks of custom rules. The
    output is saved for the backward pass only if the rule looks at it.
    """
    closed, _ = trace_inside(point.loops, lambda x, ct: _as_delta(rule(x, ct), point), *[point.type] * 2)
    needs_output = bool(Reach().into(closed.jaxpr, (1,))[0][0])

    @jax.custom_vjp
    def through(x, holds, consts):
        return x

    def forward(x, holds, consts):
        return x, (x if needs_output else None, holds, consts)

    def backward(residual, ct):
        x, holds, consts = residual
        ruled = lambda ct: jaxprs.evaluate(
            closed._replace(consts=consts), [jnp.zeros_like(ct) if x is None else x, ct]
        )[0]
        moved = ruled(ct) if holds is None else lax.cond(holds, ruled, lambda ct: ct, ct)
        return moved, None, jax.tree.map(lambda _: None, consts)

    through.defvjp(forward, backward)
    return lambda x, holds: through(x, holds, list(closed.consts))


def _as_delta(new: Any, point: Point) -> jax.Array:
    """Return what a rule returned as an array; refuse one that cannot be δ of the point."""
    name, type = point.name, point.type
    if not is_value(new):
        raise ArgumentError(
            f"The rule in `deltas` for `{name}` returned {shown(new)}, which is not an array; return the new δ."
        )
    new = jnp.asarray(new)
    if (new.shape, new.dtype) != (type.shape, type.dtype):
        raise ArgumentError(
            f"The rule in `deltas` for `{name}` returned {new.dtype} of shape {new.shape}; δ there is {type.dtype} of"
            f" shape {type.shape}: return an array like it."
        )
    return types.as_varying(new, types.varying(type))
