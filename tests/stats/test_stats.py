"""`jw.stats`: against NumPy in float64, whatever the batches; what is left out; what is not saved."""

import functools
import inspect
import pydoc

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jaxwalk as jw
from jaxwalk import stats
from jaxwalk._cli.point_sizes import sizes

pytestmark = pytest.mark.once

BOTH = [stats.norms, stats.moments, stats.zeros, stats.nonfinite, stats.magnitudes, stats.cosine, stats.summary]
JOINT = [stats.dead, stats.blocked, stats.delta_output]
SHAPE = (3, 4, 5)  # of a datum: 12 entries of each of 5 units
DATA = 11


def plain(word):
    return lambda output, delta: {word: {"size": jnp.max(jnp.abs(delta), axis=0), "on": [output > 0]}}


OWN = [stats.averaged(plain("mean"), "a"), stats.summed(plain("sum"), "b"), stats.largest(plain("most"), "c")]
ALL = [*BOTH, *JOINT, *OWN]
FLOW = stats.combine(stats.summary, stats.moments, stats.magnitudes, stats.cosine, *JOINT, name="flow")
EVERY = stats.combine(FLOW, *OWN)  # all there is, in one compilation


# The referee --------------------------------------------------------------------------------------------


def shares(part, whole):
    with np.errstate(invalid="ignore"):
        return np.divide(part, whole, dtype=np.float64)


def measures(side, x):
    """The results of one side over data x, of shape (data, ..., units), all statistics of one side at once."""
    finite, flat = np.isfinite(x), x.reshape(len(x), -1)
    whole = flat[np.isfinite(flat).all(1)]
    entries = np.abs(x[finite])
    columns = [column[np.isfinite(column)] for column in x.reshape(-1, x.shape[-1]).T]
    directions = np.array([row / np.linalg.norm(row) for row in whole if row.any()])
    cosines = directions @ directions.T
    n = len(directions)
    bins = np.digitize(entries, stats.MAGNITUDES[1:])
    found = {
        "l1": np.abs(whole).sum(1).mean(),
        "l2": np.linalg.norm(whole, axis=1).mean(),
        "max": entries.max(),
        "rms": entries.max() * np.sqrt(np.mean((entries / entries.max()) ** 2)),
        "unit_mean": [column.mean() for column in columns],
        "unit_variance": [column.var() for column in columns],
        "unit_std": [column.std() for column in columns],
        "mean": x[finite].mean(),
        "variance": x[finite].var(),
        "std": x[finite].std(),
        "zeros": np.mean(x[finite] == 0),
        "nan": np.isnan(x).sum(),
        "inf": np.isinf(x).sum(),
        "nonfinite_data": len(x) - len(whole),
        "magnitudes": np.bincount(bins, minlength=279) + (~finite).sum() * (np.arange(279) == 278),
        "cosine": np.linalg.norm(directions.mean(0)),
        "pairwise_cosine": (cosines.sum() - np.trace(cosines)) / (n * (n - 1)),
    }
    return {f"{side}_{name}": value for name, value in found.items()}


def joint_measures(output, delta):
    units = output.shape[-1]
    by_unit = lambda x: x.reshape(-1, units)
    active = by_unit(np.isfinite(output) & (output != 0))
    arrives = by_unit(np.isfinite(delta) & (delta != 0))
    lost = (arrives & (by_unit(output) == 0)).sum(0)
    dead = ~active.any(0)
    with np.errstate(invalid="ignore"):
        product = by_unit(output * delta)
    attributed = np.where(np.isfinite(product), product, 0).sum(0) / len(output)
    return {
        "dead": dead,
        "dead_count": dead.sum(),
        "dead_share": dead.mean(),
        "active_share": active.sum(0) / by_unit(np.isfinite(output)).sum(0),
        "blocked": shares(lost, arrives.sum(0)),
        "blocked_share": shares(lost.sum(), arrives.sum()),
        "delta_output": attributed.sum(),
        "unit_delta_output": attributed,
    }


