"""Ready statistics of the output and the δ of a point: each a `keep` of `jw.walk` and of `jw.evaluate`.

What holds for all of them, unless they say otherwise:

- **Units** are the features of a value: those of a dense layer, the channels of an image, the model dimension of a
  transformer. All other axes are summed over; their positions are entries. A scalar has one unit. At a point the axis
  is known from the function: that of the features of the convolution, the matrix or the table that the value comes
  from, in any layout. A vector has one axis, and of a value of two axes of which nothing is known it is the last; of
  more, nothing tells, and the statistic is not taken there. Called with a value alone, it takes the last axis.
  `with_units` chooses other axes. `Point.units` and the tables tell which they are.
- **Non-finite entries are left out**, so that one NaN among a million data does not wipe the rest. `nonfinite` counts
  them, and is part of `summary`.
- **Nothing to take it of**, as the mean or the largest of an array of size 0, gives NaN; counts are 0, and so are sums
  within a datum: the l1, l2 and δ·output of an array of size 0.
- **Dtypes**: float16 and bfloat16 are summed in float32, float64 stays, of complex numbers the modulus is taken. Counts
  are int32.
- **Over data**, states merge exactly (to rounding), in any order: the result does not depend on the batches.
  A mean of numbers that are finite is finite.
- **In a branch** of a `cond` or `switch` statistics are of the data that took it: `Evaluation.seen` counts them.

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
| `health` | output_mean, output_std, delta_l2, rms*, max*, zeros*, nan*, inf*, and more at activations |

`of_delta`, `of_output` take one side of a statistic, `combine` joins several, `averaged`, `summed` and `largest` make
one of a function of one's own.

>>> import jax.numpy as jnp
>>> from jaxwalk import stats
>>> found = stats.norms(jnp.array([3.0, -4.0]), jnp.array([1e-30, 0.0]))
>>> found["output_l1"], found["output_l2"], found["output_max"], found["delta_l2"]
(Array(7., dtype=float32), Array(5., dtype=float32), Array(4., dtype=float32), Array(1.e-30, dtype=float32))

Through a walk, of every layer of a scan:

>>> import jax, jaxwalk as jw
>>> def loss(weights, x):
...     return jnp.sum(jax.lax.scan(lambda x, w: (jw.tag(jax.nn.relu(w * x), "relu"), None), x, weights)[0])
>>> found = jw.walk(loss, keep=stats.dead)(jnp.array([1.0, -1.0]), jnp.array([2.0, -3.0]))
>>> found.kept["relu"]["dead"]
Array([[False,  True],
       [ True,  True]], dtype=bool)
"""

from __future__ import annotations

import dataclasses

from ._averaged import averaged, largest, summed
from ._counts import NONFINITE, ZEROS, blocked_of, by_active_unit, dead_of, finish_blocked, finish_dead
from ._directions import COSINE, delta_output_of, finish_delta_output, merge_all_delta_output, merge_delta_output
from ._health import HEALTH
from ._magnitudes import HISTOGRAM, MAGNITUDES
from ._measure import joined, two_sided
from ._moments import ENTRY_MOMENTS, NORMS, UNIT_MOMENTS
from ._numerics.sums import all_sums, sums
from ._statistic import State, Statistic, Units, Value, combine, numpy_of, of_delta, of_output
from ._unit_axes import of_units, with_units

__all__ = [
    "MAGNITUDES",
    "State",
    "Statistic",
    "Units",
    "Value",
    "averaged",
    "blocked",
    "combine",
    "cosine",
    "dead",
    "delta_output",
    "health",
    "largest",
    "magnitudes",
    "moments",
    "nonfinite",
    "norms",
    "numpy_of",
    "of_delta",
    "of_output",
    "summary",
    "summed",
    "with_units",
    "zeros",
]


def __dir__() -> list[str]:
    return __all__


norms = two_sided(
    "norms",
    NORMS,
    """The size of the output and of δ: scalars, never lost to under- or overflow of a square.

    `output_l1`, `output_l2`: Σ|x|, √Σx² of a datum; over data, their mean (over the data without a non-finite entry;
    NaN if there is none).
    `output_max`: the largest |x| of all entries of all data. `output_rms`: √mean x² over all entries of all data.
    `delta_l1`, `delta_l2`, `delta_max`, `delta_rms`: the same of δ.
    """,
)

moments = two_sided(
    "moments",
    UNIT_MOMENTS,
    """Mean and variance per unit, over the entries of all data: vectors, an entry for each unit.

    `output_unit_mean`, `output_unit_variance` (divided by the number of entries), `output_unit_std`, its root, which
    holds where the variance of small numbers is too small for its dtype; the same of δ as `delta_unit_mean` and so on.
    """,
    by_unit=True,
)

zeros = two_sided(
    "zeros",
    ZEROS,
    """The share of entries that are exactly zero: `output_zeros`, `delta_zeros`. 0.0 and -0.0 are, a subnormal is
    not.""",
)

