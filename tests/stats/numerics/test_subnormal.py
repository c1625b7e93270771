"""Numbers below the smallest normal one, which a processor takes for zeros, against NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxwalk import stats
from jaxwalk.stats._numerics.subnormal import largest, modulus, rescaled, scale_of, scaled

X = np.float32([2e-41, -3e-41, 0, 1e-42])
COMPLEX = np.array([2e-41 + 1e-41j, 2e-41j, -3e-42, 0], np.complex64)
UNIT = 2.0**-149


@pytest.mark.parametrize("x", [X, COMPLEX], ids=["real", "complex"])
def test_what_is_measured_of_them(x):
    sizes = np.abs(x.astype(np.complex128))
    found = jax.jit(stats.combine(stats.norms, stats.zeros, stats.cosine, stats.dead))(x, x)
    expected = {"l1": sizes.sum(), "l2": np.linalg.norm(sizes), "max": sizes.max(), "rms": np.sqrt(np.mean(sizes**2))}
    for name, value in expected.items():
        np.testing.assert_allclose(np.float64(found[f"delta_{name}"]), value, atol=2 * UNIT, err_msg=name)
    assert (float(found["delta_zeros"]), found["dead"].tolist()) == (0.25, [entry == 0 for entry in x])
    np.testing.assert_allclose(found["delta_cosine"], 1, rtol=1e-6)


@pytest.mark.parametrize("x", [X, COMPLEX], ids=["real", "complex"])
@pytest.mark.parametrize("by", [1.5, 3e-20, 2e38])
def test_products_of_them_are_summed(x, by):
    for output, delta in ((np.full_like(x, by), x), (x, np.full_like(x, by))):
        wide = np.real(output.astype(np.complex128) * delta.astype(np.complex128))
        for run in (stats.delta_output, jax.jit(stats.delta_output)):
            found = run(output, delta)
            np.testing.assert_allclose(np.float64(found["unit_delta_output"]), wide, rtol=1e-6, atol=2 * UNIT)
            np.testing.assert_allclose(np.float64(found["delta_output"]), wide.sum(), rtol=1e-5, atol=4 * UNIT)
    large = np.float32([3e30, -2e30])  # the products are no float32, their sum is
    np.testing.assert_allclose(stats.delta_output(large, np.float32([2e8, 3e8]))["delta_output"], 0, atol=1e32)


def test_they_are_scaled_exactly_and_back():
    tiny = np.finfo(np.float32).tiny
    x = np.float32([2e-41, -3e-45, 1.17e-38, tiny, -1, 0, np.inf])
    for scale in (tiny, np.float32(2**-100), np.float32(1)):
        parts = jax.jit(scaled)(x, scale)
        exact = np.float64(x) / np.float64(scale)
        kept = ~np.isfinite(exact) | (np.abs(exact) >= tiny) | (exact == 0)
        np.testing.assert_array_equal(
            np.asarray(parts)[kept & (np.abs(exact) < 3e38)], exact[kept & (np.abs(exact) < 3e38)]
        )
    np.testing.assert_array_equal(jax.jit(lambda x: rescaled(scaled(x, tiny), tiny))(x), x)
    np.testing.assert_array_equal(jax.jit(largest)(np.abs(x[:2])), x[0])
    assert float(scale_of(jnp.float32(2e-41))) == tiny


def test_the_largest_and_the_norms_can_be_differentiated():
    norms = lambda x: stats.norms(x, x)
    x = jnp.float32([1, -3, 2])
    for name, expected in (("max", [0, -1, 0]), ("l1", [1, -1, 1]), ("l2", x / jnp.sqrt(14.0))):
        np.testing.assert_allclose(jax.grad(lambda x, n=name: norms(x)[f"output_{n}"])(x), expected, rtol=1e-6)


def test_a_modulus_of_large_and_of_small_parts():
    x = np.array([3e38 + 1e38j, 1e-20 + 1e-41j, 3e-39 + 4e-39j, np.inf, 3 + 4j, 0], np.complex64)
    np.testing.assert_allclose(jax.jit(modulus)(x), np.abs(x.astype(np.complex128)).astype(np.float32), rtol=1e-6)
