"""Decision rules: per primitive, what it is called where it decides, and how its margins are measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import jax.numpy as jnp

from ..._jax.jaxpr.jaxprs import jaxprs_of
from ..._jax.jaxpr.kinds import barrier_of
from ..._jax.jaxpr.primitives import COMPARISONS, names
from ..._jax.jaxpr.types import is_float
from ..liveness import Use
from ..program import Operation, Program
from ..rounding.bounds import Rounded
from .margins import (
    Parts,
    at_zero,
    bits,
    clamp,
    comparison,
    extreme,
    if_it_moves,
    lowest_bit,
    remainder,
    steps,
    truncation,
    truth,
)
from .orders import largest, largest_few, order, pooling, running

if TYPE_CHECKING:
    from jax.extend.core import JaxprEqn

_ALL = slice(None)


class DecisionRule(NamedTuple):
    """How a primitive decides."""

    name: str  # what it is called in a table
    margins: Callable[[Program, Operation, Sequence[Rounded]], Parts]  # by the operation and its operands
    jumping: slice = slice(0)  # which results jump there; of the others the derivative does, by whatever flows in
    note: str = ""  # what the entries are, where they are not those of the result


def decision_rule(program: Program, op: Operation, uses: Mapping[int, Use]) -> DecisionRule | None:
    """Return how an operation decides; None if it does not, or by what moves in steps alone, as integers do."""
    if op.name is None or not any(map(program.is_continuous, op.ins)):
        return None
    if op.name == "convert":
        dtype = program.avals[op.outs[0]].dtype
        discrete = "truth" if dtype == jnp.bool_ else "truncation" if jnp.issubdtype(dtype, jnp.integer) else ""
        return _RULES.get(discrete)
    if op.name == "bitcast":
        lowest = 0 if is_float(program.avals[op.outs[0]]) else lowest_bit(program, op, uses)
        return DecisionRule("bits", partial(if_it_moves, partial(bits, lowest)), _ALL) if lowest else None
    if op.name == "sort":
        keys = op.eqn.params["num_keys"]
        moves = any(map(program.is_continuous, op.ins[:keys]))
        return _RULES["sort"]._replace(jumping=slice(keys, None)) if moves else None
    return _RULES.get(op.name)


def may_decide(program: Program, op: Operation, uses: Mapping[int, Use]) -> bool:
    """Tell whether an operation may decide something by what moves, of which it is not known how.

    It makes integers of floats, as a pivoting does, runs a program that decides, or calls back to Python.
    """
    if op.kind != "op" or not any(map(program.is_continuous, op.ins)) or op.name not in (None, "bitcast"):
        return False
    if op.name == "bitcast":
        return not is_float(program.avals[op.outs[0]]) and decision_rule(program, op, uses) is None
    makes_integers = not all(is_float(program.avals[out]) for out in op.outs)
    return makes_integers or barrier_of(op.eqn) == "callback" or _decides(op.eqn)


def _decides(eqn: JaxprEqn) -> bool:
    name_of = names()
    inner = [inner for closed in jaxprs_of(eqn) for inner in closed.jaxpr.eqns]
    return any(name_of(inner) in _RULES or _decides(inner) for inner in inner)


def _rules() -> dict[str, DecisionRule]:
    jump = lambda name, measure: DecisionRule(name, partial(if_it_moves, measure), _ALL)
    places = "entry i: the places i and i + 1 in the order"
    rules = {
        "abs": DecisionRule("abs", partial(at_zero, -1.0, 1.0)),
        "sign": jump("sign", partial(at_zero, 0.0, 0.0)),
        "clamp": DecisionRule("clip", clamp),
        "floor": jump("floor", partial(steps, 0.0)),
        "ceil": jump("ceil", partial(steps, 0.0)),
        "round": jump("round", partial(steps, 0.5)),
        "rem": jump("remainder", remainder),
        "sort": DecisionRule("sort", order, note=places),
        "top_k": DecisionRule("top_k", largest_few, slice(1, None), places),
        "approx_top_k": DecisionRule("top_k", largest_few, slice(1, None), places),
        "truncation": jump("truncation", truncation),
        "truth": jump("not 0", truth),
    } | {name: DecisionRule("where", comparison, _ALL) for name in COMPARISONS}
    for end, sign, word in (("max", 1, "largest"), ("min", -1, "smallest")):
        taken = f"entries of what the {word} is taken of"
        rules |= {
            end: DecisionRule(end, partial(extreme, sign)),
            f"reduce_{end}": DecisionRule(end, partial(largest, sign, True), note=taken),
            f"arg{end}": DecisionRule(f"arg{end}", partial(largest, sign, False), _ALL, taken),
            f"cum{end}": DecisionRule(f"cum{end}", partial(running, sign)),
            f"reduce_window_{end}": DecisionRule(f"{end}_pool", partial(pooling, sign), note="one entry a window"),
        }
    return rules


_RULES = _rules()
