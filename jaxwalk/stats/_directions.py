"""How the output and δ point: δ·output, and how far the data pull in one direction."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._jax.jaxpr.types import widened
from ._measure import Measure
from ._numerics.subnormal import exponent_of, largest, power_of_two, rescaled, scale_of, scaled
from ._numerics.sums import all_sums, common_scale, common_scale_of_all, entry_axes, over, real, sums
from ._statistic import State, numpy_of

_NONE = -(2**20)  # the power of two that 0 has: below all others


def delta_output_of(output: Any, delta: Any) -> State:
    output, delta = (jnp.atleast_1d(x).astype(widened(x.dtype)) for x in map(jnp.asarray, (output, delta)))
    pairs = [(jnp.real(delta), jnp.real(output))]
    if jnp.iscomplexobj(delta) and jnp.iscomplexobj(output):
        pairs.append((-jnp.imag(delta), jnp.imag(output)))
    is_finite, axes = jnp.isfinite(delta) & jnp.isfinite(output), entry_axes(output)
    products = [_product(jnp.where(is_finite, a, 0), jnp.where(is_finite, b, 0)) for a, b in pairs]
    top = functools.reduce(jnp.maximum, [jnp.max(power, axes, keepdims=True, initial=_NONE) for _, power in products])
    scale = power_of_two(top, products[0][0].dtype)
    terms = [part * power_of_two(power - exponent_of(scale), part.dtype) for part, power in products]
    scale = scale.reshape(-1)
    return {"data": jnp.ones(scale.shape, jnp.int32), "scale": scale, "total": jnp.sum(sum(terms), axis=axes)}


def _product(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return a product as a number of common size and a power of two: by itself it may be too small, or too large."""
    scales = [scale_of(jnp.abs(x)) for x in (a, b)]
    part = scaled(a, scales[0]) * scaled(b, scales[1])
    return part, jnp.where(part == 0, _NONE, sum(map(exponent_of, scales)))


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
        total = rescaled((of_unit * part).sum(axis=-1), largest)
        return {"delta_output": total, "unit_delta_output": rescaled(of_unit, scale)}


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
