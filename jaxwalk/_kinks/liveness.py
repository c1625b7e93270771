"""Finds how the derivative of a flat program's results depends on each of its values."""

from __future__ import annotations

import enum
import functools
import operator
from collections.abc import Iterable, Sequence

from .._jax.jaxpr import call_parameters
from .._jax.jaxpr.types import is_float
from .program import STEPS, Operation, Program, until_stable


class Use(enum.IntFlag):
    """How the results use a value.

    RESULT: they are computed from it, and differentiated through it: it counts where it jumps and where it has a kink.
    VALUE: their derivative is computed from it, as by each factor of a product, or what they choose: it counts where it
    jumps, also behind a `stop_gradient`.
    """

    NONE = 0
    VALUE = 1
    RESULT = 2


_LINEAR = {
    "add", "sub", "add_any", "neg", "real", "imag", "conj", "complex", "convert", "copy", "device_put", "reduce_sum",
    "cumsum", "reduce_window_sum", "broadcast_in_dim", "reshape", "transpose", "squeeze", "slice", "dynamic_slice",
    "dynamic_update_slice", "gather", "scatter", "scatter_add", "concatenate", "pad", "rev", "select_n", "split",
    "stack", "unstack", "tile", "stop_gradient", "optimization_barrier", "reduce_precision",
}  # fmt: skip
_BILINEAR = {"mul", "dot_general", "conv"}


def uses(program: Program) -> dict[int, Use]:
    """Return how the results use each value, of the program and of those inside it, that they use at all.

    It is found backward from the results. Whatever is decided, by a comparison or a rounding down, depends only
    on the jumps of what it is decided by.
    """
    found = _Uses()
    found.inputs(program, [Use.RESULT if is_float(program.avals[out]) else Use.NONE for out in program.outs])
    return {number: use for number, use in found.uses.items() if use}


class _Uses:
    def __init__(self) -> None:
        self.uses: dict[int, Use] = {}

    def add(self, numbers: Iterable[int], found: Iterable[Use]) -> None:
        for number, use in zip(numbers, found, strict=True):
            self.uses[number] = self.of(number) | use

    def of(self, number: int) -> Use:
        return self.uses.get(number, Use.NONE)

    def inputs(self, program: Program, found: Sequence[Use]) -> list[Use]:
        """Write down what the results depend on, used as `found` says, and return how the inputs are used."""
        self.add(program.outs, found)
        for op in reversed(program.ops):
            if op.kind == "rule":
                if any(self.of(number) & Use.RESULT for number in op.ruled):
                    self.add(op.ins, [Use.RESULT] * len(op.ins))
            elif any(outs := [self.of(out) for out in op.outs]):
                self.add(op.ins, self.operands(program, op, outs))
        return [self.of(number) for number in program.ins]

    def operands(self, program: Program, op: Operation, outs: list[Use]) -> Sequence[Use]:
        """Return how an operation's operands are used, by how its results are."""
        use = functools.reduce(operator.or_, outs)
        match op.kind:
            case "scan":
                parts = call_parameters.scan_parts(op.eqn)
                return self.loop_inputs(op.bodies[0], outs, parts.consts, parts.carry)
            case "while":
                parts = call_parameters.while_parts(op.eqn)
                tested = self.inputs(op.bodies[0], [Use.VALUE])
                consts, carry = tested[: parts.test_consts], tested[parts.test_consts :]
                outs = [one | other for one, other in zip(outs, carry, strict=True)]
                return [*consts, *self.loop_inputs(op.bodies[1], outs, parts.body_consts, len(outs))]
            case "cond":
                branches = [self.inputs(body, outs) for body in op.bodies]
                return [use, *(functools.reduce(operator.or_, some) for some in zip(*branches, strict=True))]
            case "cut":
                return [use & Use.VALUE]
            case "name":
                return [use]
        return [self.operand(program, op, use, i) for i in range(len(op.ins))]

    def operand(self, program: Program, op: Operation, use: Use, i: int) -> Use:
        avals = program.avals
        if op.name == "stop_gradient":
            return use & Use.VALUE
        if op.name in STEPS or (is_float(avals[op.ins[i]]) and not any(is_float(avals[out]) for out in op.outs)):
            return Use.VALUE
        others = [n for j, n in enumerate(op.ins) if j != i] if op.name in _BILINEAR else op.ins
        bends = op.name not in _LINEAR and any(map(program.has_derivative, others))
        return use | Use.VALUE if bends else use

    def loop_inputs(self, body: Program, outs: list[Use], consts: int, carry: int) -> list[Use]:
        """Write down what the results of a loop depend on: a carry may be needed by a later step only."""

        def step(outs: list[Use]) -> tuple[list[Use], list[Use]]:
            ins = self.inputs(body, outs)
            return ins, [use | ins[consts + i] if i < carry else use for i, use in enumerate(outs)]

        return until_stable(step, outs)
