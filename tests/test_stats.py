"""`jw.stats`: against NumPy in float64, whatever the batches; what is left out; what is not saved."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jaxwalk as jw
from jaxwalk import stats

BOTH = [stats.norms, stats.moments, stats.zeros, stats.nonfinite, stats.magnitudes, stats.cosine, stats.summary]
JOINT = [stats.dead, stats.blocked, stats.delta_output]
SHAPE = (3, 4, 5)  # of a datum: 12 entries of each of 5 units
DATA = 11


def a_plain(output, delta):
    return {"size": jnp.max(jnp.abs(delta), axis=0), "on": [output > 0]}


OWN = [stats.averaged(a_plain), stats.summed(a_plain, "sum"), stats.largest(a_plain, "most")]
ALL = [*BOTH, *JOINT, *OWN]


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
        "averaged": {"size": np.nanmean(kept, 0), "on_0": on.mean(0)},
        "summed": {"size": np.nansum(kept, 0), "on_0": on.sum(0)},
        "largest": {"size": np.nanmax(kept, 0), "on_0": on.max(0)},
    }


def expected(statistic, output, delta):
    output, delta = np.float64(output), np.float64(delta)
    if statistic in OWN:
        return own_measures(output, delta)[["averaged", "summed", "largest"][OWN.index(statistic)]]
    found = measures("output", output) | measures("delta", delta) | joint_measures(output, delta)
    return {name: found[name] for name in statistic(output[0], delta[0])}


def agree(found, wanted, tolerance):
    assert set(found) == set(wanted)
    for name in wanted:
        value, want = np.asarray(found[name]), np.asarray(wanted[name])
        assert value.shape == want.shape, name
        if value.dtype.kind in "ib":
            np.testing.assert_array_equal(value, want, err_msg=name)
        else:
            scale = np.max(np.abs(want), initial=0, where=np.isfinite(want))
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


def folded(statistic, states, order):
    """Merges the states of single data as a tree, two neighbours at a time, in the given order."""
    parts = [jax.tree.map(lambda x, i=i: x[i], states) for i in order]
    while len(parts) > 1:
        pairs = zip(parts[::2], parts[1::2], strict=False)
        parts = [*(statistic.merge(*pair) for pair in pairs), *parts[len(parts) // 2 * 2 :]]
    return parts[0]


def on_host(states):
    """As between batches: NumPy's arrays, of 64 bits."""
    return jax.tree.map(lambda x: np.asarray(x).astype(np.float64 if x.dtype.kind == "f" else np.int64), states)


@pytest.mark.parametrize("statistic", ALL, ids=str)
@pytest.mark.parametrize("broken", [False, True], ids=["finite", "broken"])
def test_float64_over_any_split(float64, statistic, broken):
    output, delta = data(broken=broken)
    wanted = expected(statistic, output, delta)
    states = states_of(statistic, output, delta)
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(DATA)
        on_device = jax.jit(lambda states, order=order: statistic.finish(folded(statistic, states, order)))(states)
        agree(on_device, wanted, 1e-13)
        agree(statistic.finish(folded(statistic, on_host(states), order)), wanted, 1e-13)


@pytest.mark.parametrize("statistic", ALL, ids=str)
@pytest.mark.parametrize("size", [1, 1e-30, 1e30])
def test_float32(statistic, size):
    if size != 1 and statistic is stats.delta_output:
        pytest.skip("a product, as it stands")
    output, delta = data(np.float32, broken=True, size=size)
    states = states_of(statistic, output, delta)
    wanted = expected(statistic, output, delta)
    agree(statistic.finish(folded(statistic, on_host(states), range(DATA))), wanted, 1e-5)
    found = statistic.finish(folded(statistic, states, range(DATA)))
    # The variance of such numbers is none of float32; that of the host is, and the std.
    gone = {name for name in wanted if "variance" in name and size != 1}
    agree({k: v for k, v in found.items() if k not in gone}, {k: v for k, v in wanted.items() if k not in gone}, 1e-5)


@pytest.mark.parametrize("statistic", ALL, ids=str)
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_sixteen_bits_are_summed_in_float32(statistic, dtype):
    output, delta = data(dtype)
    states = states_of(statistic, output, delta)
    agree(statistic.finish(folded(statistic, states, range(DATA))), expected(statistic, output, delta), 1e-5)


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


