"""`unused` must be exact: checked against JAX's own answer, whether a value can change the result."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad

import jaxwalk as jw

X = np.array([0.3, -0.7, 1.1], np.float32)


def rotating_carry(x):
    """c reaches the result only by way of the other carries, steps later."""

    def step(carry, _):
        _, b, c, d = carry
        return (b, c, jw.tag(c * 2, "c"), jw.tag(d * 2, "d")), None

    return jnp.sum(lax.scan(step, (x, x, x, x), None, length=5)[0][0])


def stacked_only(x):
    def step(c, _):
        return jw.tag(c * 2, "carry"), (jw.tag(c + 1, "kept"), jw.tag(c + 2, "lost"))

    _, (kept, _) = lax.scan(step, x, None, length=3)
    return jnp.sum(kept)


def one_branch(x):
    yes = lambda x, y: (jw.tag(x, "x"), jw.tag(y, "y"))
    no = lambda x, y: (x, x)
    return jnp.sum(lax.cond(x[0] > 0, yes, no, x, x * 2)[1])


def loop_carries(x):
    a, b, n = jw.tag(x, "a"), jw.tag(x * 2, "b"), jw.tag(jnp.int32(0), "n")
    result, _, _ = lax.while_loop(lambda c: c[2] < 3, lambda c: (c[0] * 2, c[1] * 2, c[2] + 1), (a, b, n))
    return jnp.sum(result)


def loop_swaps(x):
    a, b = jw.tag(x, "a"), jw.tag(x * 2, "b")
    result, _, _ = lax.while_loop(lambda c: c[2] < 3, lambda c: (c[1], c[0], c[2] + 1), (a, b, 0))
    return jnp.sum(result)


@pytest.mark.parametrize(
    ("fun", "unused"),
    [
        (rotating_carry, {"c": False, "d": True}),
        (stacked_only, {"kept": False, "lost": True, "carry": False}),
        (one_branch, {"x": True, "y": False}),
        (loop_carries, {"a": False, "b": True, "n": False}),
        (loop_swaps, {"a": False, "b": False}),
    ],
)
def test_unused_is_exact(fun, unused):
    assert {name: p.unused for name, p in jw.points(fun, X).items()} == unused


def written(x):
    """a reaches the result by way of a mutable array."""
    ref = jax.new_ref(jnp.zeros(3))
    ref[...] = jw.tag(x * 2, "a")
    return jnp.sum(ref[...] ** 2)


def written_in_a_call(x):
    ref = jax.new_ref(jnp.zeros(3))

    @jax.jit
    def write(ref, value):
        ref[...] = jw.tag(value * 2, "a")

    write(ref, x)
    return jnp.sum(ref[...] ** 2)


@jax.custom_jvp
def ignores(x):
    return jnp.zeros_like(x)


ignores.defjvps(lambda dx, _, x: 3 * dx)


@pytest.mark.parametrize("fun", [written, written_in_a_call, lambda x: jnp.sum(ignores(jw.tag(x, "a")))])
def test_what_has_a_delta_is_not_called_unused(fun):
    walk = jw.walk(fun)(X)
    assert np.all(walk.deltas["a"] != 0)
    assert not walk.points["a"].unused


@pytest.mark.parametrize("fun", [rotating_carry, stacked_only, one_branch])
def test_changing_an_unused_value_changes_nothing(fun):
    for name, point in jw.points(fun, X).items():
        changed = jw.intervene(fun, {name: lambda v: v + 100})(X)
        assert (changed == fun(X)) == point.unused, name


# Ways that are cut ----------------------------------------------------------------------------------------


def stopped(x):
    a = jw.tag(jnp.sin(x), "a")
    b = jw.tag(a * 2, "b")
    c = jw.tag(lax.scan(lambda c, _: (c + lax.stop_gradient(b), None), x, None, length=2)[0], "c")
    positive = jw.tag(x * 3, "i") > 0
    return jnp.sum(jnp.where(positive, c, -c) * lax.stop_gradient(jw.tag(a + 1, "d")))


def test_what_is_behind_a_stop_gradient_says_so():
    walk = jw.walk(stopped)(X)
    assert {name: p.stopped for name, p in walk.points.items()} == {
        "a": True,
        "b": True,
        "c": False,
        "d": True,
        "i": True,
    }
    assert repr(walk).count("stop_gradient or an integer ahead") == 4
    for name in "abdi":
        np.testing.assert_array_equal(walk.deltas[name], np.zeros(3))


def test_what_a_primitive_of_another_library_refuses_has_no_delta_and_says_why():
    """As lineax's `linear_solve` has it: its rule asserts that a factorised matrix is not differentiated."""
    picky = Primitive("picky")
    picky.def_impl(lambda x, table: x * table)
    picky.def_abstract_eval(lambda x, table: x)

    def jvp(primals, tangents):
        assert type(tangents[1]) is ad.Zero
        return picky.bind(*primals), tangents[0] * primals[1]

    ad.primitive_jvps[picky] = jvp

    def fun(x):
        table = jw.tag(x * 2, "table")
        return jnp.sum(picky.bind(jw.tag(x, "x"), lax.stop_gradient(table) + jw.tag(jnp.ones(3), "t")))

    walk = jw.walk(fun, argnums=0)(X)
    assert list(walk.deltas) == ["table", "x"]
    assert (walk.points["table"].stopped, walk.points["t"].stuck, walk.points["t"].behind) == (True, True, "picky")
    np.testing.assert_allclose(walk.deltas["x"], 2 * X + 1)
    np.testing.assert_allclose(walk.grads, 2 * X + 1)
    assert "no delta: behind picky, which refuses it" in repr(walk)
    with pytest.raises(
        jw.PointError, match="the way back from the loss leads through `picky`, whose own rule refuses a"
    ):
        walk.deltas["t"]
