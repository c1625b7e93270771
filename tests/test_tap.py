import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk._tap import keep_tap, tap

X = np.array([0.3, -0.7, 1.1], np.float32)
POINT = jw.points(lambda x: jw.tag(x, "x"), X)["x"]


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


@pytest.mark.parametrize(
    ("keep", "saved"),
    [(lambda o, d: jnp.sum(d), 0), (lambda o, d: jnp.sum(d) + jnp.sum(o), 1), (lambda o, d: d * o.size, 0)],
)
def test_the_output_is_saved_for_the_backward_pass_only_if_keep_looks_at_it(keep, saved):
    tap = keep_tap(POINT, keep)
    _, pull = jax.vjp(lambda slots: tap.through(jnp.asarray(X), slots), tap.slots)
    residuals = [leaf for leaf in jax.tree.leaves(pull) if np.array_equal(leaf, X)]
    assert len(residuals) == saved
