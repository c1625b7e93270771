"""Ready statistics of the output and the δ of a point: each a `keep` of `jw.walk` and of `jw.evaluate`.

What holds for all of them, unless they say otherwise:

- **Units** are the positions on the last axis of a value: the features of a dense layer, the channels of an image, the
  model dimension of a transformer. All axes before it are summed over; their positions are entries. A scalar has one
  unit. `with_units` chooses other axes.
- **Non-finite entries are left out**, so that one NaN among a million data does not wipe the rest. `nonfinite` counts
  them, and is part of `summary`.
- **Nothing to take it of**, as the mean of an array of size 0, gives NaN; counts are 0.
- **Dtypes**: float16 and bfloat16 are summed in float32, float64 stays, of complex numbers the modulus is taken. Counts
  are int32.
- **Over data**, states merge exactly (to rounding), in any order: the result does not depend on the batches.

| statistic | results, `output_` and `delta_` in front of those marked * |
|---|---|
| `norms` | l1*, l2*, max*, rms* |
| `moments` | unit_mean*, unit_variance*, unit_std* |
| `zeros` | zeros* |
| `nonfinite` | nan*, inf*, nonfinite_data* |
| `magnitudes` | magnitudes* |
| `cosine` | cosine*, pairwise_cosine* |
| `dead` | dead, dead_count, dead_share, active_share |
| `blocked` | blocked, blocked_share |
| `delta_output` | delta_output, unit_delta_output |
| `summary` | norms, zeros, nonfinite, and mean*, variance*, std* |

`of_delta`, `of_output` take one side of a statistic, `combine` joins several, `averaged`, `summed` and `largest` make
one of a function of one's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ._dtypes import widened
from ._errors import ArgumentError
from ._statistic import State as State
from ._statistic import Statistic as Statistic
from ._statistic import combine as combine
from ._statistic import numpy_of as numpy_of
from ._statistic import of_delta as of_delta
from ._statistic import of_output as of_output
from ._statistic import two_sided
from ._statistic import with_units as with_units

# Values -------------------------------------------------------------------------------------------------


def _real(x: Any) -> jax.Array:
    """`x` as real numbers of at least float32."""
    x = jnp.asarray(x)
    x = jnp.abs(x) if jnp.issubdtype(x.dtype, jnp.complexfloating) else x
    return x.astype(widened(x.dtype))


def _bits(x: jax.Array) -> jax.Array:
    return lax.bitcast_convert_type(x, jnp.uint32 if x.dtype == jnp.float32 else jnp.uint64)


def _is_zero(x: jax.Array) -> jax.Array:
    """By its bits: compared as numbers, a processor that flushes subnormal numbers takes them for zeros."""
    return (_bits(x) << 1) == 0


def _entry_axes(x: jax.Array) -> tuple[int, ...]:
    return tuple(range(x.ndim - 1))


def _by_unit(x: Any) -> jax.Array:
    x = _real(x)
    return x.reshape(1) if x.ndim == 0 else x


def _counted(mask: jax.Array, axes: Sequence[int] | None = None, keepdims: bool = False) -> jax.Array:
    return jnp.sum(mask, axis=axes, dtype=jnp.int32, keepdims=keepdims)


def _share(part: Any, whole: Any, like: Any = None) -> Any:
    """part / whole, NaN where whole is 0; in float32, and in float64 on the host."""
    xp = numpy_of((part, whole))
    dtype = (np.float64 if xp is np else jnp.float32) if like is None else like.dtype
    return xp.where(whole > 0, part.astype(dtype) / xp.maximum(whole, 1).astype(dtype), xp.nan)


def _sums(a: State, b: State) -> State:
    return {key: a[key] + b[key] for key in a}


def _all_sums(states: State, which: jax.Array) -> State:
    return {key: jnp.sum(value, 0, dtype=value.dtype) for key, value in states.items()}


# Scaled sums: Σ x² of numbers of 1e-30 is not zero, and that of 1e30 not infinite -------------------------


def _scale(largest: jax.Array) -> jax.Array:
    """The power of two next below `largest`, of those whose inverse is a normal number too: scaling is exact."""
    info = jnp.finfo(largest.dtype)
    bits = _bits(largest)
    exponent = bits & np.array(-1 << info.nmant, np.int64).astype(bits.dtype)
    tiny = float(info.tiny)
    return jnp.clip(lax.bitcast_convert_type(exponent, largest.dtype), tiny, 1 / tiny)


def _common_scale(a: State, b: State) -> tuple[Any, Any, Any]:
    """The larger of two scales, and what the sums in each are multiplied with to be in it."""
    scale = numpy_of((a, b)).maximum(a["scale"], b["scale"])
    return scale, a["scale"] / scale, b["scale"] / scale


def _all_scaled(states: State) -> tuple[jax.Array, jax.Array]:
    """The largest of all scales, and what the sums in each are multiplied with to be in it; those of no data with 0."""
    scale = jnp.max(states["scale"], 0)
    return scale, states["scale"] / jnp.where(scale > 0, scale, 1)


# Norms --------------------------------------------------------------------------------------------------


def _norms_of(x: Any) -> State:
    x = _real(x)
    finite = jnp.isfinite(x)
    count = _counted(finite)
    sizes = jnp.where(finite, jnp.abs(x), 0)
    largest = jnp.max(sizes, initial=0)
    scale = _scale(largest)
    scaled = sizes * (1 / scale)
    squares = jnp.sum(scaled * scaled)
    is_whole = count == x.size
    return {
        "data": is_whole.astype(jnp.int32),
        "count": count,
        "scale": scale,
        "max": largest,
        "l1": jnp.where(is_whole, jnp.sum(scaled), 0),
        "l2": jnp.where(is_whole, jnp.sqrt(squares), 0),
        "squares": squares,
    }


def _merge_norms(a: State, b: State) -> State:
    scale, of_a, of_b = _common_scale(a, b)
    return {
        "data": a["data"] + b["data"],
        "count": a["count"] + b["count"],
        "scale": scale,
        "max": numpy_of((a, b)).maximum(a["max"], b["max"]),
        "l1": a["l1"] * of_a + b["l1"] * of_b,
        "l2": a["l2"] * of_a + b["l2"] * of_b,
        "squares": a["squares"] * of_a**2 + b["squares"] * of_b**2,
    }


def _merge_all_norms(states: State, which: jax.Array) -> State:
    scale, factor = _all_scaled(states)
    factors = {"l1": factor, "l2": factor, "squares": factor**2}
    sums = _all_sums({key: value * factors.get(key, 1) for key, value in states.items()}, which)
    return sums | {"scale": scale, "max": jnp.max(states["max"], 0)}


def _finish_norms(state: State) -> dict[str, Any]:
    xp, scale = numpy_of(state), state["scale"]
    with np.errstate(over="ignore"):
        return {
            "l1": _over(state["l1"], state["data"]) * scale,
            "l2": _over(state["l2"], state["data"]) * scale,
            "max": state["max"],
            "rms": xp.sqrt(_over(state["squares"], state["count"])) * scale,
        }


def _over(total: Any, count: Any) -> Any:
    xp = numpy_of((total, count))
    return xp.where(count > 0, total / xp.maximum(count, 1).astype(total.dtype), xp.nan)


norms = two_sided("norms", _norms_of, _merge_norms, _finish_norms, _merge_all_norms)
"""The size of the output and of δ: scalars, never lost to under- or overflow of a square.

