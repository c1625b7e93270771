"""Every transform around a walk, over every structure inside it, against finite differences in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jaxwalk as jw
from helpers import finite_differences
from structures import FUNCTIONS, X, expected, loss_of_epsilon, marked

pytestmark = pytest.mark.usefixtures("float64")

function = pytest.mark.parametrize("name", FUNCTIONS)


def tagged(name):
    return marked(name, jw.tag)


def check(name, deltas, x=X):
    assert list(deltas) == ["a", "b"]
    for point, delta in deltas.items():
        np.testing.assert_allclose(delta, expected(name, point, x), rtol=1e-6, atol=1e-8)


@function
def test_plain(name):
    walk = jw.walk(tagged(name))(X)
    assert walk.value == jax.value_and_grad(tagged(name))(X)[0]
    check(name, walk.deltas)


@function
def test_jit(name):
    check(name, jax.jit(jw.walk(tagged(name)))(X).deltas)


@function
def test_vmap(name):
    xs = np.stack([X, -X / 2])
    walk = jax.vmap(jw.walk(tagged(name)))(xs)
    for i, x in enumerate(xs):
        check(name, jax.tree.map(lambda d, i=i: d[i], walk.deltas), x)


@function
def test_checkpoint(name):
    check(name, jax.checkpoint(jw.walk(tagged(name)))(X).deltas)


@function
def test_scan(name):
    xs = np.stack([X, -X / 2])
    _, walks = lax.scan(lambda c, x: (c, jw.walk(tagged(name))(x)), 0, xs)
    for i, x in enumerate(xs):
        check(name, jax.tree.map(lambda d, i=i: d[i], walks.deltas), x)


def squares_of_deltas(name):
    return lambda x: sum(jnp.sum(d**2) for d in jw.walk(tagged(name))(x).deltas.values())


def squares_of_epsilon_gradients(name):
    zeros = {"a": jnp.zeros(3), "b": jnp.zeros(FUNCTIONS[name][1])}
    grads = {p: jax.grad(loss_of_epsilon(name, p), 1) for p in zeros}
    return jax.jit(lambda x: sum(jnp.sum(grads[p](x, zeros[p]) ** 2) for p in zeros))


@function
def test_reverse_derivative_of_deltas(name):
    gradient = jax.jit(jax.grad(squares_of_deltas(name)))(X)
    np.testing.assert_allclose(
        gradient, finite_differences(squares_of_epsilon_gradients(name), X), rtol=1e-5, atol=1e-7
    )


@pytest.mark.parametrize("name", [n for n in FUNCTIONS if n != "custom rules"])  # a custom_vjp has no forward mode
def test_forward_derivative_of_deltas(name):
    gradient = jax.jit(jax.jacfwd(squares_of_deltas(name)))(X)
    np.testing.assert_allclose(
        gradient, finite_differences(squares_of_epsilon_gradients(name), X), rtol=1e-5, atol=1e-7
    )


@pytest.mark.parametrize("name", [n for n in FUNCTIONS if n != "custom rules"])
def test_hessian_vector_product_through_the_deltas(name):
    direction = np.array([1.0, -2.0, 0.5])
    delta_a = lambda x: jw.walk(tagged(name))(x).deltas["a"]
    _, product = jax.jit(lambda x: jax.jvp(delta_a, (x,), (direction,)))(X)
    oracle = jax.jit(lambda x: jax.grad(loss_of_epsilon(name, "a"), 1)(x, jnp.zeros(3)))
    for i in range(3):
        along = finite_differences(lambda t, i=i: oracle(X + t * direction)[i], 0.0)
        np.testing.assert_allclose(product[i], along, rtol=1e-5, atol=1e-7)


@function
def test_value_and_gradient_are_those_of_the_unwalked_function(name):
    walk = jw.walk(tagged(name), argnums=0)(X)
    value, gradient = jax.value_and_grad(tagged(name))(X)
    assert walk.value == value  # op by op: the same bits
    np.testing.assert_array_equal(walk.grads, gradient)


@function
def test_vjp(name):
    value, _, pullback = jw.vjp(tagged(name), X)
    deltas, (dx,) = pullback(jnp.ones(()))
    check(name, deltas)
    np.testing.assert_array_equal(dx, jax.grad(tagged(name))(X))
    assert value == jax.vjp(tagged(name), X)[0]


@function
def test_putting_back_what_is_there_changes_nothing(name):
    _, outputs = jw.outputs(tagged(name))(X)
    assert list(outputs) == ["a", "b"]
    np.testing.assert_allclose(jw.intervene(tagged(name), dict(outputs))(X), tagged(name)(X), rtol=1e-12)


@function
def test_an_added_constant_is_an_epsilon(name):
    moved = jw.intervene(tagged(name), {"b": lambda b: b + 0.25})(X)
    by_hand = loss_of_epsilon(name, "b")(X, jnp.full(FUNCTIONS[name][1], 0.25))
    np.testing.assert_allclose(moved, by_hand, rtol=1e-12)


@function
def test_an_edited_function_walks_again(name):
    """δ at an edited point is that with respect to the new value."""
    edited = jw.intervene(tagged(name), {"a": lambda a: a + 0.25})
    walk = jw.walk(edited)(X)
    loss = jax.jit(loss_of_epsilon(name, "a"))
    assert list(walk.deltas) == ["a", "b"]
    np.testing.assert_allclose(
        walk.deltas["a"], finite_differences(lambda e: loss(X, e + 0.25), np.zeros(3)), rtol=1e-6, atol=1e-8
    )