def own_measures(output, delta):
    size, on = np.abs(delta).max(1), (output > 0).astype(np.float64)
    # The largest of an axis is not finite if one entry is not.
    kept = np.where(np.isfinite(size), size, np.nan)
    return {
        "mean_size": np.nanmean(kept, 0),
        "mean_on_0": on.mean(0),
        "sum_size": np.nansum(kept, 0),
        "sum_on_0": on.sum(0),
        "most_size": np.nanmax(kept, 0),
        "most_on_0": on.max(0),
    }


def expected(output, delta):
    """What `EVERY` comes to."""
    output, delta = np.float64(output), np.float64(delta)
    found = measures("output", output) | measures("delta", delta) | joint_measures(output, delta)
    return found | own_measures(output, delta)


def agree(found, wanted, tolerance):
    assert set(found) == set(wanted)
    for name in wanted:
        value, want = np.asarray(found[name]), np.asarray(wanted[name])
        assert value.shape == want.shape, name
        if value.dtype.kind in "ib":
            np.testing.assert_array_equal(value, want, err_msg=name)
        else:
            scale = 1 if "cosine" in name else np.max(np.abs(want), initial=0, where=np.isfinite(want))
            np.testing.assert_allclose(value, want, rtol=tolerance, atol=tolerance * scale, err_msg=name)


# Data, and ways over them -------------------------------------------------------------------------------


def data(dtype=np.float64, broken=False, size=1.0, seed=0):
    """Outputs and δ of `DATA` data, with zeros, a dead unit, and one at which no δ arrives."""
    numbers = np.random.default_rng(seed)
    output = np.maximum(numbers.normal(0.3, 1, (DATA, *SHAPE)), 0)
    delta = numbers.normal(0, size, (DATA, *SHAPE)) * (numbers.random((DATA, *SHAPE)) < 0.8)
    output[..., 2] = 0
    delta[..., 4] = 0
    if broken:
        output[3, 0, 1, 0], output[5, 1, 1, 1], delta[3, 2, 2, 3], delta[7] = np.nan, -np.inf, np.inf, np.nan
    return np.asarray(output, dtype), np.asarray(delta, dtype)


def states_of(statistic, output, delta):
    return jax.jit(jax.vmap(lambda o, d: statistic.of(o, d)))(output, delta)


def single(states):
    return [jax.tree.map(lambda x, i=i: x[i], states) for i in range(len(jax.tree.leaves(states)[0]))]


def in_turn(statistic, states):
    return functools.reduce(statistic.merge, single(states))


