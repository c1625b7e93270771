"""Which values of a flat program the derivative of its results depends on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .._jax import compat
from .._jax.primitives import primitive
from .flat import Flags, Flat, Op, Ref, is_float, is_number, stops

COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")


class Live:
    """Which values of a flat program, and of those inside it, the derivative of its results depends on.

    Backward from the results: through everything but what cuts derivatives. A comparison that chooses is live, what it
    compares is not so for that reason: a derivative does not flow through a comparison.
    """

    def __init__(self) -> None:
        self.values: set[int] = set()
        self._cuts = stops() | {primitive(n) for n in COMPARISONS + ("is_finite", "argmax", "argmin")}

    def into(self, flat: Flat, used: Flags) -> list[bool]:
        """Marks what the `used` results depend on, and says which inputs do."""
        self.mark(ref for ref, u in zip(flat.outs, used, strict=True) if u)
        for op in reversed(flat.ops):
            if op.kind == "root":
                if any(flat.flags(op.watch, self.values)):
                    self.mark(op.ins)
            elif op.kind != "cut":
                used = [out in self.values for out in op.outs]
                if any(used):
                    self.mark(ref for ref, u in zip(op.ins, self.operands(op, used), strict=True) if u)
        return [number in self.values for number in flat.ins]

    def mark(self, refs: Sequence[Ref] | Iterator[Ref]) -> None:
        self.values.update(ref for ref in refs if is_number(ref))

    def operands(self, op: Op, used: Flags) -> Flags:
        match op.kind:
            case "scan":
                parts = compat.scan_parts(op.eqn)
                return self.repeated(op.bodies[0], list(used), parts.consts, parts.carry)
            case "while":
                return self.loop(op, used)
            case "cond":
                rows = [self.into(body, used) for body in op.bodies]
                return [True, *map(any, zip(*rows, strict=True))]
        if op.eqn.primitive in self._cuts:
            return [False] * len(op.ins)
        if op.eqn.primitive is primitive("convert"):
            return [not (is_float(op.eqn.invars[0].aval) and not is_float(op.eqn.outvars[0].aval))]
        return [True] * len(op.ins)

    def repeated(self, body: Flat, used: list[bool], consts: int, carry: int) -> Flags:
        while True:
            ins = self.into(body, used)
            grown = [u or ins[consts + i] if i < carry else u for i, u in enumerate(used)]
            if grown == used:
                return ins
            used = grown

    def loop(self, op: Op, used: Flags) -> Flags:
        test, body = op.bodies
        first, second = op.eqn.params["cond_nconsts"], op.eqn.params["body_nconsts"]
        asked = self.into(test, [True])
        carry = [u or a for u, a in zip(used, asked[first:], strict=True)]
        ins = self.repeated(body, carry, second, len(carry))
        return [*asked[:first], *ins]