`output_l1`, `output_l2`: Σ|x|, √Σx² of a datum; over data, their mean (over the data without a non-finite entry).
`output_max`: the largest |x| of all entries of all data. `output_rms`: √mean x² over all entries of all data.
`delta_l1`, `delta_l2`, `delta_max`, `delta_rms`: the same of δ.

>>> import jax.numpy as jnp
>>> found = norms(jnp.array([3.0, -4.0]), jnp.array([1e-30, 0.0]))
>>> found["output_l1"], found["output_l2"], found["output_max"], found["delta_l2"]
(Array(7., dtype=float32), Array(5., dtype=float32), Array(4., dtype=float32), Array(1.e-30, dtype=float32))
"""


# Mean and variance --------------------------------------------------------------------------------------


def _moments_of(x: jax.Array, axes: Sequence[int] | None) -> State:
    """Over `axes`; the mean is corrected by the mean of what is left, as sums of float32 err."""
    finite = jnp.isfinite(x)
    count = _counted(finite, axes, keepdims=True)
    scale = _scale(jnp.max(jnp.where(finite, jnp.abs(x), 0), axis=axes, initial=0, keepdims=True))
    scaled = jnp.where(finite, x, 0) * (1 / scale)
    number = jnp.maximum(count, 1).astype(x.dtype)
    mean = jnp.sum(scaled, axis=axes, keepdims=True) / number
    rest = jnp.where(finite, scaled - mean, 0)
    error = jnp.sum(rest, axis=axes, keepdims=True) / number
    squares = jnp.maximum(jnp.sum(rest * rest, axis=axes, keepdims=True) - number * error * error, 0)
    state = {"count": count, "scale": scale, "mean": mean + error, "squares": squares}
    return {key: jnp.squeeze(value, axes) for key, value in state.items()}


def _merge_moments(a: State, b: State) -> State:
    """Chan, Golub, LeVeque: Updating formulae and a pairwise algorithm for computing sample variances (1979)."""
    scale, of_a, of_b = _common_scale(a, b)
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


def _merge_all_moments(states: State, which: jax.Array) -> State:
    scale, factor = _all_scaled(states)
    weights = states["count"].astype(scale.dtype)
    number = jnp.maximum(jnp.sum(weights, 0), 1)
    means = states["mean"] * factor
    mean = jnp.sum(weights * means, 0) / number
    rest = jnp.where(weights > 0, means - mean, 0)
    error = jnp.sum(weights * rest, 0) / number
    between = jnp.maximum(jnp.sum(weights * rest**2, 0) - number * error**2, 0)
    count = jnp.sum(states["count"], 0, dtype=states["count"].dtype)
    squares = jnp.sum(states["squares"] * factor**2, 0) + between
    return {"count": count, "scale": scale, "mean": mean + error, "squares": squares}


def _finish_moments(state: State) -> dict[str, Any]:
    xp, scale = numpy_of(state), state["scale"]
    variance = _over(state["squares"], state["count"])
    with np.errstate(over="ignore"):
        return {
            "mean": xp.where(state["count"] > 0, state["mean"] * scale, xp.nan),
            "variance": variance * scale * scale,
            "std": xp.sqrt(variance) * scale,
        }


def _finish_unit_moments(state: State) -> dict[str, Any]:
    return {f"unit_{name}": value for name, value in _finish_moments(state).items()}


def _unit_moments_of(x: Any) -> State:
    x = _by_unit(x)
    return _moments_of(x, _entry_axes(x))


def _all_moments_of(x: Any) -> State:
    return _moments_of(_real(x), None)


moments = two_sided("moments", _unit_moments_of, _merge_moments, _finish_unit_moments, _merge_all_moments)
"""Mean and variance per unit, over the entries of all data: vectors of the length of the last axis.