def folded(statistic, states):
    """Merges the states of single data as a tree, two neighbours at a time."""
    parts = single(states)
    while len(parts) > 1:
        pairs = zip(parts[::2], parts[1::2], strict=False)
        parts = [*(statistic.merge(*pair) for pair in pairs), *parts[len(parts) // 2 * 2 :]]
    return parts[0]


def on_host(states):
    """As between batches: NumPy's arrays, of 64 bits."""
    return jax.tree.map(lambda x: np.asarray(x).astype(np.float64 if x.dtype.kind == "f" else np.int64), states)


def test_float64_over_any_split(float64):
    on_device = jax.jit(lambda states: EVERY.finish(folded(EVERY, states)))
    for seed, broken in enumerate([False, True]):
        output, delta = data(broken=broken)
        wanted = expected(output, delta)
        order = np.random.default_rng(seed).permutation(DATA)
        states = states_of(EVERY, output[order], delta[order])
        agree(on_device(states), wanted, 1e-13)
        agree(EVERY.finish(folded(EVERY, on_host(states))), wanted, 1e-13)
        agree(EVERY.finish(in_turn(EVERY, on_host(states))), wanted, 1e-13)


def test_a_batch_as_one_datum_is_its_data_merged(float64):
    """But for what is of each datum: its norms, its direction, its sum."""
    output, delta = data()
    of_entries = stats.combine(stats.moments, stats.zeros, stats.magnitudes, stats.dead, stats.blocked)
    merged = of_entries.finish(folded(of_entries, on_host(states_of(of_entries, output, delta))))
    agree(jax.jit(of_entries)(output, delta), merged, 1e-13)


@pytest.mark.parametrize("size", [1, 1e-30, 1e30])
def test_float32(size):
    output, delta = data(np.float32, broken=True, size=size)
    wanted = expected(output, delta)
    states = states_of(EVERY, output, delta)
    agree(EVERY.finish(folded(EVERY, on_host(states))), wanted, 1e-5)
    found = jax.jit(lambda states: EVERY.finish(folded(EVERY, states)))(states)
    # The variance of such numbers is none of float32; that of the host is, and the std.
    held = [name for name in wanted if size == 1 or not ("variance" in name and "delta" in name)]
    agree({name: found[name] for name in held}, {name: wanted[name] for name in held}, 1e-5)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_sixteen_bits_are_summed_in_float32(dtype):
    output, delta = data(dtype)
    states = states_of(EVERY, output, delta)
    wanted = expected(output.astype(np.float32), delta.astype(np.float32))
    agree(EVERY.finish(in_turn(EVERY, on_host(states))), wanted, 1e-5)


@pytest.mark.parametrize("statistic", ALL, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, jnp.bfloat16, np.float64, np.complex64])
def test_states_keep_their_shapes_and_dtypes(statistic, dtype):
    if dtype is np.complex64 and statistic in OWN:
        pytest.skip("a plain function of the test, of real numbers")
    with jax.enable_x64(dtype is np.float64):
        x = jax.ShapeDtypeStruct(SHAPE, dtype)
        state = jax.eval_shape(statistic.of, x, x)
        assert jax.eval_shape(statistic.merge, state, state) == state
        of_the_state = {leaf.dtype for leaf in jax.tree.leaves(state)}
        assert of_the_state <= {jnp.dtype("int32"), jnp.dtype(np.float64 if dtype is np.float64 else np.float32)}


def test_a_scans_axis_in_front():
    """States of several layers are merged and finished at once, as they leave a scan."""
    output, delta = data(np.float32)
    states = on_host(states_of(EVERY, output, delta))
    together = EVERY.finish(EVERY.merge(states, states))
    for i, one in enumerate(single(states)):
        agree({name: value[i] for name, value in together.items()}, EVERY.finish(EVERY.merge(one, one)), 1e-12)


# Mean and variance --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mean", "tolerance"), [(1e4, 1e-12), (1e6, 1e-10)])
def test_variance_of_a_large_mean(float64, mean, tolerance):
    """As exact as the means are: a step between two of them has the rounding error of a mean."""
    x = mean + np.random.default_rng(0).normal(size=(64, 50, 3))
    states = on_host(states_of(stats.of_delta(stats.moments), x, x))
    found = stats.of_delta(stats.moments).finish(folded(stats.of_delta(stats.moments), states))
    flat = (x - mean).reshape(-1, 3)  # exact
    np.testing.assert_allclose(found["delta_unit_mean"], mean + flat.mean(0), rtol=1e-15)
    np.testing.assert_allclose(found["delta_unit_variance"], flat.var(0), rtol=tolerance)


def test_variance_of_a_large_mean_in_float32():
    x = np.float32(1e4 + np.random.default_rng(0).normal(size=(64, 512, 3)))
    found = stats.moments(x, x)
    np.testing.assert_allclose(found["delta_unit_variance"], np.float64(x).reshape(-1, 3).var(0), rtol=1e-4)


@pytest.mark.parametrize("size", [1e-37, 1e-30, 1e-5, 1, 1e19, 2.9e38])
def test_norms_neither_underflow_nor_overflow(size):
    x = np.float32([size, -size / 4, size / 2])
    found = stats.norms(x, x)
    np.testing.assert_allclose(found["delta_l2"], np.linalg.norm(np.float64(x)), rtol=1e-6)
    np.testing.assert_allclose(found["delta_rms"], np.linalg.norm(np.float64(x)) / 3**0.5, rtol=1e-6)
    host = stats.norms.finish(on_host(stats.norms.of(x, x)))
    np.testing.assert_allclose(host["delta_l1"], np.abs(np.float64(x)).sum(), rtol=1e-6)


def test_a_large_datum_and_a_small_one():
    small, large = np.float32([1e-30, 0]), np.float32([1e30, 0])
    for one, other in [(small, large), (large, small)]:
        found = stats.norms.finish(stats.norms.merge(stats.norms.of(one, small), stats.norms.of(other, small)))
        np.testing.assert_allclose(found["output_l2"], 5e29, rtol=1e-6)
        np.testing.assert_allclose(found["delta_l2"], 1e-30, rtol=1e-6)


LARGE = np.float32(3e38) * np.array([[1, -1, 1], [1, 1, -1], [-1, 1, 1], [1, -1, 0.5]], np.float32)
"""Over the data, and of one datum in another order, their sums are no float32; their means are."""


@pytest.mark.parametrize("rows", [LARGE, np.full((5, 3), 1e38, np.float32), LARGE[:1]], ids=["4", "5", "1"])
def test_a_mean_of_finite_numbers_is_finite(rows):
    """Whichever way it is merged: two by two or all at once, on the device or on the host."""
    means = stats.combine(sizes, stats.delta_output, stats.averaged(lambda output, delta: output, "own"), stats.moments)
    states = jax.jit(jax.vmap(lambda x: means.of(x, jnp.ones_like(x))))(rows)
    wide = np.float64(rows)
    for x in (
        jax.jit(lambda states: means.finish(folded(means, states)))(states),
        jax.jit(lambda states: means.finish(means.merge_all(states, np.ones(len(rows), bool))))(states),
        means.finish(in_turn(means, on_host(states))),
    ):
        atol = 1e-6 * np.abs(wide).max()  # they may cancel
        np.testing.assert_allclose(x["output_mean"], np.abs(wide).mean(), rtol=1e-5)
        np.testing.assert_allclose(x["delta_output"], wide.sum(1).mean(), rtol=1e-5, atol=atol)
        for name in ("unit_delta_output", "own", "output_unit_mean"):
            np.testing.assert_allclose(x[name], wide.mean(0), rtol=1e-5, atol=atol, err_msg=name)
        np.testing.assert_array_equal(x["delta_mean"], 1)


def test_what_is_too_large_for_float32_on_the_device_is_there_on_the_host():
    x = np.full(3, 3e38, np.float32)
    both = stats.combine(stats.norms, stats.delta_output)
    found = jax.jit(both)(x, np.ones_like(x))
    assert found["output_l1"] == found["delta_output"] == np.inf
    host = both.finish(on_host(both.of(x, np.ones_like(x))))
    np.testing.assert_allclose([host["output_l1"], host["delta_output"]], 9e38, rtol=1e-6)


# Bits ---------------------------------------------------------------------------------------------------


def test_every_magnitude_of_float32():
    exponents = np.arange(-149, 128)
    powers = np.ldexp(1.0, exponents).astype(np.float32)
    below = np.nextafter(powers, np.float32(0))  # one bin down; of the smallest number, zero
    assert np.count_nonzero(below) == len(powers) - 1
    counts = jax.jit(stats.magnitudes)(powers, -below)
    assert counts["output_magnitudes"].tolist() == [0] + [1] * 277 + [0]
    assert counts["delta_magnitudes"].tolist() == [1] * 277 + [0, 0]
    largest = np.float32([np.finfo(np.float32).max, np.inf, np.nan, -np.inf, -0.0])
    assert np.asarray(stats.magnitudes(largest, largest)["delta_magnitudes"])[[0, 277, 278]].tolist() == [1, 1, 3]


def test_magnitudes_beyond_float32(float64):
    x = np.array([1e-300, 5e-324, 1e300, 0.0, 2.0**-149, 1.5])
    found = np.asarray(stats.magnitudes(x, x)["delta_magnitudes"])
    assert {int(i): int(found[i]) for i in np.flatnonzero(found)} == {0: 1, 1: 3, 150: 1, 277: 1}


def test_a_subnormal_number_is_not_zero():
    x = np.float32([1e-40, 0.0, -0.0, 1.0])
    assert float(jax.jit(stats.zeros)(x, x)["delta_zeros"]) == 0.5


# Few data, no data --------------------------------------------------------------------------------------


def test_a_scalar_has_one_unit():
    of_scalar = jax.jit(FLOW)(np.float32(-3), np.float32(2))
    of_vector = jax.jit(FLOW)(np.float32([-3]), np.float32([2]))
    jax.tree.map(np.testing.assert_array_equal, of_scalar, of_vector)
    assert of_scalar["dead"].shape == of_scalar["unit_delta_output"].shape == (1,)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0)], ids=str)
