"""How the output and δ point: δ·output, and how far the data pull in one direction."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from .._jax.types import widened
from ._measure import Measure
from ._statistic import State, numpy_of
from ._subnormal import largest, scale_of, scaled
from ._sums import all_sums, common_scale, common_scale_of_all, entry_axes, over, real, sums


def delta_output_of(output: Any, delta: Any) -> State:
    output, delta = jnp.asarray(output), jnp.asarray(delta)
    wide = lambda x: x.astype(widened(x.dtype))
    product = jnp.atleast_1d(jnp.real(wide(delta) * wide(output)))
    product, axes = jnp.where(jnp.isfinite(product), product, 0), entry_axes(product)
    scale = scale_of(largest(jnp.abs(product), axes, True))
    total, scale = jnp.sum(scaled(product, scale), axis=axes), scale.reshape(-1)
    return {"data": jnp.ones(scale.shape, jnp.int32), "scale": scale, "total": total}


def merge_delta_output(a: State, b: State) -> State:
    scale, of_a, of_b = common_scale(a, b)
    return {"data": a["data"] + b["data"], "scale": scale, "total": a["total"] * of_a + b["total"] * of_b}


def merge_all_delta_output(states: State, which: Any) -> State:
    scale, factor = common_scale_of_all(states)
    return {**all_sums({"data": states["data"], "total": states["total"] * factor}, which), "scale": scale}


def finish_delta_output(state: State) -> dict[str, Any]:
    scale, of_unit = state["scale"], over(state["total"], state["data"])
    largest = scale.max(axis=-1, initial=0)
    part = scale / numpy_of(state).where(largest > 0, largest, 1)[..., None]
    with np.errstate(over="ignore"):
        return {"delta_output": (of_unit * part).sum(axis=-1) * largest, "unit_delta_output": of_unit * scale}


def _cosine_of(x: Any) -> State:
    x = jnp.asarray(x).reshape(-1)
    x = jnp.concatenate([x.real, x.imag]) if jnp.issubdtype(x.dtype, jnp.complexfloating) else real(x)
    scale = scale_of(largest(jnp.where(jnp.isfinite(x), jnp.abs(x), 0)))
    parts = scaled(x, scale)
    squares = jnp.sum(parts * parts)
    has_direction = jnp.isfinite(squares) & (squares > 0)
    unit = jnp.where(has_direction, parts * lax.rsqrt(jnp.where(has_direction, squares, 1)), 0)
    return {"data": has_direction.astype(jnp.int32), "unit": unit}


def _finish_cosine(state: State) -> dict[str, Any]:
    count, squares = state["data"], (state["unit"] ** 2).sum(axis=-1)
    xp = numpy_of(state)
    n = count.astype(squares.dtype)
    return {
        "cosine": over(xp.sqrt(squares), count),
        "pairwise_cosine": xp.where(count > 1, (squares - n) / xp.maximum(n * (n - 1), 1), xp.nan),
    }


COSINE = Measure(_cosine_of, sums, _finish_cosine, all_sums)
