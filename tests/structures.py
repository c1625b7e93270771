"""Every structure that a point may be in, as functions that mark two of their values."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from helpers import finite_differences

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


def marked(name, mark):
    """The function of x whose values "a" and "b" are marked by mark(value, name)."""
    fun, shape = FUNCTIONS[name]
    zeros = {"a": np.zeros(3), "b": np.zeros(shape)}  # unused by these marks, but scans carry them
    return lambda x: fun(x, zeros, lambda value, name, eps: mark(value, name))


def loss_of_epsilon(name, point):
    """loss(x, ε) with ε added at one point, by hand."""
    fun, shape = FUNCTIONS[name]
    zeros = {"a": jnp.zeros(3), "b": jnp.zeros(shape)}
    add = lambda value, name, eps: value + eps[name]
    return lambda x, eps: fun(x, zeros | {point: eps}, add)


def expected(name, point, x=X):
    """δ at a point, by finite differences."""
    return _expected(name, point, tuple(x))


@functools.cache
def _expected(name, point, x):
    loss = jax.jit(loss_of_epsilon(name, point))
    shape = {"a": (3,), "b": FUNCTIONS[name][1]}[point]
    return finite_differences(lambda eps: loss(np.array(x), eps), np.zeros(shape))