def test_empty_arrays(shape):
    empty, some = np.zeros(shape, np.float32), np.ones(SHAPE, np.float32)
    for name, value in jax.jit(FLOW)(empty, empty).items():
        is_sum = value.dtype != np.float32 or name.endswith(("l1", "l2", "delta_output"))
        is_zero = is_sum or (name == "dead_share" and shape[-1] > 0)  # none of three units, which had no entries
        assert np.all(np.asarray(value) == 0) if is_zero else np.all(np.isnan(value)), name
    states = (on_host(stats.summary.of(x, x)) for x in (empty, some))
    merged = stats.summary.finish(stats.summary.merge(*states))
    assert (merged["delta_rms"], merged["delta_mean"], merged["delta_std"]) == (1, 1, 0)


def test_data_that_are_all_nan():
    nan = np.full(SHAPE, np.nan, np.float32)
    found = jax.jit(stats.summary)(nan, nan)
    assert int(found["delta_nan"]) == 60
    assert int(found["delta_nonfinite_data"]) == 1
    of_finite = ("l1", "l2", "max", "rms", "mean", "variance", "std", "zeros")
    assert all(np.isnan(found[f"{side}_{name}"]) for name in of_finite for side in ("output", "delta"))
    assert all(np.isnan(sizes(nan, nan)[f"delta_{name}"]) for name in ("mean", "max", "zeros"))
    host = stats.summary.finish(on_host(stats.summary.of(nan, nan)))
    assert np.isnan(host["output_mean"])
    assert not stats.dead(nan, nan)["dead"].any()


