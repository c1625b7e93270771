"""How what happens at the points is carried through the equations that contain some: one rule a primitive.

A rule runs an equation again through JAX's public API, with two things threaded through it by point name:
what goes in to the points (`payload`: slots of taps, replacements) and what comes out of them (`records`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
from jax import lax

from .._jax import kinds, types

Payload = dict[str, Any]
Records = dict[str, Any]
Result = tuple[list[Any], Records]


class Body(NamedTuple):
    """A jaxpr inside an equation, ready to run: its points, and what each of them records (maybe nothing), as shapes
    and dtypes."""

    run: Callable[[Payload, Sequence[Any]], Result]
    names: Sequence[str]
    records: Records

    def own(self, payload: Payload) -> Payload:
        return {name: payload[name] for name in self.names if name in payload}


def carry_through(kind: str, eqn: Any, bodies: Sequence[Body], args: Sequence[Any], payload: Payload) -> Result:
    """The results of an equation of this kind and the records of the points within it."""
    return _RULES[kind](eqn, bodies, args, payload)


def _jit(eqn: Any, bodies: Sequence[Body], args: Sequence[Any], payload: Payload) -> Result:
    (body,) = bodies

    def inner(payload, *args):
        return body.run(payload, args)

    inner.__name__ = eqn.params["name"]  # what profilers and XLA's dumps call it
    records = dict.fromkeys(body.records)
    options = kinds.jit_options(eqn, 1, lambda shardings: (shardings, records))
    return jax.jit(inner, **options)(body.own(payload), *args)


def _checkpoint(eqn: Any, bodies: Sequence[Body], args: Sequence[Any], payload: Payload) -> Result:
    (body,) = bodies

    def inner(payload, *args):
        return body.run(payload, args)

    options = {"prevent_cse": eqn.params["prevent_cse"], "policy": eqn.params["policy"]}
    return jax.checkpoint(inner, **options)(body.own(payload), *args)


def _scan(eqn: Any, bodies: Sequence[Body], args: Sequence[Any], payload: Payload) -> Result:
    (body,) = bodies
    parts = kinds.scan_parts(eqn)
    consts, carry, xs = _split(args, parts.consts, parts.carry)

    def step(carry, inputs):
        payload, xs = inputs
        outs, records = body.run(payload, [*consts, *carry, *xs])
        carry, ys, _ = _split(outs, parts.carry, len(outs) - parts.carry)
        return carry, (ys, records)

    inputs = (body.own(payload), xs)
    carry, (ys, records) = lax.scan(step, carry, inputs, length=parts.length, **parts.options)
    return [*carry, *ys], records


def _cond(eqn: Any, bodies: Sequence[Body], args: Sequence[Any], payload: Payload) -> Result:
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


_RULES: dict[str, Callable[[Any, Sequence[Body], Sequence[Any], Payload], Result]] = {
    "jit": _jit,
    "checkpoint": _checkpoint,
    "scan": _scan,
    "cond": _cond,
}
