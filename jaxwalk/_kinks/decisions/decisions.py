"""Finds the decisions of a flat program before anything runs: which count, and after which points they are named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ..._jax.jaxpr import call_parameters
from ..._jax.jaxpr.primitives import COMPARISONS
from ..._jax.jaxpr.types import is_float
from ..._points.point import Axis
from ..liveness import Use
from ..program import Name, Operation, Program
from .decision_rules import DecisionRule, decision_rule, may_decide
from .nearby_names import NearbyNames
from .recombination import Recombination, recombinations
from .selections import Selection, selections

Path = tuple[int, ...]  # the place of an operation: in its program, after those of the operations around it


class Key(NamedTuple):
    """The name of a margin."""

    path: Path  # of the operation
    part: str = ""  # as its rule names it, or the number of a selection


class Decision(NamedTuple):
    """A decision that a derivative of the results depends on."""

    path: Path
    op: Operation
    rule: DecisionRule
    name: str  # what it is called in a table
    selections: list[Selection]  # of a comparison
    recombination: Recombination | None  # of a max, min or abs
    axes: tuple[Axis, ...]  # the loops around it
    point: str | None  # as of `NearbyNames.nearest`
    conditional: bool  # in a branch
    jumps: bool | None  # whether the value that is chosen jumps, and not its derivative alone; None: not known


def decisions(program: Program, used: Mapping[int, Use]) -> dict[Path, Decision]:
    """Return the decisions that a derivative of the results depends on, in forward order; `used`: of `uses`."""
    return {decision.path: decision for decision in _decisions(program, used, _Around())}


def unseen(program: Program, used: Mapping[int, Use]) -> Iterator[Operation]:
    """Yield the operations that may decide something too, though it is not known how."""
    for op in program.ops:
        if not op.origin.primal and any(out in used for out in op.outs) and may_decide(program, op, used):
            yield op
        for body in op.bodies:
            yield from unseen(body, used)


class _Around(NamedTuple):
    path: Path = ()
    axes: tuple[Axis, ...] = ()
    conditional: bool = False
    before: Name | None = None
    after: Name | None = None


def _decisions(program: Program, used: Mapping[int, Use], around: _Around) -> Iterator[Decision]:
    names = NearbyNames(program, around.before, around.after)
    selected, recombined = selections(program, used), recombinations(program)
    for index, op in enumerate(program.ops):
        path = (*around.path, index)
        if op.bodies:
            inner = _Around(path, around.axes, around.conditional, names.before[index], names.after(op))
            for number, body in enumerate(op.bodies):
                yield from _decisions(body, used, _enter(op, number, inner))
        elif (rule := decision_rule(program, op, used)) is not None and _counts(program, op, rule, used):
            found = selected.get(op.outs[0], [])
            if found is not None:  # of comparisons that are alike, the first stands for all
                name = op.origin.function or _name(program, op, rule)
                point = names.nearest(index, op)
                made = recombined.get(op.outs[0])
                jumps = _jumps(op, rule, used)
                yield Decision(path, op, rule, name, found, made, around.axes, point, around.conditional, jumps)


def _enter(op: Operation, number: int, around: _Around) -> _Around:
    if op.kind == "scan":
        return around._replace(axes=(*around.axes, Axis("scan", call_parameters.scan_parts(op.eqn).length)))
    return around._replace(path=(*around.path, number), conditional=around.conditional or op.kind == "cond")


def _counts(program: Program, op: Operation, rule: DecisionRule, used: Mapping[int, Use]) -> bool:
    """Return whether a derivative of the results, or one of them, jumps where an operation decides otherwise."""
    asks_for_nan = len(op.ins) > 1 and op.ins[0] == op.ins[1]  # x != x
    if op.origin.primal or asks_for_nan:
        return False
    bends = any(map(program.has_derivative, op.ins)) and any(Use.RESULT & used.get(out, Use.NONE) for out in op.outs)
    return bends or any(out in used for out in op.outs[rule.jumping])


def _jumps(op: Operation, rule: DecisionRule, used: Mapping[int, Use]) -> bool | None:
    """Tell whether what an operation makes, and is used, jumps where it decides otherwise."""
    if op.name in COMPARISONS:  # those in rules of JAX's own functions, as of relu, choose among derivatives
        return False if op.origin.in_rule and op.origin.function is not None else None
    return any(out in used for out in op.outs[rule.jumping])


def _name(program: Program, op: Operation, rule: DecisionRule) -> str:
    """Name a comparison after what it decides: a `where`, a `cond`, the end of a `while`."""
    if rule.name != "where":
        return rule.name
    ahead = set(op.outs)
    for reader in program.readers(ahead):
        if reader.kind in ("cond", "while"):
            return reader.kind
        if reader.name == "select_n":
            return "where"
        ahead.update(out for out in reader.outs if not is_float(program.avals[out]))
    return "comparison" if ahead.isdisjoint(program.outs) else "while"
