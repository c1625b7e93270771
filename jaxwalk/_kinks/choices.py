"""What decides: per primitive, how far a choice is from its threshold, and the rounding error of that distance."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from .._jax import jaxprs
from .._jax.primitives import COMPARISONS, primitive
from .program import Flat, Op, is_float, is_number
from .rounding.bounds import Rounded, bound, wide


class Choice(NamedTuple):
    """One decision of an operation, entry by entry.

    Attributes:
        distance: of the decided operand from its threshold, positive above it; inf where nothing is decided.
        bound: of the rounding error of `distance`.
        left, right: the derivative by the decided operand below and above the threshold, where it is known.
        used: the derivative that JAX takes at this point.
    """

    distance: Any
    bound: Any
    left: Any = None
    right: Any = None
    used: Any = None


class Decider(NamedTuple):
    """How a primitive decides.

    Attributes:
        name: what it is called in a table.
        choices: (operation, operands, results) -> {what is decided: Choice}.
        jumps: whether the value itself jumps; else only its derivative does, and it decides something only where a
            derivative flows through it.
        note: what the entries are, where they are not those of the result.
    """

    name: str
    choices: Callable[[Op, Sequence[Rounded], Sequence[Any]], dict[str, Choice]]
    jumps: bool = False
    note: str = ""


def decider(op: Op) -> Decider | None:
    """How an operation decides; None if it does not."""
    if op.kind != "op":
        return None
    found = _deciders().get(op.eqn.primitive)
    if found is None and op.eqn.primitive is primitive("convert"):
        is_cut = is_float(op.eqn.invars[0].aval) and not is_float(op.eqn.outvars[0].aval)
        return _TRUNCATION if is_cut and op.eqn.outvars[0].aval.dtype != jnp.bool_ else None
    if found is not None and not all(is_float(v.aval) for v in op.eqn.invars):
        return None  # integers are exact
    return found


def is_decided(flat: Flat, op: Op, by: Decider, live: set[int]) -> bool:
    """Whether a derivative of the results depends on how this operation decides, and an input on how it turns out."""
    if op.place.primal or not any(out in live for out in op.outs):
        return False
    among = flat.data if by.jumps else flat.active
    differ = len(op.ins) < 2 or not is_number(op.ins[0]) or op.ins[0] != op.ins[1]  # x != x asks for NaN
    return differ and any(flat.flags(op.ins, among))


def _wide(x: Rounded) -> Any:
    return jnp.real(x.value).astype(wide(x.value.dtype))


def _between(a: Rounded, b: Rounded) -> tuple[Any, Any]:
    """a - b, and its bound; equal infinities are no decision. Complex numbers: |a - b|, for they can only be equal."""
    if jnp.iscomplexobj(a.value):
        return jnp.abs(a.value - b.value), bound(a) + bound(b)
    a_value, b_value = _wide(a), _wide(b)
    distance = jnp.where((a_value == b_value) & jnp.isinf(a_value), jnp.inf, a_value - b_value)
    return distance, bound(a) + bound(b)


def _compared(op: Op, xs: Sequence[Rounded], zs: Sequence[Any]) -> dict[str, Choice]:
    return {"": Choice(*_between(*xs))}


def _extreme(sign: int) -> Callable[[Op, Sequence[Rounded], Sequence[Any]], dict[str, Choice]]:
    """max (sign 1) or min (sign -1) of two; the decided operand is the first that is no constant."""

    def choices(op: Op, xs: Sequence[Rounded], zs: Sequence[Any]) -> dict[str, Choice]:
        which = 0 if is_number(op.ins[0]) or not is_number(op.ins[1]) else 1
        distance, error = _between(xs[which], xs[1 - which])
        left, right = (0.0, 1.0) if sign > 0 else (1.0, 0.0)
        return {"": Choice(distance, error, left, right, _used(op, xs, which))}

    return choices


def _used(op: Op, xs: Sequence[Rounded], which: int) -> Any:
    """What JAX takes for the derivative by one operand, here, entry by entry."""
    values = [x.value for x in xs]
    moved = lambda v: jaxprs.apply(op.eqn, [*values[:which], v, *values[which + 1 :]])[0]
    return jax.jvp(moved, (values[which],), (jnp.ones_like(values[which]),))[1]


def _around_zero(left: float, right: float) -> Callable[..., dict[str, Choice]]:
    def choices(op: Op, xs: Sequence[Rounded], zs: Sequence[Any]) -> dict[str, Choice]:
        (x,) = xs
        if jnp.iscomplexobj(x.value):  # there is no left and right of 0
            return {"": Choice(jnp.abs(x.value), bound(x))}
        return {"": Choice(_wide(x), bound(x), left, right, _used(op, xs, 0))}

    return choices


def _clamped(op: Op, xs: Sequence[Rounded], zs: Sequence[Any]) -> dict[str, Choice]:
    low, x, high = xs
    found = {}
    for name, threshold, left, right in (("lower", low, 0.0, 1.0), ("upper", high, 1.0, 0.0)):
        distance, error = _between(x, threshold)
        found[name] = Choice(distance, error, left, right, _used(op, xs, 1))
    return found


def _stepped(half: float) -> Callable[..., dict[str, Choice]]:
    """floor, ceil (half 0) and round (half ½): the value jumps, the derivative is 0 on either side."""

    def choices(op: Op, xs: Sequence[Rounded], zs: Sequence[Any]) -> dict[str, Choice]:
        (x,) = xs
        value = _wide(x)
        distance = value - (jnp.floor(value) + half if half else jnp.round(value))
        return {"": Choice(distance, bound(x), 0.0, 0.0, 0.0)}

    return choices


def _truncated(op: Op, xs: Sequence[Rounded], zs: Sequence[Any]) -> dict[str, Choice]:
    value = _wide(xs[0])
    nearest = jnp.round(value)
    return {"": Choice(jnp.where(nearest == 0, jnp.inf, value - nearest), bound(xs[0]))}


def _largest(sign: int, share: bool) -> Callable[..., dict[str, Choice]]:
    """Over an axis: how far each entry is behind the largest; of equal largest ones, all, at 0."""

    def choices(op: Op, xs: Sequence[Rounded], zs: Sequence[Any]) -> dict[str, Choice]:
        (x,) = xs
        axes, value, error = tuple(op.eqn.params["axes"]), sign * _wide(x), bound(x)
        most = jnp.max(value, axis=axes, keepdims=True)
        first = value == most
        count = jnp.sum(first, axis=axes, keepdims=True)
        theirs = jnp.max(jnp.where(first, error, 0), axis=axes, keepdims=True)
        behind = jnp.where(first, jnp.where((count > 1) & jnp.isfinite(most), 0, jnp.inf), value - most)
        distance = jnp.where(jnp.isnan(most) & ~jnp.isnan(value), jnp.inf, behind).astype(error.dtype)
        if not share:
            return {"": Choice(distance, error + theirs)}
        used = jnp.where(first, 1 / jnp.maximum(count, 1), 0).astype(error.dtype)
        left, right = (0.0, 1.0) if sign > 0 else (1.0, 0.0)
        return {"": Choice(sign * distance, error + theirs, left, right, used)}

    return choices


def _neighbours(op: Op, xs: Sequence[Rounded], zs: Sequence[Any]) -> dict[str, Choice]:
    """Values put in order: how far each is from the next; of `top_k`, down to the first that is left out."""
    axis = op.eqn.params.get("dimension", op.eqn.params.get("axis"))
    value, error = lax.sort((_wide(xs[0]), bound(xs[0])), dimension=axis, num_keys=1)
    length = value.shape[axis]
    start = max(length - op.eqn.params["k"] - 1, 0) if "k" in op.eqn.params else 0
    cut = lambda v, a, b: lax.slice_in_dim(v, a, b, axis=axis)
    upper, lower = (
        (cut(v, min(start + 1, length), length) for v in (value, error)),
        (cut(v, start, max(length - 1, start)) for v in (value, error)),
    )
    (next_value, next_error), (this_value, this_error) = upper, lower
    gap = jnp.where((next_value == this_value) & jnp.isinf(this_value), jnp.inf, next_value - this_value)
    return {"": Choice(gap, this_error + next_error)}


def _running(sign: int) -> Callable[..., dict[str, Choice]]:
    """cummax, cummin: how far each entry is from the extreme of those before it."""

    def choices(op: Op, xs: Sequence[Rounded], zs: Sequence[Any]) -> dict[str, Choice]:
        (x,) = xs
        axis, reverse = op.eqn.params["axis"], op.eqn.params["reverse"]
        value, error = sign * _wide(x), bound(x)
        so_far, their = lax.cummax(value, axis, reverse=reverse), lax.cummax(error, axis, reverse=reverse)
        length = value.shape[axis]
        edge, shift = (length - 1, -1) if reverse else (0, 1)
        before, theirs = (jnp.roll(v, shift, axis) for v in (so_far, their))
        at_edge = lax.broadcasted_iota(jnp.int32, value.shape, axis) == edge
        distance = jnp.where(at_edge | ((value == before) & jnp.isinf(value)), jnp.inf, value - before)
        return {"": Choice(sign * distance, error + theirs)}

    return choices


def _in_window(sign: int) -> Callable[..., dict[str, Choice]]:
    """Pooling: how far the largest of each window is from the next that rounding could put in its place."""

    def choices(op: Op, xs: Sequence[Rounded], zs: Sequence[Any]) -> dict[str, Choice]:
        entries = _windows(op, sign * _wide(xs[0]), -jnp.inf)
        errors = _windows(op, bound(xs[0]), 0.0)
        best, its = next(entries), next(errors)
        second, its_second = jnp.full_like(best, -jnp.inf), jnp.zeros_like(its)
        for entry, error in zip(entries, errors, strict=True):
            better = entry > best
            loser, its_loser = jnp.where(better, best, entry), jnp.where(better, its, error)
            best, its = jnp.where(better, entry, best), jnp.where(better, error, its)
            closer = loser + its_loser > second + its_second
            second, its_second = jnp.where(closer, loser, second), jnp.where(closer, its_loser, its_second)
        gap = jnp.where(jnp.isneginf(second), jnp.inf, best - second)
        return {"": Choice(gap, its + its_second)}

    return choices


def _windows(op: Op, x: Any, fill: float):
    """The entries of all windows, one place in the window after the other."""
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


_TRUNCATION = Decider("truncation", _truncated, True)


@functools.cache
def _deciders() -> dict[Any, Decider]:
    per_entry = "entries of what the largest is taken of"
    order = "entry i: the places i and i + 1 in the order"
    named = {
        "max": Decider("max", _extreme(1)),
        "min": Decider("min", _extreme(-1)),
        "abs": Decider("abs", _around_zero(-1.0, 1.0)),
        "sign": Decider("sign", _around_zero(0.0, 0.0), True),
        "clamp": Decider("clip", _clamped),
        "floor": Decider("floor", _stepped(0.0), True),
        "ceil": Decider("ceil", _stepped(0.0), True),
        "round": Decider("round", _stepped(0.5), True),
        "reduce_max": Decider("max", _largest(1, True), False, per_entry),
        "reduce_min": Decider("min", _largest(-1, True), False, per_entry.replace("largest", "smallest")),
        "argmax": Decider("argmax", _largest(1, False), True, per_entry),
        "argmin": Decider("argmin", _largest(-1, False), True, per_entry.replace("largest", "smallest")),
        "sort": Decider("sort", _neighbours, True, order),
        "top_k": Decider("top_k", _neighbours, True, order),
        "cummax": Decider("cummax", _running(1)),
        "cummin": Decider("cummin", _running(-1)),
        "reduce_window_max": Decider("max_pool", _in_window(1), False, "one entry a window"),
        "reduce_window_min": Decider("min_pool", _in_window(-1), False, "one entry a window"),
    }
    named |= {name: Decider("where", _compared, True) for name in COMPARISONS}
    return {primitive(name): decider for name, decider in named.items()}


def tolerance(dtype: Any) -> float:
    """How much two derivatives may differ, relatively, and count as equal."""
    return 4 * math.sqrt(float(jnp.finfo(dtype).eps))
