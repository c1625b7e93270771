"""`health`: what the rules of `jw.health` look at, as cheap as it can be had in every step of a training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from ._activations import active_at, finish_active, finish_saturated, saturated_at
from ._moments import finish_moments, merge_all_moments, merge_moments
from ._numerics.looks import ENOUGH, careful_look, closed, first_look, opened, second_look
from ._numerics.one_pass import one_look
from ._numerics.quick import on_cpus, quick_or
from ._numerics.subnormal import larger, largest, rescaled, scale_of, scaled
from ._numerics.sums import (
    all_sums,
    are_zero,
    common_scale,
    common_scale_of_all,
    counted,
    over,
    real,
    share,
    sums,
)
from ._statistic import State, Statistic, numpy_of, union

Sums: TypeAlias = dict[str, Any]  # a state
_BEYOND = ("underflow", "overflow")
_COUNTS = ("zeros", "nan", "inf")
_HALF = (jnp.float16, jnp.bfloat16)


# What both sides have ------------------------------------------------------------------------------------


def _careful(x: jax.Array) -> tuple[Sums, jax.Array, jax.Array]:
    """Return what both sides have; the entries divided by the scale, zero where they are not finite; which are."""
    x = real(x)
    finite, nan = jnp.isfinite(x), counted(jnp.isnan(x))
    count, kept = counted(finite), jnp.where(finite, x, 0)
    size = largest(jnp.abs(kept))
    scale = scale_of(size)
    state = {"count": count, "scale": scale, "max": size, "zeros": counted(are_zero(x)), "nan": nan}
    return state | {"inf": x.size - count - nan}, scaled(kept, scale), finite


def _merged_counts(a: State, b: State) -> Sums:
    return {"max": larger(a["max"], b["max"]), **{key: a[key] + b[key] for key in _COUNTS}}


def _all_counts(states: State, which: Any) -> Sums:
    return {"max": largest(states["max"], 0), **all_sums({key: states[key] for key in _COUNTS}, which)}


def _finish_counts(state: State) -> dict[str, Any]:
    xp = numpy_of(state)
    return {
        "max": xp.where(state["count"] > 0, state["max"], xp.nan),
        "zeros": share(state["zeros"], state["count"]),
        "nan": state["nan"],
        "inf": state["inf"],
    }


# The output ----------------------------------------------------------------------------------------------


def _output_of(x: jax.Array) -> Sums:
    state, parts, finite = _careful(x)
    mean = jnp.sum(parts) / jnp.maximum(state["count"], 1).astype(parts.dtype)
    return state | {"mean": mean, "squares": jnp.sum(jnp.where(finite, jnp.square(parts - mean), 0))}


def _merge_output(a: State, b: State) -> Sums:
    return {**merge_moments(a, b)} | _merged_counts(a, b)


def _merge_all_output(states: State, which: Any) -> Sums:
    return {**merge_all_moments(states, which)} | _all_counts(states, which)


def _finish_output(state: State) -> dict[str, Any]:
    with np.errstate(over="ignore"):
        moments = finish_moments(state)
        square = over(state["squares"], state["count"]) + state["mean"] ** 2
        rms = rescaled(numpy_of(state).sqrt(square), state["scale"])
    found = {"mean": moments["mean"], "std": moments["std"], "rms": rms} | _finish_counts(state)
    return {f"output_{name}": value for name, value in found.items()}


# δ -------------------------------------------------------------------------------------------------------


def _delta_of(x: jax.Array) -> Sums:
    state, parts, _ = _careful(x)
    squares = jnp.sum(parts * parts)
    is_whole = state["count"] == x.size
    l2 = jnp.where(is_whole, jnp.sqrt(squares), 0)
    return state | {"data": is_whole.astype(jnp.int32), "l2": l2, "squares": squares}


def _beyond(x: jax.Array) -> dict[str, jax.Array]:
    """Return, of a dtype of 16 bits, which entries are at the lower end and at the upper end of its range."""
    if x.dtype not in _HALF:
        return {}
    info, size = jnp.finfo(x.dtype), jnp.abs(x)
    return {"underflow": (size > 0) & (size < info.tiny), "overflow": size >= info.max / 2}


def _merge_delta(a: State, b: State) -> Sums:
    scale, of_a, of_b = common_scale(a, b)
    added = {key: a[key] + b[key] for key in a if key in ("count", "data", *_BEYOND)}
    l2 = a["l2"] * of_a + b["l2"] * of_b
    squares = a["squares"] * of_a**2 + b["squares"] * of_b**2
    return _merged_counts(a, b) | added | {"scale": scale, "l2": l2, "squares": squares}


def _merge_all_delta(states: State, which: Any) -> Sums:
    scale, factor = common_scale_of_all(states)
    scaled_sums = {"l2": states["l2"] * factor, "squares": states["squares"] * factor**2}
    return {**all_sums({**states, **scaled_sums}, which)} | {"scale": scale, "max": largest(states["max"], 0)}


def _finish_delta(state: State) -> dict[str, Any]:
    scale, entries = state["scale"], state["count"] + state["nan"] + state["inf"]
    with np.errstate(over="ignore"):
        l2 = rescaled(over(state["l2"], state["data"]), scale)
        rms = rescaled(numpy_of(state).sqrt(over(state["squares"], state["count"])), scale)
    found = {"l2": l2, "rms": rms} | _finish_counts(state)
    found |= {key: share(state[key], entries) for key in _BEYOND if key in state}
    return {f"delta_{name}": value for name, value in found.items()}


# The statistic -------------------------------------------------------------------------------------------


def _nothing(output: Any, delta: Any) -> Sums:
    return {}


def _look(side: str, of: Callable) -> Callable[[jax.Array], State]:
    """Return what looks at an array of one side: in one pass, or on CPUs in as many as `first_look` has."""
    about_mean = side == "output"
    masks = _beyond if side == "delta" else lambda x: {}
    counts = lambda x: {name: counted(mask) for name, mask in masks(x).items()}

    def quick(x: jax.Array) -> tuple[State, jax.Array]:
        vector, is_right = first_look(real(x), about_mean)
        return {"vector": vector} | counts(x), is_right

    def again(x: jax.Array, found: State) -> State:
        return {**found, "vector": second_look(real(x), found["vector"], about_mean)}

    def at_once(x: jax.Array) -> State:
        vector, found = one_look(real(x), about_mean, masks(x))
        return {"vector": vector} | found

    def brief(x: jax.Array) -> State:
        return {"vector": careful_look(real(x), about_mean)} | counts(x)

    careful = lambda x: {"vector": closed(of(real(x)))} | counts(x)
    many = quick_or(careful, quick, again, at_once)
    few = on_cpus(brief, at_once, lambda: jax.vmap(many), careful)
    return lambda x: (few if x.size < ENOUGH else many)(x)


def _in_vector(name: str, side: str, of: Callable, functions: Sequence[Callable]) -> Statistic:
    """Return the statistic of one side, whose state is a vector of its numbers, and what is of 16 bits alone."""
    merge, finish, merge_all = functions
    beside = lambda state: {key: state[key] for key in _BEYOND if key in state}
    state_of = lambda state: opened(state["vector"]) | beside(state)
    vector_of = lambda state: {"vector": closed(state)} | beside(state)
    look = _look(side, of)

    def of_side(output: Any, delta: Any) -> State:
        x = jnp.asarray(output if side == "output" else delta)
        return look(x if side == "delta" and x.dtype in _HALF else real(x))

    return Statistic(
        name,
        of_side,
        lambda a, b: vector_of(merge(state_of(a), state_of(b))),
        lambda state: finish(state_of(state)),
        side,
        merge_all=lambda states, which: vector_of(merge_all(state_of(states), which)),
        by_entry=True,
    )


def _parts() -> list[Statistic]:
    of_output = _merge_output, _finish_output, _merge_all_output
    of_delta = _merge_delta, _finish_delta, _merge_all_delta
    counts = {"merge": sums, "side": "output", "merge_all": all_sums, "by_entry": True}
    return [
        _in_vector("output_health", "output", _output_of, of_output),
        _in_vector("delta_health", "delta", _delta_of, of_delta),
        Statistic("active", _nothing, finish=finish_active, at=active_at, **counts),
        Statistic("saturated", _nothing, finish=finish_saturated, at=saturated_at, **counts),
    ]


HEALTH = union("health", _parts())