`output_unit_mean`, `output_unit_variance` (divided by the number of entries), `output_unit_std`, its root, which holds
where the variance of small numbers is too small for its dtype; the same of δ as `delta_unit_mean` and so on.
"""

_entry_moments = two_sided("moments", _all_moments_of, _merge_moments, _finish_moments, _merge_all_moments)


# Zeros, dead units, blocked flow ------------------------------------------------------------------------


def _zeros_of(x: Any) -> State:
    x = _real(x)
    return {"count": _counted(jnp.isfinite(x)), "zeros": _counted(_is_zero(x))}


def _finish_zeros(state: State) -> dict[str, Any]:
    return {"zeros": _share(state["zeros"], state["count"])}


zeros = two_sided("zeros", _zeros_of, _sums, _finish_zeros, _all_sums)
"""The share of entries that are exactly zero: `output_zeros`, `delta_zeros`. 0.0 and -0.0 are, a subnormal is not."""


def _dead_of(output: Any, delta: Any) -> State:
    x = _by_unit(output)
    finite, axes = jnp.isfinite(x), _entry_axes(x)
    return {"count": _counted(finite, axes), "active": _counted(finite & ~_is_zero(x), axes)}


def _finish_dead(state: State) -> dict[str, Any]:
    xp = numpy_of(state)
    dead = (state["count"] > 0) & (state["active"] == 0)
    count = xp.sum(dead, axis=-1, dtype=state["count"].dtype)
    return {
        "dead": dead,
        "dead_count": count,
        "dead_share": _share(count, xp.full_like(count, dead.shape[-1])),
        "active_share": _share(state["active"], state["count"]),
    }


dead = Statistic("dead", _dead_of, _sums, _finish_dead, "output", merge_all=_all_sums)
"""Units that were never active over the data: whose output was exactly zero at every entry.