# Units, unions, sides -----------------------------------------------------------------------------------


def test_other_units():
    output, delta = (np.moveaxis(x, 2, 0) for x in data(np.float32))  # (4, data, 3, 5)
    found = stats.with_units(stats.moments, (0, -1))(output, delta)["delta_unit_mean"]
    np.testing.assert_allclose(found.reshape(4, 5), delta.mean((1, 2)), rtol=1e-5, atol=1e-6)
    whole = stats.with_units(stats.moments, ())(output, delta)["delta_unit_mean"]
    np.testing.assert_allclose(whole, [delta.mean()], rtol=1e-5, atol=1e-6)
    each = stats.with_units(stats.dead)(output, delta)["dead"]
    np.testing.assert_array_equal(each.reshape(output.shape), output == 0)
    assert list(stats.of_delta(stats.with_units(stats.moments, 0))(output, delta)) == [
        f"delta_unit_{name}" for name in ("mean", "variance", "std")
    ]


@pytest.mark.parametrize("axis", [3, -4, (0, 0), (0, -3)])
def test_units_that_are_not_there(axis):
    x = np.zeros(SHAPE, np.float32)
    with pytest.raises(jw.ArgumentError, match=r"`axis` is .*, but the value has the shape \(3, 4, 5\); name axes"):
        stats.with_units(stats.dead, axis)(x, x)


def test_a_union_gives_the_results_of_its_parts():
    output, delta = data(np.float32)
    parts = [stats.norms, stats.zeros, stats.dead, OWN[0]]
    union = stats.combine(stats.combine(*parts[:2]), *parts[2:])
    found = jax.jit(union)(output, delta)
    alone = [jax.jit(part)(output, delta) for part in parts]
    assert set(found) == {name for part in alone for name in part}
    for part in alone:
        agree({name: found[name] for name in part}, jax.tree.map(np.asarray, part), 1e-6)


