"""`sizes`: what the table of the command line says of output and δ. Little, and so quick to compile."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from ._entry_sums import all_sums, counted, is_zero, over, real, sums
from ._measure import Measure, two_sided
from ._statistic import State, numpy_of


def _of(x: Any) -> State:
    x = real(x)
    finite = jnp.isfinite(x)
    number = counted(finite)
    sizes, share = jnp.where(finite, jnp.abs(x), 0), 1 / jnp.maximum(number, 1).astype(x.dtype)
    return {
        "data": (number > 0).astype(jnp.int32),
        "mean": jnp.sum(sizes * share),
        "zeros": counted(is_zero(x)).astype(x.dtype) * share,
        "max": jnp.max(sizes, initial=0),
        "nonfinite_data": (number < x.size).astype(jnp.int32),
    }


def _merge(a: State, b: State) -> State:
    return {**sums(a, b), "max": numpy_of((a, b)).maximum(a["max"], b["max"])}


def _merge_all(states: State, which: Any) -> State:
    return {**all_sums(states, which), "max": jnp.max(states["max"], 0)}


def _finish(state: State) -> dict[str, Any]:
    means = {name: over(state[name], state["data"]) for name in ("mean", "zeros")}
    return {**means, "max": state["max"], "nonfinite_data": state["nonfinite_data"]}


sizes = two_sided("sizes", Measure(_of, _merge, _finish, _merge_all))
"""Of the output and of δ, over its entries that are finite: `mean` and `max` of |x|, `zeros`, the share that is exactly
zero; each a mean over the data but for the largest. `nonfinite_data`: how many data have an entry that is not."""