Active is what is not zero, positive or negative. So a relu that never fires is dead, and a unit that dropout or a mask
always takes; one of gelu or tanh, whose outputs are small but not zero, is not.

`dead`: per unit, whether. `dead_count`, `dead_share`: how many units, what share of them. `active_share`: per unit, the
share of its entries that were active.
"""


def _blocked_of(output: Any, delta: Any) -> State:
    output, delta = _by_unit(output), _by_unit(delta)
    axes = _entry_axes(output)
    arrives = jnp.isfinite(delta) & ~_is_zero(delta)
    return {"arrives": _counted(arrives, axes), "blocked": _counted(arrives & _is_zero(output), axes)}


def _finish_blocked(state: State) -> dict[str, Any]:
    total = {key: value.sum(axis=-1, dtype=value.dtype) for key, value in state.items()}
    return {
        "blocked": _share(state["blocked"], state["arrives"]),
        "blocked_share": _share(total["blocked"], total["arrives"]),
    }


blocked = Statistic("blocked", _blocked_of, _sums, _finish_blocked, merge_all=_all_sums)
"""Blocked flow: of the entries at which a δ arrives (δ ≠ 0), the share whose output is exactly zero.

At the output of a relu, of dropout or of a mask, nothing flows on from there: their derivative is zero where their
output is. One point cannot know which operation made its value. At the result of a matrix product, a zero is a number
like any other, and δ passes: ask at the points behind the operations that switch off.

`blocked`: per unit; NaN where no δ arrives. `blocked_share`: over the entries of all units.
"""


# Non-finite numbers, magnitudes -------------------------------------------------------------------------


def _nonfinite_of(x: Any) -> State:
    x = _real(x)
    nan, finite = _counted(jnp.isnan(x)), _counted(jnp.isfinite(x))
    return {"nan": nan, "inf": x.size - finite - nan, "nonfinite_data": (finite < x.size).astype(jnp.int32)}


def _finish_nonfinite(state: State) -> dict[str, Any]:
    return {name: state[name] for name in ("nan", "inf", "nonfinite_data")}


nonfinite = two_sided("nonfinite", _nonfinite_of, _sums, _finish_nonfinite, _all_sums)
"""Counts of what no other statistic takes in: `output_nan`, `output_inf` (both signs), and `output_nonfinite_data`, the
number of data with at least one of them; `delta_nan`, `delta_inf`, `delta_nonfinite_data`. Scalars, int32."""

MAGNITUDES = np.array([0.0, *(2.0**exponent for exponent in range(-149, 128)), np.inf])
"""Where each of the 279 bins of `magnitudes` begins."""


def _bin(x: jax.Array) -> jax.Array:
    """The number of the bin of each entry, from its bits: no logarithm, and subnormal numbers are not flushed."""
    info = jnp.finfo(x.dtype)
    bits = (_bits(x) << 1) >> 1
    exponent = (bits >> info.nmant).astype(jnp.int32)
    highest = info.bits - 1 - lax.clz(bits).astype(jnp.int32)
    power = jnp.where(exponent > 0, exponent + (info.minexp - 1), highest + (info.minexp - info.nmant))
    number = jnp.clip(power + 150, 1, len(MAGNITUDES) - 2)
    return jnp.where(bits == 0, 0, jnp.where(jnp.isfinite(x), number, len(MAGNITUDES) - 1))


def _magnitudes_of(x: Any) -> State:
    number = _bin(_real(x)).reshape(-1)
    return {"magnitudes": jnp.zeros(len(MAGNITUDES), jnp.int32).at[number].add(1)}


magnitudes = two_sided("magnitudes", _magnitudes_of, _sums, dict, _all_sums)
"""Histograms of |output| and |δ| by powers of two: `output_magnitudes`, `delta_magnitudes`, int32 of 279 bins.

