"""What is kept: computed in the forward pass where δ is not needed, in the backward pass where it is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw
from helpers import finite_differences
from jaxwalk._rewrite.keep import keep_taps
from structures import FUNCTIONS, marked
from structures import X as START

X = np.array([0.3, -0.7, 1.1], np.float32)
POINT = jw.points(lambda x: jw.tag(x, "x"), X)["x"]
SIDES = {
    "δ": (lambda o, d: jnp.sum(d), 0),
    "the output": (lambda o, d: jnp.sum(o), 0),
    "each": (lambda o, d: {"o": jnp.sum(o), "d": jnp.sum(d)}, 0),
    "both": (lambda o, d: jnp.sum(d * o), 1),
    "its shape": (lambda o, d: d * o.size, 0),
    "both, inside a jit": (jax.jit(lambda o, d: (jnp.sum(o), jnp.sum(d))), 0),
}


@pytest.mark.parametrize(("keep", "saved"), SIDES.values(), ids=SIDES)
def test_the_output_is_saved_only_for_what_needs_it_beside_delta(keep, saved):
    tap = keep_taps([POINT], keep)["x"]
    _, pull = jax.vjp(lambda slots: tap.through(jnp.asarray(X), slots)[0], tap.slots)
    assert len([leaf for leaf in jax.tree.leaves(pull) if np.array_equal(leaf, X)]) == saved
    kept = jw.walk(lambda x: jnp.sum(jw.tag(x, "x") ** 2), keep=keep)(X).kept["x"]
    jax.tree.map(np.testing.assert_allclose, kept, keep(X, 2 * X))


def rematerialised(weights, x):
    @jax.checkpoint
    def block(x, w):
        return jw.tag(x + jnp.tanh(x @ w) @ w.T, "block"), None

    return jnp.mean(jax.lax.scan(block, x, weights)[0] ** 2)


def multiplications(fun):
    weights, x = jnp.ones((3, 8, 16)), jnp.ones((4, 8))
    text = jax.jit(fun).lower(weights, x).compile().as_text()
    return text.count(" dot("), text.count("custom-call(")


def test_nothing_is_computed_again_for_a_statistic_of_the_output():
    step = jax.value_and_grad(rematerialised)
    watched = jw.walk(rematerialised, argnums=0, keep=lambda o, d: (jnp.sum(o**2), jnp.sum(d**2)))
    looked_at = jw.walk(rematerialised, argnums=0, keep=lambda o, d: jnp.sum(o * d))
    assert multiplications(watched) == multiplications(step)
    # The value at the end of a block is of no use to its backward pass: what needs it there pays for its product.
    assert sum(multiplications(looked_at)) == sum(multiplications(step)) + 1


def test_values_of_one_type_have_one_trace():
    traced = []

    def keep(output, delta):
        traced.append(output.shape)
        return jnp.sum(output), jnp.sum(delta)

    def fun(x):
        for name in ("a", "b", "c"):
            x = jw.tag(2 * x, name)
        return jw.tag(jnp.sum(x), "sum")

    kept = jw.walk(fun, keep=keep)(X).kept
    assert traced == [(3,), ()]
    for name, (output, delta) in kept.items():
        factor = {"a": 2, "b": 4, "c": 8, "sum": 8}[name]
        np.testing.assert_allclose(output, factor * X.sum(), rtol=1e-6)
        np.testing.assert_allclose(delta, 1 if name == "sum" else 3 * 8 / factor, rtol=1e-6)


KEEPS = {
    "output": lambda o, d: jnp.sum(o**3),
    "all": lambda o, d: {"o": jnp.sum(o**3), "d": jnp.sum(d**3), "both": jnp.sum(o * d**2)},
}


@pytest.mark.parametrize("keep", KEEPS.values(), ids=KEEPS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_kept_has_its_derivatives(float64, name, keep):
    """Those of the statistics of the output too, which the backward pass of the walk itself knows nothing of."""
    walk = jw.walk(marked(name, jw.tag), keep=keep)
    penalty = jax.jit(lambda x: sum(jnp.sum(leaf) for leaf in jax.tree.leaves(walk(x).kept)))
    found = jax.grad(penalty)(START)
    np.testing.assert_allclose(found, finite_differences(penalty, START), rtol=1e-5, atol=1e-7)
    assert np.abs(found).max() > 1e-3


@pytest.mark.parametrize("wrap", [lambda walk: walk, jax.jit], ids=["as it is", "jit"])
def test_an_effect_happens_once(wrap):
    seen = []

    def keep(output, delta):
        jax.debug.callback(lambda x: seen.append(float(x)), jnp.sum(output))
        return {"o": jnp.sum(output), "d": jnp.sum(delta)}

    kept = wrap(jw.walk(lambda x: jnp.sum(jw.tag(x, "x") ** 2), keep=keep))(X).kept["x"]
    jax.effects_barrier()
    np.testing.assert_allclose([seen[0], kept["d"]], [X.sum(), 2 * X.sum()], rtol=1e-6)
    assert len(seen) == 1


def test_integers_of_the_output_are_exact():
    large = np.array([2**31 - 1, 2**24 + 1, -5], np.int32)
    walk = jw.walk(lambda x: jnp.sum(jw.tag(x, "x") ** 2), keep=lambda o, d: (jnp.sum(o > 0) + large, o > 0, d > 0))
    count, output, delta = walk(X).kept["x"]
    np.testing.assert_array_equal(count, large + np.int32(2))
    for found in (output, delta):
        assert found.dtype == bool
        np.testing.assert_array_equal(found, X > 0)


def test_per_datum_and_in_branches():
    def fun(x, which):
        x = jax.lax.cond(which, lambda x: jw.tag(2 * x, "twice"), lambda x: jw.tag(3 * x, "thrice"), x)
        return jnp.sum(x**2)

    keep = lambda o, d: {"o": jnp.sum(o), "d": jnp.sum(d)}
    which = np.array([True, False])
    kept = jax.vmap(jw.walk(fun, keep=keep))(np.stack([X, X]), which).kept
    for name, factor, taken in (("twice", 2, which), ("thrice", 3, ~which)):
        np.testing.assert_allclose(kept[name]["o"], factor * X.sum() * taken, rtol=1e-6)
        np.testing.assert_allclose(kept[name]["d"], 2 * factor * X.sum() * taken, rtol=1e-6)


def test_an_error_of_the_users_own_comes_through():
    def wrong(output, delta):
        raise TypeError("mine")

    loss = lambda w, x: jnp.sum(jw.tag(x * w, "x"))
    for walk in (lambda: jw.walk(loss, keep=wrong)(X, X), lambda: jw.evaluate(loss, X, [X[None]], keep=wrong)):
        with pytest.raises(TypeError, match="mine") as caught:
            walk()
        assert type(caught.value) is TypeError


def test_what_takes_two_arguments_somehow():
    loss = lambda x: jnp.sum(jw.tag(x, "x"))
    keeps = [jnp.dot, jax.jit(lambda o, d: o @ d), lambda *sides: jnp.dot(*sides), lambda o, d, more=1: more * (o @ d)]
    for keep in keeps:
        np.testing.assert_allclose(jw.walk(loss, keep=keep)(X).kept["x"], X.sum(), rtol=1e-6)
