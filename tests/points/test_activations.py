"""Which activation reads the value at a point, and of which it is the result. Nothing is compiled."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk._points.activations import Activations
from jaxwalk._points.find import find

V = np.float32([[-2.0, -0.5, 0.0], [0.5, 1.0, 3.0]])


def reading(then, v=V):
    """The activation that reads the value `v`, in a function that goes on with `then`."""
    fun = lambda v, other: jnp.sum(then(jw.tag(v * 2, "h"), other))
    staged, points = find(fun, (v, v), {}, None, None)
    return Activations(staged.closed).reading(points["h"])


def by_hand(h):
    return 0.5 * h * (1.0 + jnp.tanh(0.8 * (h + 0.04 * h**3)))


@pytest.mark.parametrize(
    ("activation", "name"),
    [
        (jax.nn.relu, "relu"),
        (jax.nn.silu, "silu"),
        (jax.nn.leaky_relu, "leaky_relu"),
        (jax.nn.elu, "elu"),
        (jax.nn.softplus, "softplus"),
        (jax.nn.relu6, "relu6"),
        (jnp.tanh, "tanh"),
        (jax.nn.sigmoid, None),
        (lambda h: jnp.maximum(h, 0), "max"),
        (lambda h: jnp.clip(h, 0, 1), "clip"),
        (lambda h: jnp.where(h > 0, h, 0.0), "where"),
        (lambda h: jax.nn.relu(2 * h + 1), "relu"),
        (jax.jit(lambda h: jax.nn.relu(h)), "lambda"),
        (by_hand, f"test_activations.py:{by_hand.__code__.co_firstlineno + 1}"),
        (lambda h: h * (h > 0).astype(h.dtype), None),
    ],
)
def test_an_activation_is_found_and_is_what_the_model_computes(activation, name):
    found = reading(lambda h, other: activation(h) @ other.T)
    assert found.name == name or name is None
    (result,) = found.apply(jnp.asarray(V))
    np.testing.assert_allclose(result, activation(jnp.asarray(V)), rtol=1e-6)


def test_what_is_read_in_its_place_may_be_several():
    found = reading(lambda h, other: jnp.concatenate([jax.nn.relu(h), jax.nn.relu(-h)]))
    a, b = found.apply(jnp.asarray(V))
    np.testing.assert_array_equal(a + b, np.abs(V))


@pytest.mark.parametrize(
    "then",
    [
        lambda h, other: h @ other.T,
        lambda h, other: jax.nn.relu(h + other),  # what is added is not to be had at the point
        lambda h, other: jax.nn.softmax(h),  # entries of a row depend on one another
        lambda h, other: (h * 2 - 1) ** 2,
        lambda h, other: jnp.abs(h),
        lambda h, other: h[::-1],
    ],
)
def test_no_activation(then):
    assert reading(then) is None


def test_a_skip_connection_beside_it_does_not_hide_it():
    assert reading(lambda h, other: other @ (h + jax.nn.relu(h)).T).name.startswith("test_activations.py:")
    assert reading(lambda h, other: other * h + jax.nn.relu(h)).name == "relu"


def test_the_first_of_several():
    found = reading(lambda h, other: jnp.exp(jax.nn.relu(h)))
    assert found.name == "relu"
    np.testing.assert_array_equal(found.apply(jnp.asarray(V))[0], np.maximum(V, 0))


def test_where_a_call_returns_the_value_to():
    inner = jax.jit(jax.checkpoint(lambda x: jw.tag(x * 3, "h")))
    staged, points = find(lambda x: jnp.sum(jax.nn.relu(inner(x))), (V,), {}, None, None)
    assert Activations(staged.closed).reading(points["h"]).name == "relu"


def test_of_which_activation_a_value_is_the_result():
    def fun(x):
        a = jw.tag(jax.nn.relu(jw.tag(x * 2, "before")), "a")
        return jnp.sum(jw.tag(jw.tag(jnp.where(a > 1, a, 0.0), "b"), "c") @ x.T)

    staged, points = find(fun, (V,), {}, None, None)
    activations = Activations(staged.closed)
    assert [activations.making(p) for p in points.values()] == ["", "relu", "where", "where"]


def test_equal_ones_have_equal_programs():
    fun = lambda x: jnp.sum(jax.nn.relu(jw.tag(jax.nn.relu(jw.tag(x * 2, "a")) @ x.T @ x, "b")))
    staged, points = find(fun, (V,), {}, None, None)
    first, second = map(Activations(staged.closed).reading, points.values())
    assert first.program == second.program


def masked(x):
    return jax.nn.softmax(jnp.where(x > 0, x, -jnp.inf))


def written_out(x):
    parts = jnp.exp(x - jnp.max(x, -1, keepdims=True))
    return parts / jnp.sum(parts, -1, keepdims=True)


@pytest.mark.parametrize(
    ("function", "is_one"),
    [
        (jax.nn.softmax, True),
        (jax.jit(jax.nn.softmax), True),
        (masked, True),
        (written_out, True),
        (lambda x: jax.nn.softmax(x).astype(jnp.bfloat16).astype(jnp.float32), True),
        (lambda x: jax.nn.softmax(x, axis=0), False),
        (lambda x: jnp.exp(x) / jnp.sum(x, -1, keepdims=True), False),
        (lambda x: jnp.exp(x) / jnp.sum(jnp.exp(x)), False),
        (lambda x: x / jnp.sum(x, -1, keepdims=True), False),
        (lambda x: 2 * jax.nn.softmax(x), False),
        (jax.nn.log_softmax, False),
    ],
)
def test_a_softmax_is_told_by_what_it_computes(function, is_one):
    staged, points = find(lambda x: jnp.sum(jw.tag(function(x), "rows") @ x.T), (V,), {}, None, None)
    assert (Activations(staged.closed).making(points["rows"]) == "softmax") is is_one