def test_names_that_clash():
    with pytest.raises(jw.ArgumentError, match=r"`statistics` has `dead` more than once; leave"):
        stats.combine(stats.dead, stats.zeros, stats.dead)
    twice = stats.combine(stats.dead, stats.averaged(lambda output, delta: {"dead": delta}, "mine"))
    with pytest.raises(jw.ArgumentError, match=r"The statistics `dead`, `mine` both have a result `dead`; leave one"):
        twice.of(np.zeros(3, np.float32), np.zeros(3, np.float32))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: stats.combine(), "`statistics` is empty"),
        (
            lambda x: stats.combine(plain),
            "`statistics` holds <function plain at .*>, which is not a `Statistic`; wrap a plain",
        ),
        (lambda x: stats.of_delta(stats.dead), "`dead` has no part that looks at the delta alone"),
        (lambda x: stats.of_output(stats.blocked), "`blocked` has no part that looks at the output alone"),
        (lambda x: stats.averaged(3), "`keep` is 3; it must be a function"),
        (lambda x: stats.of_delta(lambda o, d: d), "`statistic` is .*, which is not a `Statistic`; wrap a plain"),
        (lambda x: stats.of_output(abs), "`statistic` is <built-in function abs>, which is not a `Statistic`"),
        (lambda x: stats.of_delta(None), "`statistic` is None, which is not a `Statistic`"),
        (lambda x: stats.with_units(abs), "`statistic` is <built-in function abs>, which is not a `Statistic`"),
        (lambda x: stats.with_units(stats.dead, "a"), "`axis` is 'a'; give the number of an axis, a tuple of them, or"),
        (lambda x: stats.with_units(stats.dead, (0, 1.5)), r"`axis` is \(0, 1.5\); give the number of an axis"),
        (lambda x: stats.averaged(stats.dead), r"`keep` is Statistic\(dead\), which merges over data by itself; use"),
        (lambda x: stats.summed(stats.norms), r"`keep` is Statistic\(norms\), which merges"),
        (lambda x: stats.largest(stats.norms), r"`keep` is Statistic\(norms\), which merges"),
        (
            lambda x: stats.averaged(lambda o: o),
            r"`keep` must take \(output, delta\), and what it takes is \(o\);",
        ),
        (lambda x: stats.averaged(lambda o, d: None)(x, x), "`keep` returned no array"),
        (lambda x: stats.summed(lambda o, d: "a")(x, x), "`keep` returned 'a', which is not an array"),
        (lambda x: stats.summed(lambda o, d: "a", "total")(x, x), "`keep` of `total` returned 'a', which is not an"),
        (
            lambda x: stats.averaged(lambda o, d: {"a": {"b": o}, "a_b": d})(x, x),
            "`keep` returned two arrays of one name, of `a_b`; rename",
        ),
    ],
)
def test_messages(call, message):
    with pytest.raises(jw.ArgumentError, match=message):
        call(np.ones(3, np.float32))


@pytest.mark.parametrize("statistic", [*BOTH, *JOINT], ids=str)
def test_help_says_what_a_statistic_is(statistic):
    x = jax.ShapeDtypeStruct(SHAPE, np.float32)
    found = inspect.getdoc(statistic)
    if statistic is not stats.summary:  # which names the others
        results = jax.eval_shape(statistic, x, x)
        assert all(f"`{name}`" in found for name in results if not name.startswith("delta_") or statistic in JOINT)
    assert found.splitlines()[0] in pydoc.plain(pydoc.render_doc(statistic))
    assert inspect.getdoc(stats.with_units(statistic)) == found
    if statistic in BOTH:
        assert inspect.getdoc(stats.of_delta(statistic)) == found


def test_help_of_all():
    found = pydoc.plain(pydoc.render_doc(stats))
    assert dir(stats) == sorted(stats.__all__)
    assert all(f"    {s.name} = Statistic({s.name})" in found for s in [*BOTH, *JOINT])
    assert all(f"    {name}(" in found for name in ("combine", "of_delta", "of_output", "averaged", "with_units"))
    assert "ndarray(" not in found
    assert inspect.getdoc(stats.Statistic).startswith("A statistic of the output and the δ")


@pytest.mark.parametrize("statistic", BOTH, ids=str)
def test_sides(statistic):
    x = jax.ShapeDtypeStruct(SHAPE, np.float32)
    shown = lambda statistic: jax.eval_shape(statistic, x, x)
    output, delta = stats.of_output(statistic), stats.of_delta(statistic)
    assert all(name.startswith("output_") for name in shown(output))
    assert all(name.startswith("delta_") for name in shown(delta))
    assert shown(output) | shown(delta) == shown(statistic)
    assert stats.of_delta(delta) is delta
    assert shown(stats.of_delta(stats.combine(statistic, stats.blocked))) == shown(delta)


def test_sides_give_what_the_whole_gives():
    output, delta = data(np.float32)
    whole = jax.jit(FLOW)(output, delta)
    for part in (stats.of_output(FLOW), stats.of_delta(FLOW)):
        found = jax.jit(part)(output, delta)
        agree(found, {name: whole[name] for name in found}, 1e-6)


