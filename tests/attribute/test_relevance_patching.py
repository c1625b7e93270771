"""Relevance patching against patching where all is linear, and a model with gradients stopped by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk import attribute

RANDOM = np.random.default_rng(2)
ROW = lambda *shape: RANDOM.normal(size=shape)
WQ, WK, WV, WO, GATE, UP, DOWN = (ROW(4, 4), ROW(4, 4), ROW(4, 4), ROW(4, 4), ROW(4, 6), ROW(4, 6), ROW(6, 4))
BIAS, READ, THIS, OTHER = ROW(4), ROW(4), ROW(3, 4), ROW(3, 4)
CLOSE = {"rtol": 1e-9, "atol": 1e-12}
stopped = jax.lax.stop_gradient


@pytest.fixture(autouse=True)
def _in_float64():
    with jax.enable_x64(True), jax.numpy_rank_promotion("allow"):
        yield


def block(x, softmax, norm, silu, product, at):
    """A block of a transformer whose nonlinear parts, and what is done at a point, are given."""
    normed = norm(x)
    pattern = softmax((normed @ WQ) @ (normed @ WK + BIAS).T)
    x = x + at(pattern @ (normed @ WV) @ WO, "attention")
    normed = norm(x)
    gated = product(silu(normed @ GATE), normed @ UP)
    x = x + at(at(gated, "gated") @ DOWN, "mlp")
    return norm(x)[-1] @ READ


def norm(x):
    return x * jax.lax.rsqrt(jnp.mean(x**2, -1, keepdims=True) + 1e-5)


def fun(x):
    return block(x, jax.nn.softmax, norm, jax.nn.silu, jnp.multiply, jw.tag)


def by_hand(x, epsilons):
    """The same, written so that its gradient is what relevance patching says; an ε is added at each point."""
    return block(
        x,
        lambda logits: stopped(jax.nn.softmax(logits)),
        lambda x: x * stopped(norm(x) / x),
        lambda x: x * stopped(jax.nn.silu(x) / x),
        lambda a, b: (a * stopped(b) + stopped(a) * b) / 2,
        lambda value, name: value + epsilons[name],
    )


def test_a_transformer_block_by_hand():
    zeros = {"attention": np.zeros((3, 4)), "gated": np.zeros((3, 6)), "mlp": np.zeros((3, 4))}
    outputs = {of: jw.outputs(fun)(x)[1] for of, x in (("this", THIS), ("other", OTHER))}
    for delta_of, at in (("this", THIS), ("other", OTHER)):
        found = jax.jit(attribute.relevance_patching(fun, other=OTHER, delta_of=delta_of))(THIS)
        delta_x, deltas = jax.grad(by_hand, (0, 1))(at, zeros)
        for name, delta in deltas.items():
            moved = outputs["other"][name] - outputs["this"][name]
            np.testing.assert_allclose(found.scores[name], moved * delta, **CLOSE)
        np.testing.assert_allclose(found.inputs, (OTHER - THIS) * delta_x, **CLOSE)
        assert found.gap is None
        np.testing.assert_allclose(found.value, fun(THIS), **CLOSE)


def test_where_all_is_linear_it_is_patching():
    linear = lambda x: jw.tag(jnp.cumsum(x @ GATE + 1.0, 0), "sums")[-1] @ UP.T @ READ
    for of in ("this", "other"):
        mine = attribute.relevance_patching(linear, other=OTHER, delta_of=of)(THIS)
        plain = attribute.patching(linear, other=OTHER, delta_of=of)(THIS)
        np.testing.assert_allclose(mine.scores["sums"], plain.scores["sums"], **CLOSE)
        np.testing.assert_allclose(mine.inputs, plain.inputs, **CLOSE)


def test_tokens_and_many_at_once():
    table = ROW(5, 4)
    score = lambda tokens: fun(jw.tag(jnp.asarray(table)[tokens], "embed"))
    tokens, other = jnp.array([1, 2, 0]), jnp.array([1, 4, 0])
    found = attribute.relevance_patching(score, "embed", other=other)(tokens)
    delta = jax.grad(by_hand)(table[tokens], dict.fromkeys(("attention", "gated", "mlp"), 0.0))
    np.testing.assert_allclose(found.scores["embed"], (table[other] - table[tokens]) * delta, **CLOSE)
    assert found.inputs is None
    many = jax.vmap(attribute.relevance_patching(score, "embed", other=other))(jnp.stack([other, tokens]))
    np.testing.assert_allclose(many.scores["embed"][1], found.scores["embed"], **CLOSE)