@pytest.mark.parametrize("statistic", ALL, ids=str)
def test_a_scans_axis_in_front(statistic):
    """States of several layers are merged and finished at once, as they leave a scan."""
    output, delta = data(np.float32)
    states = states_of(statistic, output, delta)
    together = statistic.finish(statistic.merge(on_host(states), on_host(states)))
    for i in range(DATA):
        one = on_host(jax.tree.map(lambda x, i=i: x[i], states))
        agree({k: v[i] for k, v in together.items()}, statistic.finish(statistic.merge(one, one)), 1e-12)


# Mean and variance --------------------------------------------------------------------------------------


def test_variance_of_a_large_mean(float64):
    x = 1e6 + np.random.default_rng(0).normal(size=(64, 50, 3))
    states = states_of(stats.moments, x, x)
    found = stats.moments.finish(folded(stats.moments, on_host(states), range(64)))
    flat = (x - 1e6).reshape(-1, 3)  # exact
    np.testing.assert_allclose(found["delta_unit_mean"], 1e6 + flat.mean(0), rtol=1e-15)
    np.testing.assert_allclose(found["delta_unit_variance"], flat.var(0), rtol=1e-12)


def test_variance_of_a_large_mean_in_float32():
    x = np.float32(1e4 + np.random.default_rng(0).normal(size=(64, 512, 3)))
    found = stats.moments(x, x)
    np.testing.assert_allclose(found["delta_unit_variance"], np.float64(x).reshape(-1, 3).var(0), rtol=1e-4)


@pytest.mark.parametrize("size", [1e-38, 1e-30, 1e-5, 1, 1e19, 3e38])
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


@pytest.mark.parametrize("statistic", [*BOTH, *JOINT], ids=str)
def test_a_scalar_has_one_unit(statistic):
    of_scalar = statistic(np.float32(-3), np.float32(2))
    of_vector = statistic(np.float32([-3]), np.float32([2]))
    jax.tree.map(np.testing.assert_array_equal, of_scalar, of_vector)


@pytest.mark.parametrize("statistic", [*BOTH, *JOINT], ids=str)
@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0)], ids=str)
def test_empty_arrays(statistic, shape):
    empty, some = np.zeros(shape, np.float32), np.ones(SHAPE, np.float32)
    found = jax.jit(statistic)(empty, empty)
    for name, value in found.items():
        counts = value.dtype != np.float32 or "l1" in name or "l2" in name or "max" in name or "delta_output" in name
        assert np.all(np.asarray(value) == 0) if counts else np.all(np.isnan(value)), name
    if statistic in (stats.norms, stats.zeros, stats.nonfinite, stats.magnitudes, stats.summary):
        merged = statistic.finish(statistic.merge(statistic.of(empty, empty), statistic.of(some, some)))
        assert float(merged.get("delta_rms", 1)) == 1


def test_data_that_are_all_nan():
    nan = np.full(SHAPE, np.nan, np.float32)
    found = stats.summary(nan, nan)
    assert int(found["delta_nan"]) == 60
    assert int(found["delta_nonfinite_data"]) == 1
    assert all(np.isnan(found[f"delta_{name}"]) for name in ("l1", "l2", "rms", "mean", "variance", "std", "zeros"))
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
    union = stats.combine(stats.combine(stats.norms, stats.zeros), *JOINT, OWN[0])
    parts = [stats.norms, stats.zeros, *JOINT, OWN[0]]
    alone = {name: value for part in parts for name, value in part(output, delta).items()}
    found = union(output, delta)
    assert list(found) == list(alone)
    jax.tree.map(np.testing.assert_array_equal, found, alone)
    states = states_of(union, output, delta)
    agree(
        union.finish(folded(union, on_host(states), range(DATA))),
        {name: value for part in parts for name, value in expected(part, output, delta).items()},
        1e-5,
    )


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
        (lambda x: stats.combine(a_plain), "`statistics` holds a function, which is not a `Statistic`; wrap a plain"),
        (lambda x: stats.of_delta(stats.dead), "`dead` has no part that looks at the delta alone"),
        (lambda x: stats.of_output(stats.blocked), "`blocked` has no part that looks at the output alone"),
        (lambda x: stats.averaged(3), "`keep` is 3; it must be a function"),
        (lambda x: stats.averaged(lambda o, d: None)(x, x), "`kept` returned no array"),
        (lambda x: stats.summed(lambda o, d: "a")(x, x), "`kept` returned 'a', which is not an array"),
        (lambda x: stats.averaged(lambda o, d: {"a": {"b": o}, "a_b": d})(x, x), "`kept` returned two arrays of one"),
    ],
)
def test_messages(call, message):
    with pytest.raises(jw.ArgumentError, match=message):
        call(np.ones(3, np.float32))


