"""Closed-form cases of attribution methods, from the test suite of captum, recomputed by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk import attribute

BIAS = np.array([-10, 1, 1, 1], np.float32)
NEAR = {"atol": 2e-3, "rtol": 1e-3}  # relu bends on the path: there a quadrature has an error of its steps


def relu(x, name="relu"):
    return jw.tag(jax.nn.relu(x), name)


def M(x):
    hidden = relu(jw.tag(jnp.ones((4, 3)) @ jw.tag(x, "L0") + BIAS, "L1"))
    return (jnp.ones((2, 4)) @ hidden + jnp.array([-1.0, 1.0]))[0]


def C(image):
    kernel = jnp.ones((3, 3, 1, 2))
    layout = ("NHWC", "HWIO", "NHWC")
    made = jax.lax.conv_general_dilated(image[None, :, :, None], kernel, (1, 1), "VALID", dimension_numbers=layout)[0]
    hidden = relu(made + jnp.array([[[-50.0, -75.0]]]), "relu1")
    row = jnp.array([1, 1, 1, 1, 1, -1, -1, -1.0])
    return jax.nn.relu(row @ hidden.transpose(2, 0, 1).ravel())


def at(*numbers):
    return jnp.array(numbers, jnp.float32)


def test_conductance():
    found = jax.jit(attribute.conductance(M, steps=200, rule="midpoint"))(at(0, 100, 0))
    np.testing.assert_allclose(found.scores["L0"], [0, 390, 0], **NEAR)
    for name in ("L1", "relu"):
        np.testing.assert_allclose(found.scores[name], [90, 100, 100, 100], **NEAR)
    np.testing.assert_allclose(found.inputs, [0, 390, 0], **NEAR)
    np.testing.assert_allclose(found.totals["relu"], 390, **NEAR)
    assert abs(found.gap) < 1


def test_internal_influence():
    found = attribute.internal_influence(M, steps=200, rule="midpoint")(at(0, 100, 0))
    np.testing.assert_allclose(found.scores["L1"], [0.9, 1, 1, 1], **NEAR)
    np.testing.assert_allclose(found.scores["L0"], [3.9] * 3, **NEAR)
    np.testing.assert_allclose(attribute.internal_influence(M)(at(3, 4, 0)).scores["relu"], [1] * 4, rtol=1e-5)


def test_integrated_gradients():
    found = attribute.integrated_gradients(M, steps=200, rule="midpoint")(at(0, 100, 0))
    np.testing.assert_allclose(found.inputs, [0, 390, 0], **NEAR)
    assert "conductance" in found.scores.why_empty()


def test_layer_integrated_gradients_are_not_conductance():
    """L1 goes from (−10, 1, 1, 1) to (90, 101, 101, 101) on its own path, where the first is on for nine tenths of it:
    100 · 0.9; conductance has it too, but of a relu that turns on and off again it has less."""
    bump = lambda x: jnp.sum(jw.tag(jax.nn.relu(jw.tag(x * (1 - x), "hill")), "relu"))
    x = at(1.5)  # the hill is above 0 between 0 and 1, and −0.75 at the end
    own = attribute.integrated_gradients(bump, along="own", steps=200, rule="midpoint")(x)
    np.testing.assert_allclose(own.scores["hill"], [0], atol=1e-6)  # from 0 to −0.75 the relu is off
    np.testing.assert_allclose(own.scores["relu"], [0], atol=1e-6)
    through = attribute.conductance(bump, steps=300, rule="midpoint")(x)
    np.testing.assert_allclose(through.scores["hill"], [0], atol=1e-2)
    first = attribute.integrated_gradients(M, ["L1"], along="own", steps=200, rule="midpoint")(at(0, 100, 0))
    np.testing.assert_allclose(first.scores["L1"], [90, 100, 100, 100], **NEAR)


def test_gradient_times_output():
    found = attribute.gradient_times_output(M)(at(3, 4, 0))
    np.testing.assert_array_equal(found.scores["relu"], [0, 8, 8, 8])
    np.testing.assert_array_equal(attribute.gradient_times_output(M)(at(0, 100, 0)).scores["L0"], [0, 400, 0])


@pytest.mark.parametrize("channel", [-1, 2])
def test_grad_cam(channel):
    image = jnp.arange(16.0).reshape(4, 4)
    found = attribute.grad_cam(C, "relu1", channel=channel, relu=False)(image)
    np.testing.assert_allclose(found.scores["relu1"], [[0, 4], [28, 32.5]])
    assert found.inputs is None


S = lambda x: jw.tag(jax.nn.relu(x @ jnp.full((3, 3), 2.0)), "relu") @ jnp.full(3, 3.0)
T = lambda x: jw.tag(jnp.tanh(x @ jnp.full((3, 3), 0.1)), "tanh") @ jnp.full(3, 0.1)


def test_lrp():
    np.testing.assert_allclose(attribute.lrp(S)(at(1, 2, 3)).inputs, [18, 36, 54], rtol=1e-5)
    np.testing.assert_allclose(attribute.lrp(T)(at(1, 2, 3)).inputs, [0.0269, 0.0537, 0.0806], atol=1e-4)


def test_lrp_of_a_relu_network_without_a_bias_is_gradient_times_input():
    first, second = (jax.random.normal(jax.random.key(k), (3, 3)) for k in (0, 1))
    net = lambda x: jw.tag(jax.nn.relu(jax.nn.relu(x @ first) @ second), "relu") @ jnp.array([1.0, -2.0, 3.0])
    mine, plain = (of(net)(at(1, -2, 3)) for of in (attribute.lrp, attribute.gradient_times_output))
    np.testing.assert_allclose(mine.inputs, plain.inputs, rtol=1e-4)
    np.testing.assert_allclose(mine.scores["relu"], plain.scores["relu"], rtol=1e-4)


def test_deep_lift():
    fun = lambda x: 2 * jax.nn.relu(x[0]) + 2 * jax.nn.relu(x[1] - 1.5)
    found = attribute.deep_lift(fun, by="lines")(at(1, 2))
    np.testing.assert_array_equal(found.inputs, [2, 1])
    assert found.gap == 0


def test_guided_backprop():
    found = attribute.guided_backprop(C, "relu1")(jnp.arange(16.0).reshape(4, 4))
    np.testing.assert_array_equal(found.inputs, [[0, 1, 1, 1], [1, 3, 3, 2], [1, 3, 3, 2], [1, 2, 2, 1]])
