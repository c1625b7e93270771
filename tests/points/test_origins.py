"""A value that is read in its scope, or on its line, and after it has the δ of all its readers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jaxwalk as jw
from helpers import finite_differences
from structures import FUNCTIONS, X

pytestmark = pytest.mark.usefixtures("float64")

scope = jax.named_scope


def halves(value):
    """A value, and another that is made of it: the first is read by the second, and by who asks for it."""
    first = value * 1.0
    return first, 0.3 * jnp.sin(first)


def in_a_scope(compute):
    def mark(value, name, eps):
        with scope(name):
            first, second = compute(value)
        return first + second

    return mark


def by_hand(value, name, eps):
    first = value + eps[name]
    return first + 0.3 * jnp.sin(first)


CASES = [
    *((halves, name) for name in FUNCTIONS),
    *((around(halves), name) for around in (jax.jit, jax.checkpoint) for name in ("straight", "scan", "cond")),
    (jax.jit(lambda value: jax.checkpoint(halves)(jnp.sin(value))), "vmap"),
]


@pytest.mark.parametrize(("compute", "name"), CASES)
def test_all_readers_count(compute, name):
    fun, shape = FUNCTIONS[name]
    shapes = {"a": (3,), "b": shape}
    zeros = {point: jnp.zeros(shape) for point, shape in shapes.items()}
    before = jnp.sin if compute is CASES[-1][0] else lambda value: value
    scoped = lambda x: fun(x, zeros, in_a_scope(compute))
    displaced = jax.jit(lambda eps: fun(X, zeros | eps, lambda value, *at: by_hand(before(value), *at)))
    walk = jax.jit(jw.walk(scoped, ["**/a:0", "**/b:0"], by="scopes", argnums=0))(X)
    np.testing.assert_allclose(walk.grads, jax.grad(scoped)(X), rtol=1e-12)
    for (point, delta), mark in zip(walk.deltas.items(), "ab", strict=True):
        expected = finite_differences(lambda e, mark=mark: displaced({mark: e}), zeros[mark])
        np.testing.assert_allclose(delta, expected, rtol=1e-6, atol=1e-8)
        moved = lambda e, point=point: jw.intervene(scoped, {point: lambda v: v + e}, by="scopes")(X)
        if shapes[mark] == (3,):  # an edit runs at every step: one e for all
            np.testing.assert_allclose(jax.jit(jax.grad(moved))(jnp.zeros(3)), delta, rtol=1e-9, atol=1e-12)


def test_one_value_that_leaves_several_scopes_is_one():
    def fun(x, eps=0.0):
        with scope("block"):
            with scope("attn"):
                p = jax.nn.softmax(x) + eps
                o = p * 3
            o = o * p
        return jnp.sum(o**2) + jnp.sum(p**3)

    walk = jw.walk(fun, by="scopes")(X)
    assert walk.points.same() == {"block/attn:0": "block:0"}
    expected = finite_differences(lambda e: fun(X, e), np.zeros(3))
    for name in ("block/attn:0", "block:0"):
        np.testing.assert_allclose(walk.deltas[name], expected, rtol=1e-7)
        edited = jw.intervene(fun, {name: lambda v: v + 0.25}, by="scopes")
        np.testing.assert_allclose(edited(X), fun(X, 0.25), rtol=1e-12)
        assert list(jw.points(edited, X, by="scopes")) == list(walk.points)
        again = jw.walk(edited, name, by="scopes")(X).deltas[name]
        np.testing.assert_allclose(again, finite_differences(lambda e: fun(X, 0.25 + e), np.zeros(3)), rtol=1e-7)


def test_lines_that_make_two_values_and_functions_that_return_what_they_read():
    def parts(x):
        z = jnp.sin(x)
        return z, z * 0.5

    def line(x, eps=0.0):
        v = (z := jnp.sin(x) + eps) * 0.5
        return jnp.sum(v**2) + 0.01 * jnp.sum(z)

    def call(x, around):
        z, v = around(parts)(x)
        return jnp.sum(v**2) + 0.01 * jnp.sum(z)

    expected = finite_differences(lambda e: line(X, e), np.zeros(3))
    np.testing.assert_allclose(jw.walk(line, by="lines")(X).deltas["line/v:0"], expected, rtol=1e-7)
    for around in (lambda f: f, jax.jit, jax.checkpoint):
        walk = jw.walk(lambda x, around=around: call(x, around), by="lines")(X)
        for name in ("call/z,v:0", "call/z,v/parts/z"):
            np.testing.assert_allclose(walk.deltas[name], expected, rtol=1e-7)
        assert walk.points.same()["call/z,v/parts/z"] == "call/z,v:0"


def test_what_comes_out_of_a_loop_or_a_branch_and_is_read_in_it_says_so():
    """It is a value of its own: those who read it inside read the value of a step, or of the branch."""

    def fun(x):
        with scope("loop"):
            last, rows = lax.scan(lambda c, _: (jnp.sin(c), jnp.cos(c)), x, None, length=3)
        with scope("twice"):
            h, hs = lax.scan(lambda c, _: (jw.tag(c * 0.9, "h"),) * 2, last, None, length=3)
        with scope("branch"):
            p, o = lax.cond(x[0] > 0, lambda x: (p := jnp.sin(x), p * 3), lambda x: (x, x * 2), h)
        with scope("delay"):
            _, before = lax.scan(lambda c, _: ((c[0] * 2, c[0]), None), (x, x), None, length=3)[0]
        return jnp.sum(rows) + jnp.sum(hs**2) + jnp.sum(h) + jnp.sum(p * o) + jnp.sum(before)

    points = jw.points(fun, X, by="scopes")
    read_in = {name: point.read_in for name, point in points.items()}
    assert read_in == {
        "loop:0": None,
        "loop:1": None,
        "twice:0": "scan",
        "twice:1": "scan",
        "branch:0": "cond",
        "branch:1": None,
        "delay": "scan",
    }
    assert "read in the scan too: δ of later readers alone" in repr(points)
    walk = jw.walk(fun)(X)
    np.testing.assert_allclose(walk.deltas["twice:1"], 2 * walk.outputs["twice:1"])
    inside = walk.deltas["h"]  # the tag inside has the whole of each step
    np.testing.assert_allclose(inside[2], walk.deltas["twice:0"] + walk.deltas["twice:1"][2])


def test_a_result_of_a_call_that_only_passes_through_it_is_a_value_of_its_own():
    def fun(x):
        with scope("first"):
            a = jnp.sin(x)
        with scope("again"):
            b, _ = jax.jit(lambda a: (a, a * 2))(a)
        return jnp.sum(a * b)

    walk = jw.walk(fun, by="scopes")(X)
    np.testing.assert_allclose(walk.deltas["first"], 2 * np.sin(X))
    np.testing.assert_allclose(walk.deltas["again"], np.sin(X))
