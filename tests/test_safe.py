"""The quick way to norms, moments and counts, and the careful one: rows that need either, against NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxwalk import stats
from jaxwalk._safe import divided, quick_or
from jaxwalk._step import _norm

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
    np.testing.assert_allclose(jax.jit(jax.vmap(_norm))(rows), np.linalg.norm(wide, axis=1), rtol=1e-6)
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
    assert np.isfinite(jax.vmap(_norm)(rows)).tolist() == [True, True, False, True]
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
