"""The one-sided derivatives of a selection, as of a `where`: by the value that is compared, below and above it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._jax.jaxpr import jaxprs
from .._jax.jaxpr.types import is_float
from .decisions.margins import Margin, slope_tolerance, where_it_moves
from .decisions.selections import Selection
from .program import Operation, Program
from .rounding.bounds import Rounded, bound

_Read = Callable[[int], Rounded]


def selection_margin(
    program: Program, comparison: Operation, read: _Read, margin: Margin, selection: Selection
) -> Margin:
    """Return the margin of a comparison with the derivatives of what it selects.

    Where both sides agree, in their derivative and to rounding in their value, nothing is decided; nor where what is
    compared does not move, unless it is that by which the derivative is taken.
    """
    if not selection.in_rule and not selection.follows:
        margin = where_it_moves(margin, list(map(read, comparison.ins)))
    distance = -margin.distance if selection.is_second else margin.distance
    no, yes = (_case(program, selection, read, taken) for taken in (False, True))
    if no is None or yes is None:
        return Margin(distance, margin.bound)
    if not is_float(no.value) and not selection.in_rule:
        return Margin(jnp.where(no.value == yes.value, jnp.inf, distance), margin.bound)
    if comparison.name in ("eq", "ne"):
        left = right = no if comparison.name == "eq" else yes
    else:
        left, right = (no, yes) if (comparison.name in ("gt", "ge")) != selection.is_second else (yes, no)
    same = no.slope == yes.slope if isinstance(no.slope, float) and isinstance(yes.slope, float) else None
    used = yes.slope if same else jnp.where(read(comparison.outs[0]).value, yes.slope, no.slope)
    if not selection.in_rule and not (selection.bends and same is False):
        smooth = _smooth(no, yes, margin.bound, distance.dtype, selection.bends)
        distance = jnp.where(smooth, jnp.inf, distance)
    if comparison.name in ("eq", "ne") and selection.between and not selection.in_rule:
        point, around = (yes, False) if comparison.name == "eq" else (no, True)
        distance = jnp.where(_fills_gap(point, selection, read, around), jnp.inf, distance)
    return Margin(distance, margin.bound, left.slope, right.slope, used)


class _Case(NamedTuple):
    slope: Any  # a float where it is one and the same everywhere
    value: Any  # None in a derivative rule
    bound: Any


def _case(program: Program, selection: Selection, read: _Read, taken: bool) -> _Case | None:
    """Compute one case of a selection and its derivative by the compared value; None if that is not known."""
    number, uniform = selection.select.ins[1 + taken], selection.numbers[taken]
    if selection.in_rule:
        return _Case(read(number).value if uniform is None else uniform, None, None)
    if selection.between is None:
        return None
    x = read(number)
    if not is_float(x.value):
        return _Case(0.0, x.value, 0)
    if number == selection.compared or not program.has_derivative(number):
        return _Case(1.0 if number == selection.compared else 0.0, x.value, bound(x))
    if not any(number in op.outs for op in selection.between):
        return None  # it moves, but not with what is compared
    start = read(selection.compared).value
    again = functools.partial(_case_at, selection, read, taken)
    value, slope = jax.jvp(again, (start,), (jnp.ones_like(start),))
    return _Case(slope, value, bound(x))


def _case_at(selection: Selection, read: _Read, taken: bool, compared: Any) -> Any:
    """Compute a case at another compared value, with every selection by this comparison made alike."""
    local: dict[int, Any] = {selection.compared: compared}
    value = lambda number: local[number] if number in local else read(number).value
    for op in selection.between or ():
        if op.name == "select_n" and op.ins[0] in selection.alike:
            local[op.outs[0]] = jnp.asarray(value(op.ins[1 + taken]))
        else:
            local[op.outs[0]] = jaxprs.apply(op.eqn, [value(number) for number in op.ins])[0]
    return local[selection.select.ins[1 + taken]]


def _fills_gap(point: _Case, selection: Selection, read: _Read, around: bool) -> jax.Array:
    """Return where the case for one point goes on as the other case does on either side, as 1 for sin(x) / x at 0.

    The other case may be no number at the point itself; its limits are extrapolated from two distances.
    """
    x = read(selection.compared).value
    step = float(jnp.finfo(x.dtype).eps) ** 0.25 * jnp.maximum(jnp.abs(x), 1).astype(x.dtype)
    near = lambda move: jax.jvp(functools.partial(_case_at, selection, read, around), (x + move,), (jnp.ones_like(x),))
    found = [near(move) for move in (step, -step, step / 2, -step / 2)]
    scale = functools.reduce(jnp.maximum, [jnp.abs(number) for pair in found for number in pair])
    error = jnp.zeros_like(scale)
    for there, (right, left, nearer_right, nearer_left) in zip((point.value, point.slope), zip(*found)):
        jump = 2 * (nearer_right - nearer_left) - (right - left)
        limit = (4 * (nearer_right + nearer_left) - (right + left)) / 6
        error = jnp.maximum(error, jnp.maximum(jnp.abs(jump), jnp.abs(limit - there)))
    return error <= slope_tolerance(x.dtype) * scale


def _smooth(no: _Case, yes: _Case, error: Any, dtype: Any, bends: bool) -> jax.Array:
    """Return where both cases have one value, to rounding, and, where it counts, one derivative."""
    one, other = (jnp.asarray(case.slope).astype(dtype) for case in (no, yes))
    level = jnp.maximum(jnp.abs(one), jnp.abs(other))
    alike = (jnp.abs(one - other) <= slope_tolerance(no.value.dtype) * level) | (not bends)
    gap = jnp.abs(yes.value - no.value).astype(dtype)
    return alike & (gap <= yes.bound + no.bound + 2 * level * error)
