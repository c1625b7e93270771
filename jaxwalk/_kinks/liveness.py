"""Finds which values of a flat program the derivative of its results depends on."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from .._jax import call_parameters
from .._jax.primitives import COMPARISONS
from .._jax.types import is_float
from .program import STOPS, Operation, Program, until_stable

_CUTS = STOPS | {"is_finite", "argmax", "argmin", *COMPARISONS}


def live_values(program: Program) -> set[int]:
    """Return the values, of the program and of those inside it, that the derivative of its results depends on.

    They are found backward from the results, through everything but what cuts derivatives. The result of a comparison
    is live if it selects something; what it compares is not, for no derivative flows through a comparison.
    """
    liveness = _Liveness()
    liveness.inputs(program, [is_float(program.avals[out]) for out in program.outs])
    return liveness.values


class _Liveness:
    def __init__(self) -> None:
        self.values: set[int] = set()

    def inputs(self, program: Program, used: Sequence[bool]) -> list[bool]:
        """Mark what the `used` results depend on, and return which inputs they depend on."""
        self.values.update(itertools.compress(program.outs, used))
        for op in reversed(program.ops):
            if op.kind == "rule":
                if not self.values.isdisjoint(op.ruled):
                    self.values.update(op.ins)
            elif op.kind != "cut" and not self.values.isdisjoint(op.outs):
                used = self.operands(op, [out in self.values for out in op.outs])
                self.values.update(itertools.compress(op.ins, used))
        return [number in self.values for number in program.ins]

    def operands(self, op: Operation, used: list[bool]) -> Sequence[bool]:
        """Return which operands the `used` results of an operation depend on."""
        match op.kind:
            case "scan":
                parts = call_parameters.scan_parts(op.eqn)
                return self.loop_inputs(op.bodies[0], used, parts.consts, parts.carry)
            case "while":
                parts = call_parameters.while_parts(op.eqn)
                tested = self.inputs(op.bodies[0], [True])
                consts, carry = tested[: parts.test_consts], tested[parts.test_consts :]
                used = [u or t for u, t in zip(used, carry, strict=True)]
                return [*consts, *self.loop_inputs(op.bodies[1], used, parts.body_consts, len(used))]
            case "cond":
                branches = [self.inputs(body, used) for body in op.bodies]
                return [True, *map(any, zip(*branches, strict=True))]
        rounds = op.name == "convert" and is_float(op.eqn.invars[0].aval) and not is_float(op.eqn.outvars[0].aval)
        return [not rounds and op.name not in _CUTS] * len(op.ins)

    def loop_inputs(self, body: Program, used: list[bool], consts: int, carry: int) -> list[bool]:
        """Mark what the results of a loop depend on: a carry may be needed by a later step only."""

        def step(used: list[bool]) -> tuple[list[bool], list[bool]]:
            ins = self.inputs(body, used)
            return ins, [u or ins[consts + i] if i < carry else u for i, u in enumerate(used)]

        return until_stable(step, used)
