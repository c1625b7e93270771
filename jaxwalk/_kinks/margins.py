"""Decision rules: per primitive, how far an operand is from its threshold, and the rounding error of that distance."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from .._jax.jaxprs import function_of
from .._jax.primitives import COMPARISONS
from .._jax.types import is_float
from .program import Operation, Program
from .rounding.bounds import Rounded, bound, wide


class Margin(NamedTuple):
    """How far an operand is from the threshold of a decision, entry by entry."""

    distance: Any  # positive above the threshold; inf where nothing is decided
    bound: Any  # of the rounding error of the distance
    left: Any = None  # the derivative by the operand below the threshold, where it is known
    right: Any = None  # and above it
    used: Any = None  # the derivative that JAX takes at this point


_SLOPES = {1: (0.0, 1.0), -1: (1.0, 0.0)}  # of max(x, threshold), and of min, below and above the threshold
Parts = dict[str, Margin]  # by the part of an operation that decides: "lower" and "upper" of a clip, else ""


class DecisionRule(NamedTuple):
    """How a primitive decides."""

    name: str  # what it is called in a table
    margins: Callable[[Program, Operation, Sequence[Rounded]], Parts]  # by the operation and its operands
    jumps: bool = False  # whether the value jumps; else the derivative does, and one must flow through the operation
    note: str = ""  # what the entries are, where they are not those of the result


def decision_rule(program: Program, op: Operation) -> DecisionRule | None:
    """Return how an operation decides; None if it does not."""
    if op.name is None or not all(is_float(program.avals[number]) for number in op.ins):  # integers are exact
        return None
    if op.name == "convert":
        return _TRUNCATION if jnp.issubdtype(program.avals[op.outs[0]].dtype, jnp.integer) else None
    return _RULES.get(op.name)


def _real(x: Rounded) -> jax.Array:
    return jnp.real(x.value).astype(wide(x.value.dtype))


def _difference(a: Rounded, b: Rounded) -> tuple[jax.Array, jax.Array]:
    """Return a - b and its bound; |a - b| of complex numbers, for they can only be equal."""
    if jnp.iscomplexobj(a.value):
        return jnp.abs(a.value - b.value), bound(a) + bound(b)
    return _gap(_real(a), _real(b)), bound(a) + bound(b)


def _gap(a: jax.Array, b: jax.Array) -> jax.Array:
    """Return a - b; between equal infinities, where nothing is decided, inf."""
    return jnp.where((a == b) & jnp.isinf(a), jnp.inf, a - b)


def _used(op: Operation, xs: Sequence[Rounded], which: int) -> jax.Array:
    """Compute the derivative that JAX takes by one operand, here, entry by entry."""
    x, moved = xs[which].value, function_of(op.eqn, [x.value for x in xs], [which])
    return jax.jvp(lambda v: moved(v)[0], (x,), (jnp.ones_like(x),))[1]


def _comparison(program: Program, op: Operation, xs: Sequence[Rounded]) -> Parts:
    return {"": Margin(*_difference(*xs))}


def _extreme(sign: int, program: Program, op: Operation, xs: Sequence[Rounded]) -> Parts:
    """Measure a max (sign 1) or min (sign -1) of two; the operand that decides is the first that is no constant."""
    first, second = (number in program.literals for number in op.ins)
    which = 1 if first and not second else 0
    return {"": Margin(*_difference(xs[which], xs[1 - which]), *_SLOPES[sign], _used(op, xs, which))}


def _clamp(program: Program, op: Operation, xs: Sequence[Rounded]) -> Parts:
    low, x, high = xs
    used = _used(op, xs, 1)
    return {
        "lower": Margin(*_difference(x, low), *_SLOPES[1], used),
        "upper": Margin(*_difference(x, high), *_SLOPES[-1], used),
    }


def _at_zero(left: float, right: float, program: Program, op: Operation, xs: Sequence[Rounded]) -> Parts:
    (x,) = xs
    if jnp.iscomplexobj(x.value):  # there is no left and right of 0
        return {"": Margin(jnp.abs(x.value), bound(x))}
    return {"": Margin(_real(x), bound(x), left, right, _used(op, xs, 0))}


def _steps(half: float, program: Program, op: Operation, xs: Sequence[Rounded]) -> Parts:
    """Measure a floor or ceil (half 0) or a round (half ½): the value jumps, the derivative is 0 on either side."""
    value = _real(xs[0])
    distance = value - (jnp.floor(value) + half if half else jnp.round(value))
    return {"": Margin(distance, bound(xs[0]), 0.0, 0.0, 0.0)}


def _truncation(program: Program, op: Operation, xs: Sequence[Rounded]) -> Parts:
    value = _real(xs[0])
    nearest = jnp.round(value)
    return {"": Margin(jnp.where(nearest == 0, jnp.inf, value - nearest), bound(xs[0]))}


def _largest(sign: int, shares: bool, program: Program, op: Operation, xs: Sequence[Rounded]) -> Parts:
    """Measure how far each entry is behind the largest over an axis; if several are the largest, each at 0."""
    axes, value, error = tuple(op.eqn.params["axes"]), sign * _real(xs[0]), bound(xs[0])
    most = jnp.max(value, axis=axes, keepdims=True)
    first = value == most
    count = jnp.sum(first, axis=axes, keepdims=True)
    error_of_most = jnp.max(jnp.where(first, error, 0), axis=axes, keepdims=True)
    behind = jnp.where(first, jnp.where((count > 1) & jnp.isfinite(most), 0, jnp.inf), value - most)
    distance = jnp.where(jnp.isnan(most) & ~jnp.isnan(value), jnp.inf, behind).astype(error.dtype)
    if not shares:
        return {"": Margin(distance, error + error_of_most)}
    used = jnp.where(first, 1 / jnp.maximum(count, 1), 0).astype(error.dtype)
    return {"": Margin(sign * distance, error + error_of_most, *_SLOPES[sign], used)}


def _order(program: Program, op: Operation, xs: Sequence[Rounded]) -> Parts:
    """Measure how far each of the values put in order is from the next; of `top_k`, down to the first left out."""
    axis = op.eqn.params["dimension" if op.name == "sort" else "axis"]
    value, error = lax.sort((_real(xs[0]), bound(xs[0])), dimension=axis, num_keys=1)
    length = value.shape[axis]
    start = max(length - op.eqn.params["k"] - 1, 0) if "k" in op.eqn.params else 0
    upper = lambda v: lax.slice_in_dim(v, min(start + 1, length), length, axis=axis)
    lower = lambda v: lax.slice_in_dim(v, start, max(length - 1, start), axis=axis)
    return {"": Margin(_gap(upper(value), lower(value)), lower(error) + upper(error))}


def _running(sign: int, program: Program, op: Operation, xs: Sequence[Rounded]) -> Parts:
    """Measure how far each entry of a cummax or cummin is from the extreme of those before it."""
    axis, reverse = op.eqn.params["axis"], op.eqn.params["reverse"]
    value, error = sign * _real(xs[0]), bound(xs[0])
    edge, shift = (value.shape[axis] - 1, -1) if reverse else (0, 1)
    before, error_before = (jnp.roll(lax.cummax(v, axis, reverse=reverse), shift, axis) for v in (value, error))
    is_first = lax.broadcasted_iota(jnp.int32, value.shape, axis) == edge
    return {"": Margin(sign * jnp.where(is_first, jnp.inf, _gap(value, before)), error + error_before)}


def _pooling(sign: int, program: Program, op: Operation, xs: Sequence[Rounded]) -> Parts:
    """Measure how far the largest of each window is from the next that rounding could put in its place."""
    entries = _window_entries(op, sign * _real(xs[0]), -jnp.inf)
    errors = _window_entries(op, bound(xs[0]), 0.0)
    best, best_error = next(entries), next(errors)
    second, second_error = jnp.full_like(best, -jnp.inf), jnp.zeros_like(best_error)
    for entry, error in zip(entries, errors, strict=True):
        better = entry > best
        loser, loser_error = jnp.where(better, best, entry), jnp.where(better, best_error, error)
        best, best_error = jnp.where(better, entry, best), jnp.where(better, error, best_error)
        closer = loser + loser_error > second + second_error
        second, second_error = jnp.where(closer, loser, second), jnp.where(closer, loser_error, second_error)
    return {"": Margin(jnp.where(jnp.isneginf(second), jnp.inf, best - second), best_error + second_error)}


def _window_entries(op: Operation, x: jax.Array, fill: float) -> Iterator[jax.Array]:
    """Yield the entries of all windows, one place in the window after the other."""
    p = op.eqn.params
    padding = [
        (low, high, dilation - 1) for (low, high), dilation in zip(p["padding"], p["base_dilation"], strict=True)
    ]
    x = lax.pad(x, jnp.asarray(fill, x.dtype), padding)
    reach = [(n - 1) * d for n, d in zip(p["window_dimensions"], p["window_dilation"], strict=True)]
    for place in itertools.product(*map(range, p["window_dimensions"])):
        start = [i * d for i, d in zip(place, p["window_dilation"], strict=True)]
        stop = [n - r + s for n, r, s in zip(x.shape, reach, start, strict=True)]
        yield lax.slice(x, start, stop, p["window_strides"])


def _rules() -> dict[str, DecisionRule]:
    order = "entry i: the places i and i + 1 in the order"
    rules = {
        "abs": DecisionRule("abs", partial(_at_zero, -1.0, 1.0)),
        "sign": DecisionRule("sign", partial(_at_zero, 0.0, 0.0), jumps=True),
        "clamp": DecisionRule("clip", _clamp),
        "floor": DecisionRule("floor", partial(_steps, 0.0), jumps=True),
        "ceil": DecisionRule("ceil", partial(_steps, 0.0), jumps=True),
        "round": DecisionRule("round", partial(_steps, 0.5), jumps=True),
        "sort": DecisionRule("sort", _order, jumps=True, note=order),
        "top_k": DecisionRule("top_k", _order, jumps=True, note=order),
    } | {name: DecisionRule("where", _comparison, jumps=True) for name in COMPARISONS}
    for end, sign, extreme in (("max", 1, "largest"), ("min", -1, "smallest")):
        taken = f"entries of what the {extreme} is taken of"
        rules |= {
            end: DecisionRule(end, partial(_extreme, sign)),
            f"reduce_{end}": DecisionRule(end, partial(_largest, sign, True), note=taken),
            f"arg{end}": DecisionRule(f"arg{end}", partial(_largest, sign, False), jumps=True, note=taken),
            f"cum{end}": DecisionRule(f"cum{end}", partial(_running, sign)),
            f"reduce_window_{end}": DecisionRule(f"{end}_pool", partial(_pooling, sign), note="one entry a window"),
        }
    return rules


_RULES = _rules()
_TRUNCATION = DecisionRule("truncation", _truncation, jumps=True)
