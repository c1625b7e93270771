"""Kinks that cancel: `max(x, 0) + f(min(x, 0))` and Huber's loss bend twice at one place, and are smooth there."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..._jax.jaxpr import jaxprs
from ..program import Operation, Program
from ..rounding.bounds import Rounded, bound
from .margins import Margin, slope_tolerance
from .selections import ELEMENTWISE, REACH

_BENDS = ("max", "min", "abs")


class Recombination(NamedTuple):
    """What is made, entry by entry, of a value at which some operations bend."""

    compared: int
    bending: frozenset[int]  # the results of those that bend
    ops: tuple[Operation, ...]  # in order, those among them
    exits: tuple[int, ...]  # the results that others read


def recombinations(program: Program) -> dict[int, Recombination]:
    """Return, by the result of each max, min or abs that others are combined with, what becomes of it."""
    groups: dict[Any, list[int]] = {}
    for index, op in enumerate(program.ops):
        if op.name in _BENDS and not op.origin.primal and not op.origin.in_rule:
            threshold = _threshold(program, op)
            if threshold is not None:
                groups.setdefault(threshold, []).append(index)
    last = {number: index for index, op in enumerate(program.ops) for number in op.ins}
    last |= dict.fromkeys(program.outs, len(program.ops))
    found: dict[int, Recombination] = {}
    for (compared, _), bending in groups.items():
        result = _region(program, compared, bending, last)
        if len(result.ops) > len(bending):
            found |= {program.ops[index].outs[0]: result for index in bending}
    return found


def _threshold(program: Program, op: Operation) -> tuple[int, Any] | None:
    """Return what an operation bends at: a value, and the constant where it does; None if that moves too."""
    if op.name == "abs":
        return None if jnp.issubdtype(program.avals[op.ins[0]].dtype, jnp.complexfloating) else (op.ins[0], 0.0)
    first, second = op.ins
    compared, other = (second, first) if first in program.literals else (first, second)
    if program.has_derivative(other) or other == compared:
        return None
    literal = program.literals.get(other)
    return compared, other if literal is None or np.ndim(literal.val) else float(literal.val)


def _region(program: Program, compared: int, bending: Sequence[int], last: Mapping[int, int]) -> Recombination:
    """Follow what bends through operations of the same shape; `last`: by value, the last operation that reads it."""
    shape, first, within = program.avals[compared].shape, bending[0], set(bending)
    inside = {program.ops[index].outs[0] for index in bending}
    end = max(last.get(number, 0) for number in inside)
    for index in range(first, len(program.ops)):
        if index > end or len(within) >= REACH:
            break
        op = program.ops[index]
        plain = op.name in ELEMENTWISE and not op.origin.primal and program.avals[op.outs[0]].shape == shape
        if plain and index not in within and not inside.isdisjoint(op.ins):
            inside.add(op.outs[0])
            within.add(index)
            end = max(end, last.get(op.outs[0], 0))
    reached = range(first, min(end, len(program.ops) - 1) + 1)
    outside = {n for index in reached if index not in within for n in program.ops[index].ins} | set(program.outs)
    ops = tuple(program.ops[index] for index in sorted(within))
    exits = tuple(op.outs[0] for op in ops if op.outs[0] in outside)
    return Recombination(compared, frozenset(program.ops[index].outs[0] for index in bending), ops, exits)


def where_it_bends(made: Recombination, read: Callable[[int], Rounded], margin: Margin) -> Margin:
    """Return the margin of something that bends; nothing is decided where all that is made of it does not bend."""
    x, dtype = read(made.compared).value, margin.bound.dtype
    below, above, used = (
        jax.jvp(functools.partial(_made, made, read, side), (x,), (jnp.ones_like(x),)) for side in (False, True, None)
    )
    tolerance = slope_tolerance(x.dtype)
    smooth = jnp.ones(jnp.shape(x), bool)
    for number, values, slopes in zip(made.exits, zip(below[0], above[0]), zip(below[1], above[1], used[1])):
        left, right, taken = (jnp.real(slope).astype(dtype) for slope in slopes)
        level = jnp.maximum(jnp.abs(left), jnp.abs(right))
        straight = jnp.maximum(jnp.abs(right - left), jnp.abs(taken - left)) <= tolerance * level
        gap = jnp.abs(values[1] - values[0]).astype(dtype)
        smooth = smooth & straight & (gap <= 2 * bound(read(number)) + 2 * level * margin.bound)
    return margin._replace(distance=jnp.where(smooth, jnp.inf, margin.distance))


def _made(made: Recombination, read: Callable[[int], Rounded], above: bool | None, compared: Any) -> list[Any]:
    """Compute the exits at another compared value, as they are above or below the threshold, or as JAX does."""
    local = {made.compared: compared}
    value = lambda number: local[number] if number in local else read(number).value
    for op in made.ops:
        if above is not None and op.outs[0] in made.bending:
            local[op.outs[0]] = _side(op, value, made.compared, above)
        else:
            local[op.outs[0]] = jaxprs.apply(op.eqn, [value(number) for number in op.ins])[0]
    return [local[number] for number in made.exits]


def _side(op: Operation, value: Callable[[int], Any], compared: int, above: bool) -> Any:
    if op.name == "abs":
        return value(compared) if above else -value(compared)
    takes = compared if above == (op.name == "max") else next(n for n in op.ins if n != compared)
    return jnp.broadcast_to(value(takes), jnp.shape(value(compared)))