Bin 0 counts zeros; bin k, of 1 to 277, what is at least 2**(k - 150) and less than twice that, from the smallest
subnormal number of float32, 2**-149, to its largest, below 2**128; bin 278 what is not finite. `MAGNITUDES` is where
each begins. Numbers of float64 beyond this range count in bins 1 and 277.
"""


# Both sides together, directions -----------------------------------------------------------------------


def _delta_output_of(output: Any, delta: Any) -> State:
    output, delta = jnp.asarray(output), jnp.asarray(delta)
    wide = lambda x: x.astype(widened(x.dtype))
    product = jnp.atleast_1d(jnp.real(wide(delta) * wide(output)))
    total = jnp.sum(jnp.where(jnp.isfinite(product), product, 0), axis=_entry_axes(product))
    return {"data": jnp.ones(total.shape, jnp.int32), "total": total}


def _finish_delta_output(state: State) -> dict[str, Any]:
    of_unit = _over(state["total"], state["data"])
    return {"delta_output": of_unit.sum(axis=-1), "unit_delta_output": of_unit}


delta_output = Statistic("delta_output", _delta_output_of, _sums, _finish_delta_output, merge_all=_all_sums)
"""Σ δ·output, the derivative of the loss with respect to a factor on the value: how the loss would grow, to first
order, with the value as a whole; minus it is what putting the value to zero is predicted to change.

`delta_output`: the sum over a datum, its mean over data. `unit_delta_output`: the same per unit. Of complex numbers the
real part. Products that are not finite are left out.
"""


def _cosine_of(x: Any) -> State:
    x = _real(x).reshape(-1)
    scale = _scale(jnp.max(jnp.where(jnp.isfinite(x), jnp.abs(x), 0), initial=0))
    scaled = x * (1 / scale)
    squares = jnp.sum(scaled * scaled)
    has_direction = jnp.isfinite(squares) & (squares > 0)
    unit = jnp.where(has_direction, scaled * lax.rsqrt(jnp.where(has_direction, squares, 1)), 0)
    return {"data": has_direction.astype(jnp.int32), "unit": unit}


def _finish_cosine(state: State) -> dict[str, Any]:
    count, squares = state["data"], (state["unit"] ** 2).sum(axis=-1)
    xp = numpy_of(state)
    n = count.astype(squares.dtype)
    return {
        "cosine": _over(xp.sqrt(squares), count),
        "pairwise_cosine": xp.where(count > 1, (squares - n) / xp.maximum(n * (n - 1), 1), xp.nan),
    }


cosine = two_sided("cosine", _cosine_of, _sums, _finish_cosine, _all_sums)
"""How far the data pull in one direction. With uᵢ the δ of datum i, as one vector, divided by its ℓ2 norm, and ū their
mean over the data:

