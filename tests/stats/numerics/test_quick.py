"""The quick way to norms, moments and counts, and the careful one: rows that need either, against NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxwalk import stats
from jaxwalk.stats._counts import NONFINITE, ZEROS
from jaxwalk.stats._moments import ENTRY_MOMENTS, NORMS
from jaxwalk.stats._numerics.norm import norm
from jaxwalk.stats._numerics.quick import divided, quick_or

numbers = np.random.default_rng(0).normal(size=(4, 7))
BATCHES = {
    "plain": numbers,
    "small": numbers * 1e-30,
    "large": numbers * 1e30,
    "mixed": numbers * np.array([[1e-30], [1], [1e30], [0]]),
    "zeros": numbers * np.array([[1], [0], [1], [0]]),
    "nothing": numbers * 0,
    "one entry": numbers * np.array([1e-25, 1, 1, 1e-4, 1, 1, 0]),
}

states_of = jax.jit(jax.vmap(lambda x: stats.norms.of(x, x)))
merge_all = jax.jit(stats.norms.merge_all)


@pytest.mark.parametrize("rows", BATCHES.values(), ids=BATCHES)
def test_norms_of_every_row(rows):
    rows = rows.astype(np.float32)
    wide = np.float64(rows)
    np.testing.assert_allclose(jax.jit(jax.vmap(norm))(rows), np.linalg.norm(wide, axis=1), rtol=1e-6)
    found = stats.norms.finish(states_of(rows))
    np.testing.assert_allclose(found["delta_l1"], np.abs(wide).sum(1), rtol=1e-6)
    np.testing.assert_allclose(found["delta_l2"], np.linalg.norm(wide, axis=1), rtol=1e-6)
    np.testing.assert_allclose(found["delta_rms"], np.linalg.norm(wide, axis=1) / 7**0.5, rtol=1e-6)
    np.testing.assert_array_equal(found["delta_max"], np.abs(rows).max(1))


summary_of = jax.jit(lambda x: stats.summary(x, x))
summaries_of = jax.jit(jax.vmap(summary_of))
OFFSETS = {"none": 0.0, "small": 0.5, "large": 1e3}


@pytest.mark.parametrize("vmapped", [True, False], ids=["rows", "one by one"])
@pytest.mark.parametrize("offset", OFFSETS.values(), ids=OFFSETS)
@pytest.mark.parametrize("rows", BATCHES.values(), ids=BATCHES)
def test_moments_and_zeros_of_every_row(rows, offset, vmapped):
    rows = np.where(rows == 0, 0, rows + offset * np.abs(rows).max()).astype(np.float32)
    wide = np.float64(rows)
    each = lambda: jax.tree.map(lambda *leaves: np.stack(leaves), *map(summary_of, rows))
    found = summaries_of(rows) if vmapped else each()
    largest = np.abs(wide).max(1)
    np.testing.assert_allclose(found["output_mean"], wide.mean(1), rtol=1e-6, atol=1e-7 * largest.max())
    np.testing.assert_allclose(found["delta_std"], wide.std(1), rtol=2e-6, atol=1e-7 * largest.max())
    np.testing.assert_array_equal(found["output_zeros"], np.float32(np.mean(rows == 0, axis=1)))
    for name in ("nan", "inf", "nonfinite_data"):
        assert not found[f"delta_{name}"].any()


VALUES = {
    "float32": np.float32(numbers),
    "bfloat16": jnp.bfloat16(numbers),
    "float16": np.float16(numbers),
    "float64": numbers,
    "complex64": np.complex64(numbers + 1j * numbers[::-1]),
    "complex128": numbers + 1j * numbers[::-1],
    "int32": np.int32(10 * numbers),
    "int8": np.int8(10 * numbers),
    "bool": numbers > 0,
    "a scalar": np.float32(-3),
    "an integer": np.int32(-3),
    "zero": np.float32(0),
    "empty": np.zeros((0, 3), np.float32),
    "empty, of bfloat16": jnp.zeros((2, 0), jnp.bfloat16),
    "empty, of integers": np.zeros(0, np.int32),
}
COUNTS = ("nan", "inf", "nonfinite_data")
WAYS = ("quick", "careful", "summary")


def measured(x, way):
    """What the measures of `summary` come to by one of the ways; by its own, of the whole."""
    if way == "summary":
        return {name[6:]: value for name, value in stats.of_delta(stats.summary)(x, x).items()}
    found = {}
    for measure in (NORMS, ENTRY_MOMENTS, ZEROS, NONFINITE):
        state, is_right = measure.quick(x) if way == "quick" else (measure.of(x), True)
        # Of a variance that is small beside the mean the quick way may say no; only then.
        assert is_right or (measure is ENTRY_MOMENTS and jnp.std(jnp.abs(x)) < jnp.abs(jnp.mean(jnp.abs(x))))
        found |= measure.finish(state if is_right else measure.of(x))
    return found


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("x", VALUES.values(), ids=VALUES)
def test_both_ways_of_any_dtype(x, way):
    with jax.enable_x64(x.dtype in (np.float64, np.complex128)):
        found = measured(jnp.asarray(x), way)
    wide = np.abs(np.complex128(x)) if np.iscomplexobj(x) else np.float64(x)
    of_any = lambda function: function() if wide.size else np.nan
    wanted = {
        "l1": np.abs(wide).sum(),
        "l2": np.linalg.norm(wide.ravel()),
        "max": of_any(lambda: np.abs(wide).max()),
        "rms": of_any(lambda: np.sqrt(np.mean(wide**2))),
        "mean": of_any(wide.mean),
        "variance": of_any(wide.var),
        "std": of_any(wide.std),
        "zeros": of_any(lambda: np.mean(wide == 0)),
    }
    wanted |= dict.fromkeys(COUNTS, 0)
    tolerance = 1e-14 if x.dtype in (np.float64, np.complex128) else 2e-6
    assert set(found) == set(wanted)
    for name, value in found.items():
        np.testing.assert_allclose(value, wanted[name], rtol=tolerance, err_msg=name)
        assert value.dtype == (jnp.int32 if name in COUNTS else np.float64 if tolerance < 1e-10 else np.float32)


@pytest.mark.parametrize("second", BATCHES)
@pytest.mark.parametrize("first", BATCHES)
def test_states_of_both_ways_merge(first, second):
    batches = [BATCHES[name].astype(np.float32) for name in (first, second)]
    states = [merge_all(states_of(rows), np.ones(4, bool)) for rows in batches]
    found = stats.norms.finish(stats.norms.merge(*states))
    wide = np.float64(np.concatenate(batches))
    largest = np.abs(wide).max() or 1
    np.testing.assert_allclose(found["output_l1"], np.abs(wide).sum(1).mean(), rtol=1e-6)
    np.testing.assert_allclose(found["output_l2"], np.linalg.norm(wide, axis=1).mean(), rtol=1e-6)
    np.testing.assert_allclose(found["output_rms"], np.sqrt(np.mean((wide / largest) ** 2)) * largest, rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_not_finite(bad):
    rows = numbers.astype(np.float32)
    rows[2, 3] = bad
    assert np.isfinite(jax.vmap(norm)(rows)).tolist() == [True, True, False, True]
    state = states_of(rows)["delta_norms"]
    assert state["data"].tolist() == [1, 1, 0, 1]
    assert state["count"].tolist() == [7, 7, 6, 7]
    np.testing.assert_allclose(state["max"], np.abs(np.where(np.isfinite(rows), rows, 0)).max(1))
    found = summaries_of(rows)
    assert found["output_nonfinite_data"].tolist() == [0, 0, 1, 0]
    assert (found["output_nan"] + found["output_inf"]).tolist() == [0, 0, 1, 0]
    means = [np.float64(row[np.isfinite(row)]).mean() for row in rows]
    np.testing.assert_allclose(found["delta_mean"], means, rtol=1e-6)


def test_which_way():
    way = quick_or(lambda x: jnp.sum(x), lambda x: (-jnp.sum(x), x[0] > 0))
    rows = jnp.array([[1.0, 2.0], [3.0, 4.0]])
    sign = -1 if jax.default_backend() == "cpu" else 1
    np.testing.assert_array_equal(jax.vmap(way)(rows), [sign * 3, sign * 7])
    np.testing.assert_array_equal(jax.vmap(way)(rows.at[0, 0].set(0)), [2, 7])
    twice = jax.vmap(jax.vmap(way))
    np.testing.assert_array_equal(twice(jnp.stack([rows, 2 * rows])), sign * np.array([[3, 7], [6, 14]]))
    np.testing.assert_array_equal(twice(jnp.stack([rows, -rows])), [[3, 7], [-3, -7]])
    np.testing.assert_array_equal([way(rows[0]), way(-rows[0])], [sign * 3, -3])


def test_derivatives_pass():
    rows = jnp.asarray(numbers, jnp.float32)
    found = jax.vmap(jax.grad(lambda x: stats.norms(x, x)["delta_l1"]))(rows)
    np.testing.assert_array_equal(found, np.sign(rows))


@pytest.mark.parametrize("axes", [("data",), ("data", "model")])
def test_each_device_goes_its_own_way(axes):
    mesh = Mesh(np.array(jax.devices()[:4]).reshape((4,) if len(axes) == 1 else (2, 2)), axes)
    rows_of = NamedSharding(mesh, PartitionSpec("data"))
    way = quick_or(lambda x: jnp.sum(x), lambda x: (-jnp.sum(x), x[0] > 0))

    def sums(rows):
        with divided(rows_of, len(rows)):
            of_parts = jax.vmap(lambda row: jnp.sum(jax.vmap(way)(row.reshape(3, 1))))
            return jax.vmap(way)(rows), of_parts(rows), jax.vmap(way)(rows[:3])  # the last are not divided

    rows = jax.device_put(np.arange(24.0, dtype=np.float32).reshape(8, 3), rows_of)  # the first entry is 0
    found, of_parts, of_three = jax.jit(sums)(rows)
    own = 2 if len(axes) == 1 else 4  # data of the first device
    sign = -1 if jax.default_backend() == "cpu" else 1
    signs = np.where(np.arange(8) < own, 1, sign)
    np.testing.assert_array_equal(found, signs * np.asarray(rows).sum(1))
    np.testing.assert_array_equal(of_parts, signs * np.asarray(rows).sum(1))
    np.testing.assert_array_equal(of_three, np.asarray(rows)[:3].sum(1))
    assert str(jax.make_jaxpr(sums)(rows)).count(" shard_map[") == 2
