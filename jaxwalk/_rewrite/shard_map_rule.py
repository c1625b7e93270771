"""The rule of `jax.shard_map`: what happens at a point inside goes in, and comes out, stacked shard by shard.

A value that varies over axes of the mesh is one value a shard, so the leading axes of what belongs to it are these
axes; a value that does not vary is one value, and goes in and out as it is. The cotangent of a slot that is stacked so
is δ, by JAX's own transposition of `shard_map`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax

from .._jax.shards import shards_of, specs_of, unstacked

if TYPE_CHECKING:
    from jax.extend.core import JaxprEqn

    from .rules import Body, Payload, Records, Result


def over_shards(eqn: JaxprEqn, body: Body, args: Sequence[Any], payload: Payload) -> Result:
    """Return the results of a shard_map equation and the records of the points within it."""
    shards = shards_of(eqn)
    over = {name: shards.varying(value) for name, value in body.values.items()}

    def inner(payload: Payload, *args: Any) -> Result:
        outs, records = body.run(_mapped(unstacked, payload, over), args)
        return outs, _mapped(shards.stack, records, over)

    specs = lambda names: {name: jax.sharding.PartitionSpec(*over[name]) for name in names}
    own = body.own(payload)
    into, out = specs_of(eqn)
    again = shards.again(inner, (specs(own), *into), (list(out), specs(body.records)))
    return again(own, *args)


def _mapped(move: Callable, trees: Records, over: Mapping[str, Sequence[str]]) -> Records:
    """Return what `move(leaf, axes)` makes of every leaf, by name."""
    return {name: jax.tree.map(functools.partial(move, over=over[name]), tree) for name, tree in trees.items()}
