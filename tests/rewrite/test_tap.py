import jax
import jax.numpy as jnp
import numpy as np

from jaxwalk._rewrite.tap import tap

X = np.array([0.3, -0.7, 1.1], np.float32)


def test_the_tap_is_the_identity_and_its_derivative_a_sum():
    zeros = np.zeros(3, np.float32)
    out, tangent = jax.jvp(tap, (X, zeros), (X, 2 * X))
    np.testing.assert_array_equal(out, X)
    np.testing.assert_array_equal(tangent, X + 2 * X)
    _, pull = jax.vjp(tap, X, zeros)
    for cotangent in pull(jnp.asarray(X)):
        np.testing.assert_array_equal(cotangent, X)


def test_nothing_is_added_where_nothing_before_is_differentiated():
    jaxpr = jax.make_jaxpr(lambda slot: jax.jvp(lambda slot: tap(X, slot), (slot,), (slot,)))(X)
    assert "add" not in str(jaxpr)
