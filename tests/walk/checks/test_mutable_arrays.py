"""`jax.new_ref` in a function: its walk is right, as by finite differences, or refused in a sentence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jaxwalk as jw
from helpers import DOUBLINGS, finite_differences
from jaxwalk._jax.jaxpr import jaxprs
from jaxwalk._walk.checks import mutable_arrays

pytestmark = pytest.mark.usefixtures("float64")

X, MATRIX = np.array([1.0, -2.0, 3.0]), np.arange(9.0).reshape(3, 3) / 9


def updated(start, m):
    ref = jax.new_ref(start)
    ref[...] += jnp.tanh(m @ ref[...])
    return ref[...]


def in_a_loop(m, start=None):
    def step(m, _):
        return jnp.tanh(m), updated(jnp.ones(3) if start is None else m[0], jw.tag(m, "m"))

    return jnp.sum(lax.scan(step, m, None, length=2)[1])


def in_a_checkpoint(m):
    return jnp.sum(jax.checkpoint(lambda m: updated(jnp.ones(3), jw.tag(m, "m")))(m))


@pytest.mark.parametrize(("fun", "where"), [(in_a_loop, "scan"), (in_a_checkpoint, "checkpoint")])
def test_made_inside_a_loop_it_is_refused(fun, where):
    says = rf"`fun` makes a mutable array \(`jax.new_ref`\) inside a `{where}`, and JAX loses what is written into it"
    for look in (jw.walk(fun), jw.walk(fun, argnums=0), jax.jit(jw.walk(fun)), lambda m: jw.vjp(fun, m)):
        with pytest.raises(jw.ArgumentError, match=says):
            look(MATRIX)
    np.testing.assert_allclose(jw.outputs(fun)(MATRIX)[0], fun(MATRIX))
    np.testing.assert_allclose(jw.intervene(fun, {"m": lambda m: m})(MATRIX), fun(MATRIX))


def outside(x, eps=0.0):
    ref = jax.new_ref(x * 2)

    def step(c, _):
        ref[...] += jnp.sin(jw.tag(ref[...] * c, "c") + eps)
        return c * 0.9, None

    lax.scan(step, 1.0, None, length=3)
    return jnp.sum(ref[...] ** 2)


def test_made_outside_it_is_right():
    walk = jax.jit(jw.walk(outside, argnums=0))(X)
    np.testing.assert_allclose(walk.value, outside(X))
    np.testing.assert_allclose(walk.grads, finite_differences(jax.jit(outside), X), rtol=1e-6, atol=1e-7)
    every_step = finite_differences(jax.jit(lambda e: outside(X, e)), np.zeros(3))
    np.testing.assert_allclose(walk.deltas["c"].sum(0), every_step, rtol=1e-6, atol=1e-7)


def test_where_jax_fails_the_sentence_says_so():
    def fun(x):
        ref = jax.new_ref(x * 2)
        ref[1] = x[0]
        return jnp.sum(jw.tag(ref[...], "a") ** 2)

    np.testing.assert_allclose(jw.walk(fun, argnums=0)(X).deltas["a"], [4, 2, 12])
    deltas, text = None, ""
    try:
        deltas = jw.walk(fun)(X).deltas["a"]
    except jw.ArgumentError as error:  # x is not differentiated here, and jax before 0.12 needs it to be
        text = str(error)
    is_right = deltas is not None and np.array_equal(deltas, [4, 2, 12])
    assert is_right or "JAX cannot differentiate `fun`, which has a mutable array (`jax.new_ref`): Attribute" in text


def test_what_is_called_many_times_is_looked_at_once():
    """Twice at each of 40 levels, it is called more often than anyone could look."""
    deep = jnp.sin
    for _ in range(DOUBLINGS):
        deep = (lambda inner: jax.jit(lambda x: inner(inner(x))))(deep)
    assert not jaxprs.any_equation(jax.make_jaxpr(deep)(X).jaxpr, jaxprs.touches_ref)
    with mutable_arrays.differentiating(jaxprs.trace(deep, X)[0]):
        pass
