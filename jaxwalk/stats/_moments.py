"""Norms, and mean and variance, of one array: their states, which merge, and what they come to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._measure import Measure
from ._numerics.quick_squares import quick_squares
from ._numerics.subnormal import larger, largest, rescaled, scale_of, scaled
from ._numerics.sums import (
    all_sums,
    by_unit,
    common_scale,
    common_scale_of_all,
    counted,
    entry_axes,
    over,
    real,
)
from ._statistic import State, numpy_of


def _scaled_norms(x: jax.Array) -> State:
    x = real(x)
    finite = jnp.isfinite(x)
    count = counted(finite)
    sizes = jnp.where(finite, jnp.abs(x), 0)
    size = largest(sizes)
    scale = scale_of(size)
    parts = scaled(sizes, scale)
    squares = jnp.sum(parts * parts)
    is_whole = count == x.size
    return {
        "data": is_whole.astype(jnp.int32),
        "count": count,
        "scale": scale,
        "max": size,
        "l1": jnp.where(is_whole, jnp.sum(parts), 0),
        "l2": jnp.where(is_whole, jnp.sqrt(squares), 0),
        "squares": squares,
    }


def _quick_norms(x: jax.Array) -> tuple[State, jax.Array]:
    x = real(x)
    found = quick_squares(x)
    state = {
        "data": jnp.ones((), jnp.int32),
        "count": jnp.full((), x.size, jnp.int32),
        "scale": found.scale,
        "max": found.largest,
        "l1": jnp.sum(jnp.abs(x)),
        "l2": jnp.sqrt(found.squares),
        "squares": found.squares,
    }
    return state, found.is_right


def _merge_norms(a: State, b: State) -> State:
    scale, of_a, of_b = common_scale(a, b)
    return {
        "data": a["data"] + b["data"],
        "count": a["count"] + b["count"],
        "scale": scale,
        "max": larger(a["max"], b["max"]),
        "l1": a["l1"] * of_a + b["l1"] * of_b,
        "l2": a["l2"] * of_a + b["l2"] * of_b,
        "squares": a["squares"] * of_a**2 + b["squares"] * of_b**2,
    }


def _merge_all_norms(states: State, which: jax.Array) -> State:
    scale, factor = common_scale_of_all(states)
    factors = {"l1": factor, "l2": factor, "squares": factor**2}
    sums = all_sums({key: states[key] * factors[key] if key in factors else states[key] for key in states}, which)
    return {**sums, "scale": scale, "max": largest(states["max"], 0)}


def _finish_norms(state: State) -> dict[str, Any]:
    xp, scale = numpy_of(state), state["scale"]
    with np.errstate(over="ignore"):
        return {
            "l1": rescaled(over(state["l1"], state["data"]), scale),
            "l2": rescaled(over(state["l2"], state["data"]), scale),
            "max": xp.where(state["count"] > 0, state["max"], xp.nan),
            "rms": rescaled(xp.sqrt(over(state["squares"], state["count"])), scale),
        }


NORMS = Measure(_scaled_norms, _merge_norms, _finish_norms, _merge_all_norms, _quick_norms)


# Mean and variance -----------------------------------------------------------------------------------------


def _scaled_moments(x: jax.Array, axes: Sequence[int] | None) -> State:
    finite = jnp.isfinite(x)
    count = counted(finite, axes, keepdims=True)
    scale = scale_of(largest(jnp.where(finite, jnp.abs(x), 0), axes, True))
    parts = scaled(jnp.where(finite, x, 0), scale)
    mean = jnp.sum(parts, axis=axes, keepdims=True) / jnp.maximum(count, 1).astype(x.dtype)
    squares = jnp.sum(jnp.where(finite, jnp.square(parts - mean), 0), axis=axes, keepdims=True)
    state = {"count": count, "scale": scale, "mean": mean, "squares": squares}
    return {key: jnp.squeeze(value, axes) for key, value in state.items()}


def _quick_moments(x: jax.Array) -> tuple[State, jax.Array]:
    x = real(x)
    found, mean = quick_squares(x), jnp.sum(x) / max(x.size, 1)
    squares, count = jnp.sum((x - mean) ** 2), jnp.full((), x.size, jnp.int32)
    return {"count": count, "scale": found.scale, "mean": mean, "squares": squares}, found.is_right


def merge_moments(a: State, b: State) -> State:
    """Merge as in Chan, Golub, LeVeque: Updating formulae and a pairwise algorithm for computing sample variances
    (1979)."""
    scale, of_a, of_b = common_scale(a, b)
    count = a["count"] + b["count"]
    share = b["count"].astype(scale.dtype) / numpy_of((a, b)).maximum(count, 1).astype(scale.dtype)
    mean = a["mean"] * of_a
    step = b["mean"] * of_b - mean
    between = step * step * a["count"].astype(scale.dtype) * share
    return {
        "count": count,
        "scale": scale,
        "mean": mean + step * share,
        "squares": a["squares"] * of_a**2 + b["squares"] * of_b**2 + between,
    }


def merge_all_moments(states: State, which: jax.Array) -> State:
    """Merge as `merge_moments` does, about the mean of all, and take the rounding error of that mean out again."""
    scale, factor = common_scale_of_all(states)
    count = jnp.sum(states["count"], 0, dtype=jnp.int32)
    weights = states["count"].astype(scale.dtype)
    number = jnp.maximum(count, 1).astype(scale.dtype)
    means = states["mean"] * factor
    mean = jnp.sum(weights * means, 0) / number
    steps = jnp.where(weights > 0, means - mean[None], 0)
    error = jnp.sum(weights * steps, 0) / number
    between = jnp.maximum(jnp.sum(weights * steps**2, 0) - number * error**2, 0)
    squares = jnp.sum(states["squares"] * factor**2, 0) + between
    return {"count": count, "scale": scale, "mean": mean + error, "squares": squares}


def finish_moments(state: State) -> dict[str, Any]:
    xp, scale = numpy_of(state), state["scale"]
    variance = over(state["squares"], state["count"])
    with np.errstate(over="ignore"):
        return {
            "mean": xp.where(state["count"] > 0, rescaled(state["mean"], scale), xp.nan),
            "variance": variance * scale * scale,
            "std": rescaled(xp.sqrt(variance), scale),
        }


def _finish_unit_moments(state: State) -> dict[str, Any]:
    return {f"unit_{name}": value for name, value in finish_moments(state).items()}


def _unit_moments_of(x: jax.Array) -> State:
    x = by_unit(x)
    return _scaled_moments(x, entry_axes(x))


ENTRY_MOMENTS = Measure(
    lambda x: _scaled_moments(real(x), None), merge_moments, finish_moments, merge_all_moments, _quick_moments
)
UNIT_MOMENTS = Measure(_unit_moments_of, merge_moments, _finish_unit_moments, merge_all_moments)
