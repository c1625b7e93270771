"""Margins of what takes the largest, or puts in order: how far each entry is from changing its place."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence

import jax
import jax.numpy as jnp
from jax import lax

from ..._jax.jaxpr.types import is_float
from ..program import Operation, Program
from ..rounding.bounds import Rounded, bound
from .margins import SLOPES, Margin, Parts, gap, real


def largest(sign: int, shares: bool, program: Program, op: Operation, xs: Sequence[Rounded]) -> Parts:
    """Measure how far each entry is behind the largest over an axis; if several are the largest, each at 0."""
    axes, value, error = tuple(op.eqn.params["axes"]), sign * real(xs[0]), bound(xs[0])
    most = jnp.max(value, axis=axes, keepdims=True)
    first = value == most
    count = jnp.sum(first, axis=axes, keepdims=True)
    error_of_most = jnp.max(jnp.where(first, error, 0), axis=axes, keepdims=True)
    behind = jnp.where(first, jnp.where((count > 1) & jnp.isfinite(most), 0, jnp.inf), value - most)
    distance = jnp.where(jnp.isnan(most) & ~jnp.isnan(value), jnp.inf, behind).astype(error.dtype)
    if not shares:
        if (moves := xs[0].moves) is not None:
            moves = moves | jnp.any(moves & first, axis=axes, keepdims=True)
            distance = jnp.where(moves, distance, jnp.inf)
        return {"": Margin(distance, error + error_of_most)}
    used = jnp.where(first, 1 / jnp.maximum(count, 1), 0).astype(error.dtype)
    return {"": Margin(sign * distance, error + error_of_most, *SLOPES[sign], used)}


def order(program: Program, op: Operation, xs: Sequence[Rounded]) -> Parts:
    """Measure how far each of the rows put in order is from the next: by the first key that moves, if those before it
    are equal."""
    axis, count = op.eqn.params["dimension"], op.eqn.params["num_keys"]
    keys = [real(x) if is_float(x.value) else x.value for x in xs[:count]]
    moving = list(map(program.is_continuous, op.ins[:count]))
    which = moving.index(True)
    *found, error, moves = lax.sort((*keys, bound(xs[which]), _moves(xs[which])), dimension=axis, num_keys=count)
    lower, upper = _neighbours(axis, 0)
    apart = [upper(key) != lower(key) for key in found[:which]] + [~(lower(moves) | upper(moves))] * (count < len(xs))
    distance = gap(upper(found[which]), lower(found[which]))
    distance = functools.reduce(lambda d, differ: jnp.where(differ, jnp.inf, d), apart, distance)
    return {"": Margin(distance, lower(error) + upper(error))}


def largest_few(program: Program, op: Operation, xs: Sequence[Rounded]) -> Parts:
    """Measure how far each of the largest is from the next, down to the first left out: in their order, downwards."""
    p = op.eqn.params
    axis = (p["axis"] if "axis" in p else p["reduction_dimension"]) % xs[0].value.ndim
    sign = 1 if p.get("is_max_k", True) else -1
    keys = sign * real(xs[0]), bound(xs[0])
    value, error = lax.sort(keys, dimension=axis, num_keys=1)
    lower, upper = _neighbours(axis, max(value.shape[axis] - p["k"] - 1, 0))
    downwards = lambda v: lax.rev(v, (axis,))
    return {"": Margin(downwards(gap(upper(value), lower(value))), downwards(lower(error) + upper(error)))}


def _moves(x: Rounded) -> jax.Array:
    return jnp.broadcast_to(True if x.moves is None else x.moves, jnp.shape(x.value))


def _neighbours(axis: int, start: int) -> tuple[Callable[[jax.Array], jax.Array], ...]:
    """Return what takes the lower, and the upper, of each two neighbours along an axis, the first from `start` on."""
    lower = lambda v: lax.slice_in_dim(v, start, max(v.shape[axis] - 1, start), axis=axis)
    upper = lambda v: lax.slice_in_dim(v, min(start + 1, v.shape[axis]), v.shape[axis], axis=axis)
    return lower, upper


def running(sign: int, program: Program, op: Operation, xs: Sequence[Rounded]) -> Parts:
    """Measure how far each entry of a cummax or cummin is from the extreme of those before it."""
    axis, reverse = op.eqn.params["axis"], op.eqn.params["reverse"]
    value, error = sign * real(xs[0]), bound(xs[0])
    edge, shift = (value.shape[axis] - 1, -1) if reverse else (0, 1)
    before, error_before = (jnp.roll(lax.cummax(v, axis, reverse=reverse), shift, axis) for v in (value, error))
    is_first = lax.broadcasted_iota(jnp.int32, value.shape, axis) == edge
    return {"": Margin(sign * jnp.where(is_first, jnp.inf, gap(value, before)), error + error_before)}


def pooling(sign: int, program: Program, op: Operation, xs: Sequence[Rounded]) -> Parts:
    """Measure how far the largest of each window is from the next that rounding could put in its place."""
    entries = _window_entries(op, sign * real(xs[0]), -jnp.inf)
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
