"""A `shard_map` in a `shard_map` in a function that is differentiated: JAX cannot compile the derivative of some."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from ..._errors import ArgumentError, JaxwalkError, first_line
from ..._jax.jaxpr import jaxprs, kinds, types
from ..._jax.shards import shards_of

if TYPE_CHECKING:
    from jax.extend.core import Jaxpr


def check_nested_shards(jaxpr: Jaxpr, forward: Callable[..., tuple[Any, Any]], *primals: Any) -> None:
    """Refuse a function that has a shard_map in a checked one, and a derivative that JAX has no program for.

    JAX says so only when it compiles the program, and in words about its own insides. So it is asked beforehand: the
    backward pass is lowered, and not run. Inside a further shard_map, where that cannot be asked, nothing is refused.

    Arguments:
        forward: as `jax.vjp` takes it with `has_aux`.
        primals: what it is differentiated by.

    Raises:
        ArgumentError: JAX fails.
    """
    if not _is_nested(jaxpr, False, set()) or any(types.varying(jax.typeof(x)) for x in jax.tree.leaves(primals)):
        return

    def both(*primals: Any) -> Any:
        value, pullback, aux = jax.vjp(forward, *primals, has_aux=True)
        return value, aux, pullback(jax.tree.map(jnp.ones_like, value))

    try:
        jax.jit(both).lower(*jax.tree.map(lambda x: types.struct(jax.typeof(x)), primals))
    except (TypeError, ValueError, NotImplementedError) as error:
        if isinstance(error, JaxwalkError):
            raise
        raise ArgumentError(
            "`fun` has a `jax.shard_map` inside one with `check_vma=True`, and JAX cannot compile a derivative through"
            f" it ({first_line(error)}); give the outer one `check_vma=False`, or divide over all axes in one."
        ) from error


def _is_nested(jaxpr: Jaxpr, inside: bool, met: set[tuple[int, bool]]) -> bool:
    """Tell whether there is a shard_map in a checked one; `inside`: whether the jaxpr is in one already."""
    if (id(jaxpr), inside) in met:
        return False
    met.add((id(jaxpr), inside))
    kind_of = kinds.kinds()
    for eqn in jaxpr.eqns:
        is_one = kind_of(eqn) == "shard_map"
        if is_one and inside:
            return True
        within = inside or (is_one and shards_of(eqn).checked)
        if any(_is_nested(closed.jaxpr, within, met) for closed in jaxprs.jaxprs_of(eqn)):
            return True
    return False
