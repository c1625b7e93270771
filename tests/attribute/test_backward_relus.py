"""Guided backpropagation and deconvolution, against relus with such a rule by hand, and what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jaxwalk as jw
from jaxwalk import attribute

pytestmark = pytest.mark.usefixtures("float64")

RANDOM = np.random.default_rng(1)
W1, W2, W3 = (RANDOM.normal(size=(5, 5)) for _ in range(3))
X = RANDOM.normal(size=5)
WRITTEN = {
    "jax.nn.relu": jax.nn.relu,
    "in jit": jax.jit(jax.nn.relu),
    "maximum": lambda x: jnp.maximum(x, 0),
    "lax.max": lambda x: lax.max(x, jnp.zeros_like(x)),
    "where": lambda x: jnp.where(x > 0, x, 0),
    "clip to inf": lambda x: jnp.clip(x, 0, jnp.inf),
    "clip": lambda x: jnp.clip(x, 0),
    "clip from": lambda x: jnp.clip(x, min=0),
    "by its size": lambda x: (x + jnp.abs(x)) / 2,
    "by its size, the other way": lambda x: 0.5 * (jnp.abs(x) + x),
    "masked": lambda x: x * (x > 0).astype(x.dtype),
}
RULES = {
    "guided_backprop": lambda y, delta: np.where(y > 0, np.maximum(delta, 0), 0),
    "deconvolution": lambda y, delta: np.maximum(delta, 0),
}


@pytest.mark.parametrize("method", RULES)
@pytest.mark.parametrize("relu", WRITTEN.values(), ids=WRITTEN)
def test_by_hand(method, relu):
    fun = lambda x: jnp.sum(jw.tag(relu(jw.tag(relu(x @ W1) @ W2, "h2")), "y2") @ W3)
    rule, y1 = RULES[method], np.maximum(X @ W1, 0)
    y2 = np.maximum(y1 @ W2, 0)
    to_y2 = W3.sum(1)
    to_h2 = rule(y2, to_y2)
    found = getattr(attribute, method)(fun)(X)
    np.testing.assert_allclose(found.scores["y2"], to_y2)
    np.testing.assert_allclose(found.scores["h2"], to_h2)
    np.testing.assert_allclose(found.inputs, W1 @ rule(y1, W2 @ to_h2))
    np.testing.assert_allclose(found.value, fun(X))


@pytest.mark.parametrize("method", RULES)
@pytest.mark.parametrize(
    "relu",
    [jax.nn.relu6, lambda x: jnp.clip(x, 0, 6), lambda x: jnp.minimum(jax.nn.relu(x), 6)],
    ids=["relu6", "clip", "minimum"],
)
def test_a_relu_with_a_ceiling_is_cut_off_there(method, relu):
    fun = lambda x: jnp.sum(relu(jw.tag(x, "h")) * delta)
    x, delta = np.array([-2.0, -1.0, 1.0, 3.0, 7.0, 9.0]), np.array([1.0, -1.0, 2.0, -2.0, 3.0, -3.0])
    by_hand = np.where(x < 6, RULES[method](np.clip(x, 0, 6), delta), 0)
    np.testing.assert_allclose(getattr(attribute, method)(fun)(x).inputs, by_hand)


def test_a_point_between_a_relu_and_its_ceiling_divides_them_and_that_is_said():
    fun = lambda x: jnp.sum(jnp.minimum(jw.tag(jax.nn.relu(x), "on"), 6))
    with pytest.raises(
        jw.ArgumentError, match=r'has `min` .* too; to leave these their derivative, give `others="plain"`'
    ):
        attribute.guided_backprop(fun)(X)
    found = attribute.guided_backprop(fun, others="plain")(np.array([-1.0, 2.0, 8.0]))
    np.testing.assert_allclose(found.inputs, [0, 1, 0])


@pytest.mark.parametrize(
    "other", [jax.nn.leaky_relu, jnp.abs, lambda x: x + 2 * jnp.abs(x), lambda x: jnp.clip(x, -1, 6)]
)
def test_what_is_no_relu_is_refused(other):
    with pytest.raises(jw.ArgumentError, match=r"has none that what is explained reaches [(]but `"):
        attribute.deconvolution(lambda x: jnp.sum(other(jw.tag(2 * x, "h"))))(X)


def test_other_methods_find_the_same_by_whatever_words():
    for relu in (WRITTEN["by its size"], WRITTEN["clip to inf"], jax.nn.relu):
        fun = lambda x, relu=relu: jnp.sum(relu(jw.tag(x @ W1, "h")) @ W2)
        found, kept = attribute.deep_lift(fun)(X), attribute.lrp(fun)(X)
        np.testing.assert_allclose(found.scores["h"], np.maximum(X @ W1, 0) * W2.sum(1), rtol=1e-12)
        np.testing.assert_allclose(kept.scores["h"], np.maximum(X @ W1, 0) * W2.sum(1), rtol=1e-4)


def test_in_scans_and_checkpoints_and_through_transformations():
    def fun(x, relu=jax.nn.relu):
        step = jax.checkpoint(lambda c, w: (jw.tag(relu(c @ w), "h"), jnp.max(c)))
        carry, largest = lax.scan(step, x, jnp.stack([W1, W2, W3]))
        return jnp.sum(carry * W1[0]) + jnp.sum(largest)

    guided = jax.custom_vjp(jax.nn.relu)
    guided.defvjp(lambda x: (jax.nn.relu(x), x), lambda x, ct: (jnp.where(x > 0, jnp.maximum(ct, 0), 0),))
    by_hand = jax.grad(lambda x: fun(x, guided))
    method = jax.jit(attribute.guided_backprop(fun))
    np.testing.assert_allclose(method(X).inputs, by_hand(X), rtol=1e-12)
    assert method(X).scores["h"].shape == (3, 5)
    batch = jnp.stack([X, -X])
    np.testing.assert_allclose(jax.vmap(method)(batch).inputs[1], by_hand(-X), rtol=1e-12)
    jax.grad(lambda x: jnp.sum(method(x).inputs))(X)  # it goes through


def test_other_functions_are_left_as_they_are_where_that_is_asked_for():
    fun = lambda x: jnp.sum(jnp.tanh(jax.nn.relu(x @ W1)) * W2[0])
    found = attribute.guided_backprop(fun, by="lines", others="plain")(X)
    h = X @ W1
    delta = W2[0] / np.cosh(np.maximum(h, 0)) ** 2
    np.testing.assert_allclose(found.inputs, W1 @ RULES["guided_backprop"](h, delta))


@pytest.mark.parametrize("method", RULES)
@pytest.mark.parametrize(
    ("fun", "options", "said"),
    [
        (
            lambda x: jnp.sum(jnp.tanh(x)),
            {},
            "and `fun` has none that what is explained reaches (but `tanh` (test_",
        ),
        (lambda x: jnp.sum(2 * x), {}, "has none that what is explained reaches; use `saliency` or `deep_lift`."),
        (
            lambda x: jnp.sum(jnp.exp(jnp.tanh(jax.nn.relu(x)))),
            {},
            'too; to leave these their derivative, give `others="plain"`; write what is a relu as `jax.nn.relu`; or',
        ),
        (lambda x: jnp.sum(2 * x), {"others": "captum"}, '`others` is \'captum\'; it is "refuse" or "plain".'),
    ],
)
def test_refused(method, fun, options, said):
    with pytest.raises(jw.ArgumentError) as caught:
        getattr(attribute, method)(fun, by="lines", **options)(X)
    assert said in str(caught.value)


IN_OTHER_WORDS = {
    "select": lambda x: jnp.select([x > 0], [x], 0.0),
    "piecewise": lambda x: jnp.piecewise(x, [x > 0], [lambda x: x, 0.0]),
    "signbit": lambda x: jnp.where(jnp.signbit(x), 0.0, x),
    "a branch for each": lambda x: lax.map(lambda v: lax.cond(v > 0, lambda v: v, lambda v: 0.0 * v, v), x),
    "a leaky one": lambda x: jnp.select([x > 0], [x], 0.01 * x),
    "steeper far out": lambda x: jnp.where(x > 100, 100 + 2 * (x - 100), jnp.maximum(x, 0)),
    "a gap": lambda x: jnp.where((x > 1000) & (x < 2000), 0, jax.nn.relu(x)),
    "less, far down": lambda x: jnp.where(x < -3e4, x, jax.nn.relu(x)),
}


@pytest.mark.parametrize("method", RULES)
@pytest.mark.parametrize("other", IN_OTHER_WORDS.values(), ids=IN_OTHER_WORDS)
def test_what_is_not_known_as_a_relu_is_refused_beside_one(method, other):
    with pytest.raises(jw.ArgumentError, match=r"has a rule for relus alone, and `fun` has .*; write what is a relu"):
        getattr(attribute, method)(lambda x: jnp.sum(other(W1 @ jax.nn.relu(x))))(X)