def test_complex_numbers():
    x = np.complex64([[3 + 4j, 0], [6j, 0]])
    found = stats.combine(stats.norms, stats.delta_output, stats.zeros, stats.cosine)(x, 2j * x)
    assert float(found["output_l1"]) == 11
    assert float(found["delta_output"]) == np.real(2j * x * x).sum()
    assert float(found["output_zeros"]) == 0.5
    both = stats.cosine.merge(stats.cosine.of(x, x), stats.cosine.of(x, 1j * x))
    np.testing.assert_allclose(stats.cosine.finish(both)["delta_pairwise_cosine"], 0, atol=1e-6)
    mean = stats.averaged(lambda output, delta: delta)
    found = mean.finish(mean.merge(mean.of(x, x), mean.of(x, 1j * x)))
    np.testing.assert_allclose(found["kept"], (1 + 1j) * x / 2)


# Through a walk -----------------------------------------------------------------------------------------

LAYERS, TOKENS, WIDTH = 3, 7, 4


def loss(weights, x):
    def layer(x, w):
        return jw.tag(jax.nn.relu(x @ w), "relu"), None

    return jnp.mean(lax.scan(jax.checkpoint(layer), x, weights)[0] ** 2)


def arguments(*leading):
    numbers = np.random.default_rng(1)
    return numbers.normal(size=(LAYERS, WIDTH, WIDTH)), numbers.normal(size=(*leading, TOKENS, WIDTH))


def test_in_a_scan(float64):
    weights, x = arguments()
    full = jw.walk(loss)(weights, x)
    kept = jax.jit(jw.walk(loss, keep=FLOW))(weights, x).kept["relu"]
    for i in range(LAYERS):
        output, delta = (np.asarray(side["relu"][i])[None] for side in (full.outputs, full.deltas))
        wanted = measures_of_one(output, delta)
        agree({name: value[i] for name, value in kept.items() if name in wanted}, wanted, 1e-12)


def measures_of_one(output, delta):
    with np.errstate(invalid="ignore"):
        found = measures("output", output) | measures("delta", delta) | joint_measures(output, delta)
    assert np.isnan(found.pop("output_pairwise_cosine"))
    assert np.isnan(found.pop("delta_pairwise_cosine"))
    return found


def test_in_a_vmapped_scan(float64):
    weights, x = arguments(5)
    full = jax.vmap(jw.walk(loss), (None, 0))(weights, x)
    kept = jax.jit(jax.vmap(jw.walk(loss, keep=FLOW.of), (None, 0)))(weights, x).kept["relu"]
    merged = FLOW.finish(in_turn(FLOW, on_host(kept)))
    for i in range(LAYERS):
        output, delta = (np.asarray(side["relu"][:, i]) for side in (full.outputs, full.deltas))
        wanted = measures("output", output) | measures("delta", delta) | joint_measures(output, delta)
        agree({name: value[i] for name, value in merged.items()}, wanted, 1e-12)


def temp(keep, remat):
    """Bytes XLA plans for a walk through layers whose outputs nothing else needs."""

    def through(weights, x):
        layer = lambda x, w: (jw.tag(2 * x, "twice") + w, None)
        return jnp.sum(lax.scan(jax.checkpoint(layer) if remat else layer, x, weights)[0])

    args = np.ones((64, 10_000), np.float32), np.ones(10_000, np.float32)
    return jax.jit(jw.walk(through, keep=keep)).lower(*args).compile().memory_analysis().temp_size_in_bytes


@pytest.mark.parametrize("statistic", BOTH, ids=str)
def test_of_delta_saves_no_output(statistic):
    saved = 64 * 10_000 * 4
    if statistic is not stats.cosine:  # whose state is as large as the output
        assert temp(stats.of_delta(statistic), remat=False) < saved / 2
    jaxpr = jax.make_jaxpr(lambda o, d: stats.of_delta(statistic)(o, d))(*[np.ones((2, 3), np.float32)] * 2)
    output, _ = jaxpr.jaxpr.invars
    assert not any(output is var for eqn in jaxpr.eqns for var in eqn.invars)


def test_both_sides_save_the_output():
    """Which shows that the figure above is one of what is saved."""
    assert temp(stats.blocked, remat=False) >= 64 * 10_000 * 4
