"""Running a jaxpr on arrays of entries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from ..._errors import FormulaError
from ..._jax.jaxpr import call_parameters, jaxprs, kinds, primitives
from ..._jax.jaxpr.jaxprs import Closed, is_literal
from ..._jax.jaxpr.types import type_of
from .arithmetic import Arithmetic, EntryOperations, Refused, Unsupported, Value, holds_entries
from .rules import results_of

if TYPE_CHECKING:
    from jax.extend.core import Jaxpr, JaxprEqn, Literal, Var


def run_on_entries(closed: Closed, args: Sequence[Value], arithmetic: Arithmetic) -> list[Value]:
    """Return the results of a jaxpr.

    Arguments:
        closed: the jaxpr.
        args: a value per input: entries, or an array of integers, truth values or random keys.
        arithmetic: what can be done with entries.

    Returns:
        list: a value per result.

    Raises:
        FormulaError: an equation that a result needs cannot be run; it names the primitive and the source line.
    """
    try:
        return _Interpreter(arithmetic).run(closed, args, [True] * len(closed.jaxpr.outvars))
    except Unsupported as error:
        raise FormulaError(arithmetic.refusal("A constant of the function", str(error))) from None


def run_at_leaves(
    fun: Callable[[list[Any]], Any],
    leaves: Sequence[Any],
    entries: Mapping[int, tuple[jax.ShapeDtypeStruct, Value]],
    arithmetic: Arithmetic,
) -> tuple[Any, list[Value]]:
    """Run a function of leaves on entries: where there are any, their type and they themselves are given by place.

    Returns:
        tuple: the structure of the results, and a value per result.
    """

    def flat(*tracers: Any) -> Any:
        traced = dict(zip(entries, tracers, strict=True))
        return fun([traced.get(i, leaf) for i, leaf in enumerate(leaves)])

    flat.__wrapped__ = fun  # type: ignore[unresolved-attribute]
    closed, shapes = jaxprs.trace(flat, *(type for type, _ in entries.values()))
    return jax.tree.structure(shapes), run_on_entries(closed, [value for _, value in entries.values()], arithmetic)


class _Interpreter:
    """Runs equations, and what they call, with one count of operations."""

    def __init__(self, arithmetic: Arithmetic):
        self.ops = EntryOperations(arithmetic)
        self.kind_of, self.name_of = kinds.kinds(), primitives.names()

    def run(self, closed: Closed, args: Sequence[Value], needed: Sequence[bool]) -> list[Any]:
        jaxpr = closed.jaxpr
        variables = zip([*jaxpr.constvars, *jaxpr.invars], [*closed.consts, *args], strict=True)
        env: dict[Var, Value] = {v: self.ops.value(value) for v, value in variables}

        def read(v: Var | Literal) -> Value:
            return self.ops.value(jaxprs.literal_array(v)) if is_literal(v) else env[v]

        for eqn, used in _needed_equations(jaxpr, needed):
            env.update(zip(eqn.outvars, self.equation(eqn, [read(v) for v in eqn.invars], used), strict=True))
        return [read(v) if n else None for v, n in zip(jaxpr.outvars, needed, strict=True)]

    def equation(self, eqn: JaxprEqn, operands: list[Value], used: list[bool]) -> list[Any]:
        try:
            kind = "jit" if jaxprs.calls_a_jaxpr(eqn) else self.kind_of(eqn)
            if kind == "custom_jvp" and primitives.is_bell(eqn):
                self.ops.eqn = eqn
                return [self.ops.map(self.ops.operation("bell"), *operands)]
            if kind in CALLS:
                return CALLS[kind](self, eqn, operands, used)
            self.ops.eqn = eqn
            results = results_of(self.ops, self.name_of(eqn), eqn, operands)
            return [self.ops.settled(r, type_of(v)) for r, v in zip(results, eqn.outvars, strict=True)]
        except Unsupported as error:
            raise FormulaError(self.ops.refusal(eqn, error)) from None

    def call(self, eqn: JaxprEqn, operands: list[Value], used: list[bool]) -> list[Any]:
        bodies = jaxprs.jaxprs_of(eqn)
        if len(bodies) != 1 or len(bodies[0].jaxpr.invars) != len(operands):
            raise Unsupported("what it calls could not be told")
        return self.run(bodies[0], operands, used)

    def scan(self, eqn: JaxprEqn, operands: list[Value], used: list[bool]) -> list[Any]:
        (body,), parts = jaxprs.jaxprs_of(eqn), call_parameters.scan_parts(eqn)
        consts, rest = operands[: parts.consts], operands[parts.consts :]
        carry, xs = rest[: parts.carry], rest[parts.carry :]
        rows: list[Any] = [None] * parts.length
        order = range(parts.length)
        needed = [True] * parts.carry + used[parts.carry :]
        for i in reversed(order) if parts.options.get("reverse") else order:
            outs = self.run(body, [*consts, *carry, *(x[i, ...] for x in xs)], needed)
            carry, rows[i] = outs[: parts.carry], outs[parts.carry :]
        stacked = zip(eqn.outvars[parts.carry :], used[parts.carry :], strict=True)
        return [*carry, *(self.stacked([r[j] for r in rows], v) if u else None for j, (v, u) in enumerate(stacked))]

    def stacked(self, rows: Sequence[Value], v: Var) -> Value | jax.Array:
        if not rows:
            return self.ops.value(np.zeros(type_of(v).shape, type_of(v).dtype))
        if any(map(holds_entries, rows)):
            return np.stack([self.ops.entries(row) for row in rows])
        return jnp.stack(rows) if hasattr(rows[0], "aval") else np.stack(rows)

    def cond(self, eqn: JaxprEqn, operands: list[Value], used: list[bool]) -> list[Any]:
        ops, (index, *args), branches = self.ops, operands, jaxprs.jaxprs_of(eqn)
        if not holds_entries(index):
            return self.run(branches[min(max(int(index), 0), len(branches) - 1)], args, used)
        _check_not_refused(index)
        if len(branches) > 2:
            raise Unsupported("which of its branches is taken depends on a symbol; use `jnp.where` or a `cond` of two")
        index = ops.map(lambda e: ops.operation("gt")(e, ops.integer(0)), index)
        results = [self.run(branch, args, used) for branch in branches]
        joined = [ops.select(index, *cases) if u else None for u, *cases in zip(used, *results, strict=True)]
        return [r if r is None else ops.settled(r, type_of(v)) for r, v in zip(joined, eqn.outvars, strict=True)]

    def loop(self, eqn: JaxprEqn, operands: list[Value], used: list[bool]) -> list[Any]:
        test, body, test_consts, body_consts = call_parameters.while_parts(eqn)
        tested, rest = operands[:test_consts], operands[test_consts:]
        consts, carry = rest[:body_consts], rest[body_consts:]
        while True:
            (again,) = self.run(test, [*tested, *carry], [True])
            if holds_entries(again):
                _check_not_refused(again)
                raise Unsupported("how often it runs depends on a symbol; use a `scan` of fixed length")
            if not again:
                return carry
            self.ops.count(1)
            carry = self.run(body, [*consts, *carry], [True] * len(carry))

    def name(self, eqn: JaxprEqn, operands: list[Value], used: list[bool]) -> list[Any]:
        return operands


def _check_not_refused(which: Value) -> None:
    """Refuse where what decides how it goes on could not be computed."""
    entry: Any = which[()]
    if isinstance(entry, Refused):
        raise FormulaError(entry.reason)


CALLS: dict[str | None, Callable[[_Interpreter, JaxprEqn, list[Value], list[bool]], list[Any]]] = {
    **dict.fromkeys(("jit", "checkpoint", "custom_jvp", "custom_vjp"), _Interpreter.call),
    "scan": _Interpreter.scan,
    "cond": _Interpreter.cond,
    "while": _Interpreter.loop,
    "name": _Interpreter.name,
}


def _needed_equations(jaxpr: Jaxpr, needed: Sequence[bool]) -> list[tuple[JaxprEqn, list[bool]]]:
    """Return the equations that a needed result depends on, in order, and which of their results are used."""
    wanted = {v for v, n in zip(jaxpr.outvars, needed, strict=True) if n and not is_literal(v)}
    found = []
    for eqn in reversed(jaxpr.eqns):
        used = [v in wanted for v in eqn.outvars]
        if any(used):
            wanted.update(v for v in eqn.invars if not is_literal(v))
            found.append((eqn, used))
    return found[::-1]
