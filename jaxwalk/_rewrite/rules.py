"""How what happens at the points is carried through the equations that contain some: one rule a primitive.

A rule runs an equation again through JAX's public API, with two things threaded through it by point name:
what goes in to the points (`payload`: slots of taps, replacements) and what comes out of them (`records`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
from jax import lax

from .._jax.jaxpr import call_parameters, types
from .shard_map_rule import over_shards
from .while_rule import around_passes

if TYPE_CHECKING:
    from jax.extend.core import JaxprEqn

Payload = dict[str, Any]
Records = dict[str, Any]
Result = tuple[list[Any], Records]


class Body(NamedTuple):
    """A jaxpr inside an equation, ready to run: by name the types of the values at its points, and of what each of them
    records (maybe nothing)."""

    run: Callable[[Payload, Sequence[Any]], Result]
    values: Mapping[str, Any]
    records: Records

    def own(self, payload: Payload) -> Payload:
        return {name: payload[name] for name in self.values if name in payload}


def carry_through(kind: str, eqn: JaxprEqn, bodies: Sequence[Body], args: Sequence[Any], payload: Payload) -> Result:
    """Return the results of an equation of this kind and the records of the points within it."""
    if kind == "cond":
        return _cond(bodies, args, payload)
    if kind == "while":
        return around_passes(eqn, bodies, args, payload)
    if kind in ("custom_jvp", "custom_vjp"):
        return bodies[0].run(bodies[0].own(payload), args)  # what is inside has another derivative than its own
    (body,) = bodies
    if kind == "scan":
        return _scan(eqn, body, args, payload)
    if kind == "shard_map":
        return over_shards(eqn, body, args, payload)

    def inner(payload, *args):
        return body.run(payload, args)

    if kind == "checkpoint":
        again = call_parameters.checkpoint_again(eqn, inner)
    else:
        records = dict.fromkeys(body.records)
        again = call_parameters.jit_again(eqn, inner, 1, lambda shardings: (shardings, records))
    return again(body.own(payload), *args)


def _scan(eqn: JaxprEqn, body: Body, args: Sequence[Any], payload: Payload) -> Result:
    parts = call_parameters.scan_parts(eqn)
    consts, carry, xs = _split(args, parts.consts, parts.carry)

    def step(carry, inputs):
        payload, xs = inputs
        outs, records = body.run(payload, [*consts, *carry, *xs])
        carry, ys, _ = _split(outs, parts.carry, len(outs) - parts.carry)
        return carry, (ys, records)

    inputs = (body.own(payload), xs)
    carry, (ys, records) = lax.scan(step, carry, inputs, length=parts.length, **parts.options)
    return [*carry, *ys], records


def _cond(bodies: Sequence[Body], args: Sequence[Any], payload: Payload) -> Result:
    index, *operands = args
    zeros = {name: record for body in bodies for name, record in body.records.items()}

    def branch(body: Body) -> Callable:
        def inner(payload, *operands):
            outs, records = body.run(body.own(payload), operands)
            others = {name: record for name, record in zeros.items() if name not in records}
            return outs, records | jax.tree.map(types.zeros, others)

        return inner

    return lax.switch(index, [branch(body) for body in bodies], payload, *operands)


def _split(values: Sequence[Any], first: int, second: int) -> tuple[list[Any], list[Any], list[Any]]:
    values = list(values)
    return values[:first], values[first : first + second], values[first + second :]
