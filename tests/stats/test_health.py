"""`jw.stats.health`: against NumPy in float64, either way; merged over data; what an activation adds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk import stats

pytestmark = pytest.mark.once

numbers = np.random.default_rng(0).normal(0.3, 1, size=(6, 7))
numbers[0, :3] = 0
one = jax.jit(stats.health)


def expected(x):
    x = np.float64(x)
    finite = x[np.isfinite(x)]
    sizes = {"max": np.abs(finite).max(), "rms": np.sqrt(np.mean(finite**2)), "zeros": np.mean(finite == 0)}
    sizes |= {"nan": np.isnan(x).sum(), "inf": np.isinf(x).sum()}
    of_output = sizes | {"mean": finite.mean(), "std": finite.std()}
    of_delta = sizes | {"l2": np.linalg.norm(x) if finite.size == x.size else np.nan}
    return {f"output_{k}": v for k, v in of_output.items()} | {f"delta_{k}": v for k, v in of_delta.items()}


def agree(found, wanted, rtol=2e-6):
    for name, want in wanted.items():
        np.testing.assert_allclose(found[name], want, rtol=rtol, err_msg=name)


broken = numbers.copy()
broken[1, 1], broken[2, 2], broken[3, 3] = np.nan, np.inf, -np.inf
VALUES = {"plain": numbers, "small": numbers * 1e-30, "large": numbers * 1e30, "nothing": numbers * 0, "broken": broken}


@pytest.mark.parametrize("name", VALUES)
def test_against_numpy(name):
    x = np.float32(VALUES[name])
    found = one(x, x)
    agree(found, expected(x))
    assert set(found) == set(expected(x))


def test_a_std_beside_a_large_mean_has_three_digits():
    x = np.float32(numbers + 25)
    np.testing.assert_allclose(one(x, x)["output_std"], np.std(np.float64(x)), rtol=1e-3)
    np.testing.assert_allclose(one(x * 100, x)["output_std"], 100 * np.std(np.float64(x)), rtol=1e-3)


def test_float16_is_summed_in_float32_and_its_ends_are_counted():
    x = np.float16([1e-6, -2e-7, 0, 1, 2, 4e4, np.inf, -3e4, 1e-4, 3])
    found = one(x, x)
    np.testing.assert_allclose(found["delta_underflow"], 0.2, rtol=1e-6)
    np.testing.assert_allclose(found["delta_overflow"], 0.2, rtol=1e-6)
    np.testing.assert_allclose(found["delta_rms"], np.sqrt(np.mean(np.float64(x[np.isfinite(x)]) ** 2)), rtol=1e-5)
    assert found["output_inf"] == 1


def loss(w, x):
    linear = jw.tag(x @ w, "linear")
    smooth = jw.tag(jnp.tanh(linear), "tanh")
    return jnp.sum(jw.tag(jax.nn.relu(x @ w), "relu") * jw.tag(jax.nn.gelu(smooth), "gelu"))


W, X = np.float32(numbers[:3, :4] * 3), np.float32(numbers[:, 4:])


def test_at_activations():
    kept = jax.jit(jw.walk(loss, keep=stats.health))(W, X).kept
    linear = X @ W
    np.testing.assert_allclose(kept["relu"]["active_share"], np.mean(linear > 0, 0), rtol=1e-6)
    assert kept["relu"]["dead_count"] == np.sum((linear <= 0).all(0))
    saturated = np.mean(np.abs(np.tanh(linear)) > 0.99)
    np.testing.assert_allclose(kept["tanh"]["saturated_share"], saturated, rtol=1e-6)
    assert not {"active_share", "saturated_share"} & {*kept["gelu"]}
    assert "active_share" not in kept["tanh"]


def test_over_data():
    found = jw.evaluate(loss, W, [(X[:4],), (X[4:],)], keep=stats.health, progress=False)
    linear = np.float64(X) @ W
    kept = found.kept["linear"]
    agree(kept, {"output_mean": linear.mean(), "output_std": linear.std(), "output_max": np.abs(linear).max()}, 1e-5)
    agree(kept, {"output_rms": np.sqrt(np.mean(linear**2))}, 1e-5)
    np.testing.assert_allclose(found.kept["relu"]["active_share"], np.mean(linear > 0, 0), rtol=1e-6)
    delta = jax.vmap(jax.grad(lambda e, x: jnp.sum(jnp.maximum(x @ W, 0) * jax.nn.gelu(jnp.tanh(x @ W + e)))))
    each = np.linalg.norm(np.float64(delta(np.zeros_like(linear, np.float32), X)), axis=1)
    np.testing.assert_allclose(kept["delta_l2"], each.mean(), rtol=1e-5)


@pytest.mark.parametrize("value", [0.0, 1e-28, 1.0, 1e28])
def test_of_a_constant_which_xla_simplifies(value):
    constant = lambda: jw.stats.health(*[jnp.full((3, 4), value, jnp.float32)] * 2)
    found = jax.jit(constant)()
    for name in ("delta_l2", "delta_rms", "output_rms"):
        size = np.float64(np.float32(value)) * (np.sqrt(12) if name == "delta_l2" else 1)
        np.testing.assert_allclose(found[name], size, rtol=1e-6)