`delta_cosine`: the mean over data of the cosine of uᵢ and ū, which is |ū|: 1 if all have one direction, about 1/√n if n
data have independent ones. `delta_pairwise_cosine`: the mean cosine of two different data; NaN for fewer than two.
`output_cosine`, `output_pairwise_cosine`: of the output. Data that are zero, or not finite, have no direction and are
left out. The state is as large as the value.
"""


# Of one's own -------------------------------------------------------------------------------------------


def averaged(keep: Callable[[Any, Any], Any], name: str | None = None) -> Statistic:
    """The mean over data of what a plain `keep` returns.

    Arguments:
        keep: a function (output, delta) -> pytree of arrays, of one datum. Integers and booleans are averaged too: of
            a condition, the mean is the share of data.
        name: of the statistic, and of its result if that is one array; by default the function's name. In a pytree, a
            result has the name of its path: `{"size": {"l2": ...}}` gives `size_l2`.

    Returns:
        Statistic: whose results have the shapes of the arrays that `keep` returns. Entries that are not finite are
            left out of the mean.

    >>> import jax.numpy as jnp
    >>> from jaxwalk import stats
    >>> def largest_delta(output, delta):
    ...     return jnp.max(jnp.abs(delta))
    >>> stats.averaged(largest_delta)(jnp.ones(2), jnp.array([-3.0, 1.0]))
    {'largest_delta': Array(3., dtype=float32)}
    """

    def state(x: jax.Array) -> State:
        x = x if jnp.issubdtype(x.dtype, jnp.complexfloating) else _real(x)
        finite = jnp.isfinite(x)
        return {"count": finite.astype(jnp.int32), "mean": jnp.where(finite, x, 0)}

    def merge(a: State, b: State) -> State:
        xp = numpy_of((a, b))
        count = a["count"] + b["count"]
        share = (b["count"] / xp.maximum(count, 1)).astype(a["mean"].real.dtype)
        return {"count": count, "mean": a["mean"] + (b["mean"] - a["mean"]) * share}

    def finish(state: State) -> Any:
        return numpy_of(state).where(state["count"] > 0, state["mean"], np.nan)

    def merge_all(states: State, which: jax.Array) -> State:
        count = jnp.sum(states["count"], 0, dtype=jnp.int32)
        share = states["count"].astype(states["mean"].real.dtype) / jnp.maximum(count, 1).astype(
            states["mean"].real.dtype
        )
        return {"count": count, "mean": jnp.sum(states["mean"] * share, 0)}

    return _of_each("averaged", keep, name, state, merge, finish, merge_all)


def summed(keep: Callable[[Any, Any], Any], name: str | None = None) -> Statistic:
    """The sum over data of what a plain `keep` returns; as `averaged`. Integers and booleans are summed as int32."""

    def state(x: jax.Array) -> State:
        if not jnp.issubdtype(x.dtype, jnp.inexact):
            return {"sum": x.astype(jnp.int32)}
        x = x if jnp.issubdtype(x.dtype, jnp.complexfloating) else _real(x)
        return {"sum": jnp.where(jnp.isfinite(x), x, 0)}

    return _of_each("summed", keep, name, state, _sums, lambda state: state["sum"], _all_sums)


def largest(keep: Callable[[Any, Any], Any], name: str | None = None) -> Statistic:
    """The largest over data of what a plain `keep` returns; as `averaged`. Of no finite entry: -inf."""

    def state(x: jax.Array) -> State:
        x = _real(x)
        return {"largest": jnp.where(jnp.isfinite(x), x, -jnp.inf)}

    merge = lambda a, b: {"largest": numpy_of((a, b)).maximum(a["largest"], b["largest"])}

    def merge_all(states: State, which: jax.Array) -> State:
        among = which.reshape(which.shape + (1,) * (states["largest"].ndim - 1))
        return {"largest": jnp.max(states["largest"], 0, where=among, initial=-jnp.inf)}

    return _of_each("largest", keep, name, state, merge, lambda state: state["largest"], merge_all)


def _of_each(
    kind: str, keep: Callable, name: str | None, state: Callable, merge: Callable, finish: Callable, merge_all: Callable
):
    """A statistic whose state is a dict of states, one of each array that `keep` returns."""
    if not callable(keep):
        raise ArgumentError(f"`keep` is {keep!r}; it must be a function (output, delta) -> arrays.")
    given = name or getattr(keep, "__name__", "kept")
    given = "kept" if given == "<lambda>" else given

    def of(output: Any, delta: Any) -> State:
        leaves, _ = jax.tree_util.tree_flatten_with_path(keep(output, delta))
        return {_result_name(path) or given: state(jnp.asarray(leaf)) for path, leaf in leaves}

    each = lambda function: lambda *states: {key: function(*(s[key] for s in states)) for key in states[0]}
    every = lambda states, which: {key: merge_all(value, which) for key, value in states.items()}
    return Statistic(given, of, each(merge), each(finish), merge_all=every)


def _result_name(path: Sequence[Any]) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="_")


summary = combine(norms, _entry_moments, zeros, nonfinite, name="summary")
"""What `jw.evaluate` keeps by default, all scalars: `norms`, the mean, variance and std over all entries of all data
(`output_mean`, `output_variance`, `output_std`, `delta_mean`, ...), `zeros` and `nonfinite`."""
