"""The quick way to norms and the careful one: rows of one batch that need either, against NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxwalk import stats
from jaxwalk._safe import quick_or
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


def test_which_way():
    way = quick_or(lambda x: jnp.sum(x), lambda x: (-jnp.sum(x), x[0] > 0))
    rows = jnp.array([[1.0, 2.0], [3.0, 4.0]])
    sign = -1 if jax.default_backend() == "cpu" else 1
    np.testing.assert_array_equal(jax.vmap(way)(rows), [sign * 3, sign * 7])
    np.testing.assert_array_equal(jax.vmap(way)(rows.at[0, 0].set(0)), [2, 7])
    np.testing.assert_array_equal(jax.vmap(jax.vmap(way))(jnp.stack([rows, -rows])), [[sign * 3, sign * 7], [-3, -7]])
    np.testing.assert_array_equal(way(rows[0]), 3)


def test_derivatives_pass():
    rows = jnp.asarray(numbers, jnp.float32)
    found = jax.vmap(jax.grad(lambda x: stats.norms(x, x)["delta_l1"]))(rows)
    np.testing.assert_array_equal(found, np.sign(rows))
