"""Every transform around a walk, over every structure inside it, against finite differences in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jaxwalk as jw
from helpers import finite_differences

pytestmark = pytest.mark.usefixtures("float64")

WEIGHTS = np.random.default_rng(0).normal(size=(3, 3)) / 2
X = np.array([0.3, -0.7, 1.1])


@jax.custom_jvp
def cube(x):
    return x**3


cube.defjvps(lambda dx, _, x: 3 * x**2 * dx)


@jax.custom_vjp
def soft(x):
    return jnp.logaddexp(x, 0.0)


soft.defvjp(lambda x: (soft(x), x), lambda x, ct: (ct * jax.nn.sigmoid(x),))

# Each: fun(x, eps, mark) -> loss with the points "a" (3,) and "b" (of SHAPES), in that order; mark(value, name, eps).


def straight(x, eps, mark):
    a = mark(jnp.tanh(x @ WEIGHTS), "a", eps)
    return jnp.sum(mark(jnp.sin(a * x), "b", eps) ** 2)


def nested_jit(x, eps, mark):
    @jax.jit
    def outer(x, eps):
        a = mark(jnp.tanh(x @ WEIGHTS), "a", eps)
        return jax.jit(lambda a, x, eps: mark(jnp.sin(a * x), "b", eps))(a, x, eps)

    return jnp.sum(outer(x, eps) ** 2)


def checkpointed(x, eps, mark):
    policy = jax.checkpoint_policies.save_only_these_names("a")

    @functools.partial(jax.checkpoint, policy=policy)
    def block(x, eps):
        return mark(jnp.sin(mark(jnp.tanh(x @ WEIGHTS), "a", eps) * x), "b", eps)

    return jnp.sum(block(x, eps) ** 2)


def scanned(x, eps, mark, reverse=False):
    a = mark(jnp.tanh(x @ WEIGHTS), "a", eps)

    def step(carry, inputs):
        c, total = carry
        row, eps = inputs
        c = mark(jnp.tanh(c * row), "b", eps)
        return (c, total + jnp.sum(c)), jnp.sum(c**2)

    rows = jnp.asarray(np.random.default_rng(1).normal(size=(4, 3)))
    (c, total), squares = lax.scan(step, (a, 0.0), (rows, {"b": eps["b"]}), reverse=reverse)
    return jnp.sum(c * x) + total**2 + jnp.sum(squares)


def branched(x, eps, mark):
    a = mark(jnp.tanh(x @ WEIGHTS), "a", eps)
    yes = lambda a, eps: mark(jnp.sin(a), "b", eps)
    no = lambda a, eps: jnp.cos(a)
    return jnp.sum(lax.cond(a[0] < 5, yes, no, a, eps) ** 2)


def switched(x, eps, mark):
    a = mark(jnp.tanh(x @ WEIGHTS), "a", eps)
    branches = [lambda a, eps: a, lambda a, eps: mark(a * a, "b", eps), lambda a, eps: -a]
    return jnp.sum(lax.switch(jnp.int32(1), branches, a, eps) * x)


def mapped(x, eps, mark):
    a = mark(jnp.tanh(x @ WEIGHTS), "a", eps)
    b = mark(jax.vmap(lambda s: jnp.sin(s * a))(jnp.arange(4.0)), "b", eps)
    return jnp.sum(b**2)


def custom_rules(x, eps, mark):
    a = mark(cube(jnp.tanh(x @ WEIGHTS)), "a", eps)
    return jnp.sum(soft(mark(soft(a) * x, "b", eps)))


def around_a_while(x, eps, mark):
    a = mark(jnp.tanh(x @ WEIGHTS), "a", eps)
    steps = lax.while_loop(lambda n: n < 3, lambda n: n + 1, jnp.int32(0))
    return jnp.sum(mark(a * x, "b", eps) * steps.astype(a.dtype))


def all_together(x, eps, mark):
    a = mark(jnp.tanh(x @ WEIGHTS), "a", eps)

    @jax.checkpoint
    def step(c, eps):
        inner = jax.jit(lambda c, eps: mark(jnp.sin(c), "b", eps))
        return lax.cond(c[0] > -9, inner, lambda c, eps: c, c, eps), None

    c, _ = lax.scan(step, a, {"b": eps["b"]}, length=4)
    return jnp.sum(c * x)


FUNCTIONS = {
    "straight": (straight, (3,)),
    "jit": (nested_jit, (3,)),
    "checkpoint": (checkpointed, (3,)),
    "scan": (scanned, (4, 3)),
    "reversed scan": (functools.partial(scanned, reverse=True), (4, 3)),
    "cond": (branched, (3,)),
    "switch": (switched, (3,)),
    "vmap": (mapped, (4, 3)),
    "custom rules": (custom_rules, (3,)),
    "while": (around_a_while, (3,)),
    "scan of checkpoint of cond of jit": (all_together, (4, 3)),
}

function = pytest.mark.parametrize("name", FUNCTIONS)


def tagged(name):
    fun, shape = FUNCTIONS[name]
    zeros = {"a": np.zeros(3), "b": np.zeros(shape)}  # unused by the tagging mark, but scans carry them
    return lambda x: fun(x, zeros, lambda value, name, eps: jw.tag(value, name))


def loss_of_epsilon(name, point):
    """loss(x, ε) with ε added at one point, by hand."""
    fun, shape = FUNCTIONS[name]
    zeros = {"a": jnp.zeros(3), "b": jnp.zeros(shape)}
    add = lambda value, name, eps: value + eps[name]
    return lambda x, eps: fun(x, zeros | {point: eps}, add)


def expected(name, point, x=X):
    loss = jax.jit(loss_of_epsilon(name, point))
    shape = {"a": (3,), "b": FUNCTIONS[name][1]}[point]
    return finite_differences(lambda eps: loss(x, eps), np.zeros(shape))


def check(name, deltas, x=X):
    assert list(deltas) == ["a", "b"]
    for point, delta in deltas.items():
        np.testing.assert_allclose(delta, expected(name, point, x), rtol=1e-6, atol=1e-8)


@function
def test_plain(name):
    walk = jw.walk(tagged(name))(X)
    assert walk.value == tagged(name)(X)
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
    assert value == tagged(name)(X)


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
