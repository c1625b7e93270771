"""What is counted of entries: zeros, dead units, blocked flow, non-finite numbers."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

from ._measure import Measure
from ._numerics.quick_squares import quick_squares
from ._numerics.sums import (
    all_sums,
    are_finite,
    are_zero,
    counted,
    entry_axes,
    one_unit,
    real,
    share,
    sums,
)
from ._statistic import Of, State, Statistic, Units, Value, numpy_of
from ._unit_axes import taken


def _zeros_of(x: Any) -> State:
    return {"count": counted(are_finite(x)), "zeros": counted(are_zero(x))}


def _quick_zeros_of(x: Any) -> tuple[State, jax.Array]:
    state = {"count": jnp.full((), x.size, jnp.int32), "zeros": counted(are_zero(x))}
    return state, quick_squares(real(x)).is_right


def _finish_zeros(state: State) -> dict[str, Any]:
    return {"zeros": share(state["zeros"], state["count"])}


ZEROS = Measure(_zeros_of, sums, _finish_zeros, all_sums, _quick_zeros_of)


def dead_of(output: Any, delta: Any) -> State:
    finite, zero = one_unit(are_finite(output)), one_unit(are_zero(output))
    axes = entry_axes(finite)
    return {"count": counted(finite, axes), "active": counted(finite & ~zero, axes)}


def by_active_unit(statistic: Statistic) -> Statistic:
    """Return the same statistic of the output, which at a point is taken after the activation that reads the value.

    Of the result of an activation it is taken as it is. Where others read several results in the place of the value,
    an entry is zero if it is in all of them.
    """

    def at(value: Value) -> tuple[Of, Units]:
        activated = value.activated
        if value.made_by or activated is None:
            return taken(statistic.of, value, f"output of {value.made_by}" if value.made_by else "no activation")
        last, units = taken(statistic.of, value, f"after {value.activation}")

        def of(output: Any, delta: Any) -> State:
            result = functools.reduce(_unless_zero, activated(output))
            return last(result, result)

        return of, units

    return dataclasses.replace(statistic, at=at)


def _unless_zero(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.where(are_zero(a), b, a)


def finish_dead(state: State) -> dict[str, Any]:
    xp = numpy_of(state)
    dead = (state["count"] > 0) & (state["active"] == 0)
    count = xp.sum(dead, axis=-1, dtype=state["count"].dtype)
    return {
        "dead": dead,
        "dead_count": count,
        "dead_share": share(count, xp.full_like(count, dead.shape[-1])),
        "active_share": share(state["active"], state["count"]),
    }


def blocked_of(output: Any, delta: Any) -> State:
    arrives = one_unit(are_finite(delta) & ~are_zero(delta))
    axes = entry_axes(arrives)
    return {"arrives": counted(arrives, axes), "blocked": counted(arrives & one_unit(are_zero(output)), axes)}


def finish_blocked(state: State) -> dict[str, Any]:
    total = {key: value.sum(axis=-1, dtype=value.dtype) for key, value in state.items()}
    return {
        "blocked": share(state["blocked"], state["arrives"]),
        "blocked_share": share(total["blocked"], total["arrives"]),
    }


def _nonfinite_of(x: Any) -> State:
    x = real(x)
    nan, finite = counted(jnp.isnan(x)), counted(jnp.isfinite(x))
    return {"nan": nan, "inf": x.size - finite - nan, "nonfinite_data": (finite < x.size).astype(jnp.int32)}


def _no_nonfinite_of(x: Any) -> tuple[State, jax.Array]:
    none = jnp.zeros((), jnp.int32)
    return {"nan": none, "inf": none, "nonfinite_data": none}, quick_squares(real(x)).is_right


def _finish_nonfinite(state: State) -> dict[str, Any]:
    return {name: state[name] for name in ("nan", "inf", "nonfinite_data")}


NONFINITE = Measure(_nonfinite_of, sums, _finish_nonfinite, all_sums, _no_nonfinite_of)
