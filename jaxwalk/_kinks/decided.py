"""What decides in a flat program, before anything runs: which choices count, and after which points they are named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .._jax import kinds
from .._jax.primitives import COMPARISONS, primitive
from .._points.point import Axis
from .choices import Decider, decider, is_decided
from .program import Flags, Flat, Op, Ref, is_float, is_number, stops
from .sides import Sides, sides


class Decided(NamedTuple):
    """A decision that counts, known before anything runs.

    Attributes:
        key: of its `Choice` among what `Analysis.run` returns; where there are several, their keys begin with it.
        op: the operation.
        axes: the loops around it.
        point: the name of the first point that it feeds, or of the last before it; None if there is none.
        conditional: in a branch.
    """

    key: str
    op: Op
    by: Decider
    name: str
    axes: tuple[Axis, ...]
    point: str | None
    conditional: bool


class _Around(NamedTuple):
    path: str = ""
    axes: tuple[Axis, ...] = ()
    conditional: bool = False
    before: str | None = None
    after: str | None = None


class Decisions:
    """What decides in a flat program, known before anything runs.

    Attributes:
        every: the decisions that a derivative of the results depends on, in forward order.
    """

    def __init__(self, flat: Flat) -> None:
        self.live = Live()
        self.live.into(flat, [not is_number(ref) or is_float(flat.avals[ref]) for ref in flat.outs])
        self._known: dict[int, dict[int, list[Sides] | None]] = {}
        self.every = list(self._read(flat, _Around()))

    def _read(self, flat: Flat, around: _Around) -> Iterator[Decided]:
        before, after = self._before(flat, around), self._after(flat, around)
        for index, op in enumerate(flat.ops):
            path = f"{around.path}{index}"
            outs = [after[out] for out in op.outs if out in after]
            inside = _Around(f"{path}.", around.axes, around.conditional, before[index], next(iter(outs), None))
            if op.kind in ("scan", "while", "cond"):
                for number, body in enumerate(op.bodies):
                    yield from self._read(body, _entered(op, number, inside))
            elif (by := self._decides(flat, op)) is not None:
                name = op.place.function or self._called(flat, op, by)
                yield Decided(path, op, by, name, around.axes, inside.after or inside.before, around.conditional)

    def _decides(self, flat: Flat, op: Op) -> Decider | None:
        """How an operation decides, if that counts; of comparisons that are alike, the first speaks for all."""
        by = decider(op)
        if by is None or not is_decided(flat, op, by, self.live.values):
            return None
        is_spoken_for = by.name == "where" and self.sides(flat).get(op.outs[0], ()) is None
        return None if is_spoken_for else by

    def sides(self, flat: Flat) -> dict[int, list[Sides] | None]:
        """The choices that each comparison makes."""
        if id(flat) not in self._known:
            self._known[id(flat)] = dict(sides(flat))
        return self._known[id(flat)]

    def _called(self, flat: Flat, op: Op, by: Decider) -> str:
        """A comparison is called after what it decides: a `where`, a `cond`, the end of a `while`."""
        if by.name != "where":
            return by.name
        ahead, select = set(op.outs), primitive("select_n")
        for user in flat.ops:
            if any(is_number(ref) and ref in ahead for ref in user.ins):
                if user.kind in ("cond", "while"):
                    return user.kind
                if user.kind == "op" and user.eqn.primitive is select:
                    return "where"
                ahead.update(out for out in user.outs if not is_float(flat.avals[out]))
        return "while" if any(is_number(ref) and ref in ahead for ref in flat.outs) else "comparison"

    def _before(self, flat: Flat, around: _Around) -> list[str | None]:
        """Per operation, the last name given to a value that it depends on."""
        own = {ref: names[-1] for ref, names in flat.named.items()}
        named = dict.fromkeys(flat.ins, around.before) | own
        found = []
        for op in flat.ops:
            behind = [named[ref] for ref in op.ins if is_number(ref) and named.get(ref) is not None]
            found.append(next(iter(behind[::-1]), None))
            named.update(dict.fromkeys(op.outs, found[-1]) | {out: own[out] for out in op.outs if out in own})
        return found

    def _after(self, flat: Flat, around: _Around) -> dict[int, str]:
        """Per value, the first name given to a value that depends on it."""
        own = {ref: names[0] for ref, names in flat.named.items()}
        named: dict[int, str] = {}
        if around.after is not None:
            named = {ref: around.after for ref in flat.outs if is_number(ref)}
        named |= own
        for op in reversed(flat.ops):
            ahead = next((named[out] for out in (*op.outs, *op.watch) if out in named), None)
            if ahead is not None and op.kind != "cut":
                named.update({ref: ahead for ref in op.ins if is_number(ref) and ref not in own})
        return named


def _entered(op: Op, number: int, around: _Around) -> _Around:
    if op.kind == "scan":
        return around._replace(axes=(*around.axes, Axis("scan", kinds.scan_parts(op.eqn).length)))
    around = around._replace(path=f"{around.path}{number}.")
    return around._replace(conditional=True) if op.kind == "cond" else around


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
                parts = kinds.scan_parts(op.eqn)
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