dead = by_active_unit(
    Statistic(
        "dead",
        dead_of,
        sums,
        finish_dead,
        "output",
        merge_all=all_sums,
        by_entry=True,
        doc="""Units that were never active over the data: whose output was exactly zero at every entry.

    Active is what is not zero, positive or negative. So a relu that never fires is dead, and a unit that dropout or a
    mask always takes; one of gelu or tanh, whose outputs are small but not zero, is not.

    `dead`: per unit, whether. `dead_count`, `dead_share`: how many units, what share of them. `active_share`: per unit,
    the share of its entries that were active.

    At a point whose value an activation reads, as a relu does that of a linear layer, all this is said of what comes
    out of the activation; `Point.units` tells which, or that there is none.
    """,
    )
)

blocked = of_units(
    Statistic(
        "blocked",
        blocked_of,
        sums,
        finish_blocked,
        merge_all=all_sums,
        by_entry=True,
        doc="""Blocked flow: of the entries at which a δ arrives (δ ≠ 0), the share whose output is exactly zero.

    At the output of a relu, of dropout or of a mask, nothing flows on from there: their derivative is zero where their
    output is. One point cannot know which operation made its value. At the result of a matrix product, a zero is a
    number like any other, and δ passes: ask at the points behind the operations that switch off.

    `blocked`: per unit; NaN where no δ arrives. `blocked_share`: over the entries of all units.
    """,
    )
)

nonfinite = two_sided(
    "nonfinite",
    NONFINITE,
    """Counts of what no other statistic takes in: `output_nan`, `output_inf` (both signs), and `output_nonfinite_data`,
    the number of data with at least one of them; `delta_nan`, `delta_inf`, `delta_nonfinite_data`. Scalars, int32.""",
)

magnitudes = two_sided(
    "magnitudes",
    HISTOGRAM,
    """Histograms of |output| and |δ| by powers of two: `output_magnitudes`, `delta_magnitudes`, int32 of 279 bins.

    Bin 0 counts zeros; bin k, of 1 to 277, what is at least 2**(k - 150) and less than twice that, from the smallest
    subnormal number of float32, 2**-149, to its largest, below 2**128; bin 278 what is not finite. `MAGNITUDES` is
    where each begins. Numbers of float64 beyond this range count in bins 1 and 277.
    """,
)

delta_output = of_units(
    Statistic(
        "delta_output",
        delta_output_of,
        merge_delta_output,
        finish_delta_output,
        merge_all=merge_all_delta_output,
        by_entry=True,
        doc="""Σ δ·output, the derivative of the loss with respect to a factor on the value: how the loss would grow, to
    first order, with the value as a whole; minus it is what putting the value to zero is predicted to change.

    `delta_output`: the sum over a datum, its mean over data. `unit_delta_output`: the same per unit. Of complex numbers
    the real part. Products that are not finite are left out.
    """,
    )
)

cosine = two_sided(
    "cosine",
    COSINE,
    """How far the data pull in one direction. With uᵢ the δ of datum i, as one vector, divided by its ℓ2 norm, and ū
    their mean over the data:

    `delta_cosine`: the mean over data of the cosine of uᵢ and ū, which is |ū|: 1 if all have one direction, about 1/√n
    if n data have independent ones. `delta_pairwise_cosine`: the mean cosine of two different data; NaN for fewer than
    two. `output_cosine`, `output_pairwise_cosine`: of the output. Data that are zero, or not finite, have no direction
    and are left out. A complex number is a vector of two. The state is as large as the value.
    """,
)

summary = two_sided(
    "summary",
    joined(norms=NORMS, moments=ENTRY_MOMENTS, zeros=ZEROS, nonfinite=NONFINITE),
    """What `jw.evaluate` keeps by default, all scalars: `norms`, the mean, variance and std over all entries of all
    data (`output_mean`, `output_variance`, `output_std`, `delta_mean`, ...), `zeros` and `nonfinite`.""",
)

health = dataclasses.replace(
    HEALTH,
    doc="""What `jw.watch` keeps by default, and the rules of `jw.health` look at: made to cost next to nothing.

    `output_mean`, `output_std`, `output_rms`: over all entries of all data. `output_max`: the largest |x|.
    `output_zeros`: the share of entries that are zero. `output_nan`, `output_inf`: how many are not finite.
    `delta_l2`: as of `norms`. `delta_rms`, `delta_max`, `delta_zeros`, `delta_nan`, `delta_inf`: the same of δ.

    What is counted is exact, and so are the largest and the sizes, to rounding, and the mean and the std; where
    something is not finite, these lose three digits where the mean is thirty times the std. A subnormal number may
    count as a zero.

    Of a δ in float16 or bfloat16: `delta_underflow`, the share of entries below the smallest normal number that are not
    zero, so that digits are lost; `delta_overflow`, that of at least half of the largest finite number, ±Inf included.

    At a point whose value an activation makes, or reads, of what it makes of it:

    `active_share`: per unit, the share of entries that are not zero; `dead_count`, `dead_share`: how many units, what
    share of them, are zero everywhere. Not of activations that are never zero, as gelu and tanh.
    `saturated_share`: of tanh and the sigmoid (and their hard forms) the share of entries within 0.01 of an end of
    the range; of a softmax along the last axis, told by what it computes, that of rows in which one entry is above
    0.99: where a mask leaves a row one entry, it is one of them.

    On CPUs an array is looked at in three passes, and again where something is not finite; elsewhere in one pass, with
    sums of squares at three scales. There the std is exact to four digits or more, and the mean and the std are inexact
    of numbers below 1e-30.
    """,
)