@pytest.mark.parametrize("statistic", BOTH, ids=str)
def test_sides(statistic):
    output, delta = data(np.float32)
    whole = statistic(output, delta)
    for side, of_side in [("output", stats.of_output), ("delta", stats.of_delta)]:
        found = of_side(statistic)(output, delta)
        assert list(found) == [name for name in whole if name.startswith(side)]
        jax.tree.map(np.testing.assert_array_equal, found, {name: whole[name] for name in found})
        assert of_side(of_side(statistic)) is of_side(statistic) or of_side(of_side(statistic)).side == side


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
    np.testing.assert_allclose(found["kept"] if "kept" in found else found["<lambda>"], (1 + 1j) * x / 2)


# Through a walk -----------------------------------------------------------------------------------------

LAYERS, TOKENS, WIDTH = 3, 7, 4


def loss(weights, x):
    def layer(x, w):
        return jw.tag(jax.nn.relu(x @ w), "relu"), None

    return jnp.mean(lax.scan(jax.checkpoint(layer), x, weights)[0] ** 2)


def arguments(*leading):
    numbers = np.random.default_rng(1)
    return numbers.normal(size=(LAYERS, WIDTH, WIDTH)), numbers.normal(size=(*leading, TOKENS, WIDTH))


EVERY = stats.combine(stats.summary, stats.moments, stats.magnitudes, stats.cosine, *JOINT)


def test_in_a_scan(float64):
    weights, x = arguments()
    full = jw.walk(loss)(weights, x)
    kept = jax.jit(jw.walk(loss, keep=EVERY))(weights, x).kept["relu"]
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
    kept = jax.jit(jax.vmap(jw.walk(loss, keep=EVERY.of), (None, 0)))(weights, x).kept["relu"]
    merged = EVERY.finish(functools.reduce(EVERY.merge, [jax.tree.map(lambda x, i=i: x[i], kept) for i in range(5)]))
    for i in range(LAYERS):
        output, delta = (np.asarray(side["relu"][:, i]) for side in (full.outputs, full.deltas))
        wanted = measures("output", output) | measures("delta", delta) | joint_measures(output, delta)
        agree({name: value[i] for name, value in merged.items()}, wanted, 1e-12)


def temp(keep, remat):
    """Bytes XLA plans for a walk through layers whose outputs nothing else needs."""

    def through(weights, x):
        layer = lambda x, w: (jw.tag(2 * x, "twice") + w, None)
        return jnp.sum(lax.scan(jax.checkpoint(layer) if remat else layer, x, weights)[0])

    args = np.ones((64, 1000), np.float32), np.ones(1000, np.float32)
    return jax.jit(jw.walk(through, keep=keep)).lower(*args).compile().memory_analysis().temp_size_in_bytes


@pytest.mark.parametrize("statistic", BOTH, ids=str)
def test_of_delta_saves_no_output(statistic):
    saved = 64 * 1000 * 4
    if statistic is not stats.cosine:  # whose state is as large as the output
        assert temp(stats.of_delta(statistic), remat=False) < saved / 2
    jaxpr = jax.make_jaxpr(lambda o, d: stats.of_delta(statistic)(o, d))(*[np.ones((2, 3), np.float32)] * 2)
    output, _ = jaxpr.jaxpr.invars
    assert not any(output is var for eqn in jaxpr.eqns for var in eqn.invars)


def test_both_sides_save_the_output():
    """Which shows that the figure above is one of what is saved."""
    assert temp(stats.blocked, remat=False) >= 64 * 1000 * 4
