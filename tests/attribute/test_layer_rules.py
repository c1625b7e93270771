"""Rules for a layer, one at a time, against the table of its contributions in NumPy; and what they conserve."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxwalk._jax.jaxpr import jaxprs
from jaxwalk._rewrite.substitute import with_way_back
from jaxwalk.attribute._backward import layer_rules as rules
from jaxwalk.attribute._backward.layer_rules import back_through_layer
from relevance import correlated, dense, matrix_of


@pytest.fixture(autouse=True)
def _in_float64():
    with jax.enable_x64(True), jax.numpy_rank_promotion("allow"):
        yield


RANDOM = np.random.default_rng(0)
W, BIAS, DELTA = RANDOM.normal(size=(9, 4)), RANDOM.normal(size=4), RANDOM.normal(size=(3, 4))
X = RANDOM.normal(size=(3, 9))
ALL = {
    "epsilon": (rules.epsilon_rule(1e-6), 1e-6),
    "gamma": (rules.gamma_rule(0.3), 0.3),
    "z_plus": (rules.z_plus_rule(), None),
    "alpha_beta": (rules.alpha_beta_rule(2.0), 2.0),
}


def sent_back(layer, operands, delta, rule):
    closed, _ = jaxprs.trace(layer, *operands)
    active = [i == 0 for i in range(len(operands))]
    through = with_way_back(closed, back_through_layer(closed, active, rule))
    (result,), pullback = jax.vjp(lambda x: through([x, *operands[1:]], None), operands[0])
    return result, pullback([jnp.asarray(delta, result.dtype)])[0]


@pytest.mark.parametrize("name", ALL)
def test_dense(name):
    rule, number = ALL[name]
    z, delta = sent_back(lambda x, w, b: x @ w + b, (X, W, BIAS), DELTA, rule)
    np.testing.assert_allclose(X * delta, dense(X, W, BIAS, np.asarray(z) * DELTA, name, number), rtol=1e-9)


@pytest.mark.parametrize("name", ALL)
def test_convolution(name):
    rule, number = ALL[name]
    image, kernel = RANDOM.normal(size=(4, 5, 2)), RANDOM.normal(size=(2, 3, 2, 3))
    layout = ("NHWC", "HWIO", "NHWC")
    conv = lambda x, w, b: jax.lax.conv_general_dilated(x[None], w, (1, 1), "VALID", dimension_numbers=layout)[0] + b
    up = RANDOM.normal(size=(3, 3, 3))
    z, delta = sent_back(conv, (image, kernel, BIAS[:3]), up, rule)
    matrix, bias = matrix_of(lambda x: correlated(x, kernel), image.shape), np.tile(BIAS[:3], 9)
    by_hand = dense(image.ravel(), matrix, bias, np.ravel(z * up), name, number)
    np.testing.assert_allclose(np.ravel(image * delta), by_hand, rtol=1e-8)


@pytest.mark.parametrize("name", ALL)
def test_without_a_bias_all_relevance_goes_on_and_none_at_zero(name):
    x, w = X.copy(), W.copy()
    w[:, 1] = 0  # z, and all contributions to it, are 0
    z, delta = sent_back(lambda x, w: x @ w, (x, w), DELTA, ALL[name][0])
    np.testing.assert_allclose(np.sum(x * delta, -1), np.sum(z * DELTA, -1), rtol=2e-5)
    zero = sent_back(lambda x, w: x @ w, (0 * x, w), DELTA, ALL[name][0])[1]
    np.testing.assert_array_equal(zero, 0)


def test_the_bias_may_be_taken_away_and_nothing_of_epsilon_is_the_gradient():
    minus = sent_back(lambda x, w, b: x @ w - b, (X, W, BIAS), DELTA, rules.gamma_rule(0.3))[1]
    plus = sent_back(lambda x, w, b: x @ w + b, (X, W, -BIAS), DELTA, rules.gamma_rule(0.3))[1]
    np.testing.assert_allclose(minus, plus, rtol=1e-12)
    np.testing.assert_allclose(sent_back(lambda x, w: x @ w, (0 * X, W), DELTA, rules.epsilon_rule(0))[1], DELTA @ W.T)


def test_few_bits():
    operands = [jnp.asarray(a, jnp.bfloat16) for a in (X, W, BIAS)]
    for name, (rule, number) in ALL.items():
        z, delta = sent_back(lambda x, w, b: x @ w + b, operands, DELTA, rule)
        assert delta.dtype == jnp.bfloat16
        by_hand = dense(X, W, BIAS, np.asarray(z, float) * DELTA, name, number)
        np.testing.assert_allclose(np.asarray(operands[0] * delta, float), by_hand, rtol=0.3, atol=0.3)
