"""Evaluating a jaxpr again, as it is planned, with something done at each chosen point.

Stretches of equations that hold no chosen point are not touched: each is a jaxpr that JAX itself evaluates.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax

from .._jax import origin, shards
from .._jax.jaxpr import jaxprs, kinds
from .._jax.jaxpr.jaxprs import is_literal
from .plan import Core, Entered, Met, NamedValue, Plan, Stretch, Substituted
from .rules import Body, Payload, Records, Result, carry_through

if TYPE_CHECKING:
    from jax.extend.core import Literal, Var


class Visitor(NamedTuple):
    """What is done at a point, and what is brought out from there.

    Attributes:
        visit: (name, value, payload) -> (the value that goes on, a note). The note is what is recorded of the visit;
            None for the value itself.
        recorded: (name, shape and dtype of the value) -> those of what is recorded, a pytree; None if nothing is.
        as_there: whether what `visit` computes is to be found where the value is: in its scopes, on its line.
    """

    visit: Callable[[str, Any, Any], tuple[Any, Any]]
    recorded: Callable[[str, jax.ShapeDtypeStruct], Any] | None
    as_there: bool = False


RECORDING = Visitor(lambda name, value, _: (value, None), lambda name, value: value)
"""Nothing is done at a point; the value there is brought out."""


def run(plan: Plan, args: Sequence[Any], payload: Payload, visitor: Visitor) -> Result:
    """Return the results of the planned jaxpr, and by name the values met at its points."""
    jaxpr, consts = plan.closed
    env: dict[Var | Literal, Any] = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *args], strict=True))
    records: Records = {}
    for step in plan.steps:
        outs = _do(step.core, [_read(env, v) for v in step.reads], payload, visitor, records)
        env.update(zip(step.makes, outs, strict=True))
        for met, v in step.visits:
            env[v] = _visited(met, env[v], payload, visitor, records)
        for v in step.dead:
            env.pop(v, None)
    return [jaxprs.as_array(_read(env, v)) for v in jaxpr.outvars], records


def _do(core: Core, args: list[Any], payload: Payload, visitor: Visitor, records: Records) -> list[Any]:
    match core:
        case Stretch():
            return list(core.evaluate(args))
        case NamedValue(eqn, jaxpr, met):
            # It is visited before it is named: what goes on is again a point of this name, and can be walked again.
            return [_visited(met, args[0], payload, visitor, records, functools.partial(kinds.name_again, jaxpr, eqn))]
        case Substituted(_, by):
            outs, record = by.run(args, payload.get(by.name))
            records.update({} if by.recorded is None else {by.name: record})
            return list(outs)
        case Entered(kind, eqn, plans):
            # The records of all its branches come out: zeros for those not taken.
            carry = functools.partial(carry_through, kind, eqn, [_body(p, visitor) for p in plans])
            there = functools.partial(origin.as_at, eqn, carry) if visitor.as_there else carry
            outs, found = there(args, payload)
            records.update(found)
            return outs


def _visited(
    met: Met,
    value: Any,
    payload: Payload,
    visitor: Visitor,
    records: Records,
    finish: Callable[[Any], Any] = lambda value: value,
) -> Any:
    value, at_point = jaxprs.as_array(value), functools.partial(visitor.visit, met.point)
    if visitor.as_there:
        edit = lambda value, its_payload: kinds.edited(at_point(value, its_payload)[0])
        value, note = origin.as_at(met.eqn, edit, value, payload.get(met.point)), None
    else:
        value, note = at_point(value, payload.get(met.point))
    value = finish(value)
    if visitor.recorded is not None:
        records[met.point] = value if note is None else note
    return value


def _body(plan: Plan, visitor: Visitor) -> Body:
    def run_body(payload: Payload, args: Sequence[Any]) -> Result:
        return run(plan, args, payload, visitor)

    types_of = _types(plan, visitor.recorded or (lambda name, value: None))
    records = {name: record for name, (_, record) in types_of.items() if record is not None}
    return Body(run_body, {name: value for name, (value, _) in types_of.items()}, records)


def _types(plan: Plan, recorded: Callable[[str, jax.ShapeDtypeStruct], Any]) -> dict[str, tuple[Any, Any]]:
    """Return by name the types of the values at all points in a plan, and of what is recorded of them."""
    found = {met.point: (met.value, recorded(met.point, met.value)) for met in plan.met()}
    found |= {by.name: (by.varying, by.recorded) for by in plan.substitutes()}
    for loops, inner in plan.entered():
        for name, (value, record) in _types(inner, recorded).items():
            outside = functools.partial(shards.around, value=value, loops=loops)
            found[name] = jax.tree.map(outside, (value, record))
    return found


def _read(env: Mapping[Var | Literal, Any], v: Var | Literal) -> Any:
    return v.val if is_literal(v) else env[v]
