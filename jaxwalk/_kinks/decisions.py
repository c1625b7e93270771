"""Finds the decisions of a flat program before anything runs: which count, and after which points they are named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from .._jax import call_parameters
from .._jax.types import is_float
from .._points.point import Axis
from .decision_rules import DecisionRule, decision_rule
from .liveness import Use, uses
from .program import Operation, Program
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
    axes: tuple[Axis, ...]  # the loops around it
    point: str | None  # the name of the first point that it feeds, or of the last before it
    conditional: bool  # in a branch


def decisions(program: Program) -> dict[Path, Decision]:
    """Return the decisions that a derivative of the results depends on, in forward order."""
    return {decision.path: decision for decision in _decisions(program, uses(program), _Around())}


class _Around(NamedTuple):
    path: Path = ()
    axes: tuple[Axis, ...] = ()
    conditional: bool = False
    before: str | None = None
    after: str | None = None


def _decisions(program: Program, used: Mapping[int, Use], around: _Around) -> Iterator[Decision]:
    before, after = _names_before(program, around.before), _names_after(program, around.after)
    selected = selections(program, used)
    for index, op in enumerate(program.ops):
        path = (*around.path, index)
        ahead = next((after[out] for out in op.outs if out in after), None)
        if op.bodies:
            inner = _Around(path, around.axes, around.conditional, before[index], ahead)
            for number, body in enumerate(op.bodies):
                yield from _decisions(body, used, _enter(op, number, inner))
        elif (rule := decision_rule(program, op, used)) is not None and _counts(program, op, rule, used):
            found = selected.get(op.outs[0], [])
            if found is not None:  # of comparisons that are alike, the first stands for all
                name = op.origin.function or _name(program, op, rule)
                point = ahead or before[index]
                yield Decision(path, op, rule, name, found, around.axes, point, around.conditional)


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


def _names_before(program: Program, around: str | None) -> list[str | None]:
    """Return, per operation, the last name given to a value that it depends on."""
    own = {number: names[-1] for number, names in program.names.items()}
    named = dict.fromkeys(program.ins, around) | own
    found = []
    for op in program.ops:
        found.append(next((named[n] for n in reversed(op.ins) if named.get(n) is not None), None))
        named |= {out: own.get(out, found[-1]) for out in op.outs}
    return found


def _names_after(program: Program, around: str | None) -> dict[int, str]:
    """Return, per value, the first name given to a value that depends on it."""
    own = {number: names[0] for number, names in program.names.items()}
    named = ({} if around is None else dict.fromkeys(program.outs, around)) | own
    for op in reversed(program.ops):
        ahead = next((named[out] for out in (*op.outs, *op.ruled) if out in named), None)
        if ahead is not None and op.kind != "cut":
            named.update({number: ahead for number in op.ins if number not in own})
    return named
