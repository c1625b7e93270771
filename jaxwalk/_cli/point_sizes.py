"""`sizes`: what the table of the command line says of output and δ. Little, and so quick to compile."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from ..stats import blocked, combine, dead
from ..stats._measure import Measure, two_sided
from ..stats._moments import NORMS
from ..stats._numerics.subnormal import larger, largest
from ..stats._numerics.sums import all_means, are_finite, are_zero, counted, merge_means, real
from ..stats._statistic import State, numpy_of


def _of(x: Any) -> State:
    zero, finite, x = are_zero(x), are_finite(x), real(x)
    number = counted(finite)
    sizes, share = jnp.where(finite, jnp.abs(x), 0), 1 / jnp.maximum(number, 1).astype(x.dtype)
    means = {"mean": jnp.sum(sizes * share), "zeros": counted(zero).astype(x.dtype) * share}
    return {
        "means": {"count": (number > 0).astype(jnp.int32), **means},
        "max": largest(sizes),
        "nonfinite_data": (number < x.size).astype(jnp.int32),
    }


def _merge(a: State, b: State) -> State:
    return {
        "means": merge_means(a["means"], b["means"]),
        "max": larger(a["max"], b["max"]),
        "nonfinite_data": a["nonfinite_data"] + b["nonfinite_data"],
    }


def _merge_all(states: State, which: Any) -> State:
    return {
        "means": all_means(states["means"], which),
        "max": largest(states["max"], 0),
        "nonfinite_data": jnp.sum(states["nonfinite_data"], 0, dtype=jnp.int32),
    }


def _finish(state: State) -> dict[str, Any]:
    means, xp = state["means"], numpy_of(state)
    found = {"mean": means["mean"], "zeros": means["zeros"], "max": state["max"]}
    of_any = {name: xp.where(means["count"] > 0, value, xp.nan) for name, value in found.items()}
    return {**of_any, "nonfinite_data": state["nonfinite_data"]}


sizes = two_sided(
    "sizes",
    Measure(_of, _merge, _finish, _merge_all),
    """Of the output and of δ, over its entries that are finite: `mean` and `max` of |x|, `zeros`, the share that is
    exactly zero; each a mean over the data but for the largest. `nonfinite_data`: how many data have an entry that is
    not.""",
)

_rms = two_sided(
    "rms",
    NORMS._replace(finish=lambda state: {"rms": NORMS.finish(state)["rms"]}),
    "The root mean square of the output and of δ.",
)

sizes_for_a_page = combine(sizes, _rms, dead, blocked, name="sizes for a page")
