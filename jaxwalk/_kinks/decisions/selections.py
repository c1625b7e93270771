"""Finds what each comparison selects: the `select_n` of a `where`, and the operations between the two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..._jax.jaxpr.primitives import COMPARISONS
from ..liveness import Use
from ..program import Flow, Operation, Program

REACH = 40  # operations looked at between a comparison and what it selects
_COPIES = {"convert", "copy", "stop_gradient"}  # each the same value, if the dtype is
_SPREADS = {"broadcast_in_dim", "convert", "copy"}  # each the same number in all entries, if the operand has one
ELEMENTWISE = {
    "add", "sub", "mul", "div", "neg", "exp", "exp2", "expm1", "log", "log1p", "sqrt", "rsqrt", "tanh", "logistic",
    "sin", "cos", "tan", "erf", "erfc", "pow", "integer_pow", "square", "max", "min", "abs", "select_n", "cbrt",
    "convert", "copy", "polynomial",
}  # fmt: skip


class Selection(NamedTuple):
    """A `select_n` whose predicate is a comparison."""

    select: Operation
    compared: int  # the compared value by which the derivative is taken
    is_second: bool  # whether that is the second operand of the comparison
    alike: tuple[int, ...]  # the results of the comparisons of the same two values by the same relation
    between: tuple[Operation, ...] | None  # from `compared` to the two cases; None if these need more than it
    in_rule: bool  # whether it selects among tangents, in a derivative rule: these stand for ones, the cases for slopes
    numbers: tuple[float | None, float | None]  # of each case, the one number that all its entries are, if known
    bends: bool  # whether the derivative of what is selected counts, not its value alone
    follows: bool  # whether a case may depend on `compared`


def selections(program: Program, uses: Mapping[int, Use]) -> dict[int, list[Selection] | None]:
    """Return, by the number of a comparison's result, its selections, less those that another covers.

    In `where(x > 0, x, f(where(x > 0, 0, x)))` the inner one is covered by the outer. Of comparisons that are alike,
    the first has the selections of all, and the others None. A comparison whose result is used otherwise too has none:
    it decides more than what they select.
    """
    finder = _Finder(program, uses)
    groups: dict[Any, list[Operation]] = {}
    for op in program.ops:
        if op.name in COMPARISONS:
            groups.setdefault((op.name, *map(finder.identity, op.ins)), []).append(op)
    found: dict[int, list[Selection] | None] = {}
    for group in groups.values():
        alike = tuple(op.outs[0] for op in group)
        first, *others = [op for op in group if op.outs[0] in uses and not op.origin.primal] or group
        readers = [(op, out) for out in alike for op in finder.used_by(out)]
        selects = [op for op, out in readers if _selects(op, out)]
        only_selects = len(selects) == len(readers) and not any(out in uses for out in alike if out in program.outs)
        if only_selects and (outer := [op for op in selects if not finder.is_covered(op, selects)]):
            found[first.outs[0]] = [finder.selection(first, select, alike) for select in outer]
        found |= dict.fromkeys((op.outs[0] for op in others), None)
    return found


class _Finder:
    def __init__(self, program: Program, uses: Mapping[int, Use]) -> None:
        self.program, self.uses = program, uses
        self.maker = {out: op for op in program.ops for out in op.outs}
        self.read_by: dict[int, list[Operation]] = {}
        for op in program.ops:
            for number in op.ins:
                self.read_by.setdefault(number, []).append(op)
        self.tangents = set(program.ones)
        for op in program.readers(self.tangents):
            if op.kind != "cut":
                self.tangents.update(filter(program.has_derivative, op.outs))

    def used_by(self, number: int) -> list[Operation]:
        """Return what reads a value, and is used itself."""
        return [op for op in self.read_by.get(number, ()) if any(out in self.uses for out in op.outs)]

    def original(self, number: int) -> int:
        """Return the value that this one is a copy of."""
        op = self.maker.get(number)
        return self.original(op.ins[0]) if op is not None and self.is_copy(op) else number

    def is_copy(self, op: Operation) -> bool:
        if op.name not in _COPIES:
            return op.kind == "cut"
        return self.program.avals[op.ins[0]].dtype == self.program.avals[op.outs[0]].dtype

    def identity(self, number: int) -> int | tuple[str, str]:
        """Return what two operands have in common if they are the same value, or the same literal."""
        number = self.original(number)
        literal = self.program.literals.get(number)
        return number if literal is None else ("literal", repr(literal.val))

    def is_covered(self, op: Operation, selects: Sequence[Operation]) -> bool:
        """Return whether whatever reads a selection is, soon, another one by the same comparison."""
        others = [other for other in selects if other is not op]
        ahead, seen = list(op.outs), 0
        while ahead and others:
            out = ahead.pop()
            if out in self.program.outs or seen > REACH:
                return False
            for reader in self.read_by.get(out, ()):
                seen += 1
                if not any(reader is other for other in others):
                    if reader.kind != "op":
                        return False
                    ahead.extend(reader.outs)
        return bool(others)

    def selection(self, comparison: Operation, select: Operation, alike: tuple[int, ...]) -> Selection:
        first, second = map(self.original, comparison.ins)
        active, flows = self.program.has_derivative, self.program.flows
        is_second = not active(first) and (active(second) or not flows[first] & Flow.DATA)
        compared = second if is_second else first
        in_rule = not self.tangents.isdisjoint(select.ins[1:])
        no, yes = map(self.uniform, select.ins[1:])
        between, follows = self.between(compared, select, alike)
        bends = bool(self.uses.get(select.outs[0], Use.NONE) & Use.RESULT)
        return Selection(select, compared, is_second, alike, between, in_rule, (no, yes), bends, follows)

    def uniform(self, number: int) -> float | None:
        """Return the one number that all entries of a constant are, seen without running it."""
        if (literal := self.program.literals.get(number)) is not None:
            return float(literal.val) if np.ndim(literal.val) == 0 else None
        if number in self.program.ones:
            return 1.0
        op = self.maker.get(number)
        return self.uniform(op.ins[0]) if op is not None and op.name in _SPREADS else None

    def between(
        self, start: int, select: Operation, alike: tuple[int, ...]
    ) -> tuple[tuple[Operation, ...] | None, bool]:
        """Return the operations from `start` to the cases of `select`, and whether a case may depend on it.

        None if the operations are many or mix entries.
        """
        avals = self.program.avals
        shape = avals[select.outs[0]].shape
        if start in self.program.literals:
            return None, True
        depends: dict[int, bool] = {start: True}

        def visit(number: int) -> bool:
            if number in self.program.literals or len(depends) > 4 * REACH:
                return False
            if number not in depends:
                depends[number] = False
                op = self.maker.get(number)
                visited = [visit(n) for n in op.ins if n not in alike] if op is not None else []
                depends[number] = any(visited)
            return depends[number]

        visited = [visit(case) for case in select.ins[1:]]
        follows = any(visited) or len(depends) > 4 * REACH
        path = [op for op in self.program.ops if any(depends.get(out) and out != start for out in op.outs)]
        plain = all(op.name in ELEMENTWISE and avals[op.outs[0]].shape == shape for op in path)
        is_known = plain and avals[start].shape == shape and len(depends) <= 4 * REACH
        return tuple(path) if is_known else None, follows


def _selects(op: Operation, predicate: int) -> bool:
    return op.name == "select_n" and op.ins[0] == predicate and len(op.ins) == 3
