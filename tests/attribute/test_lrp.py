"""Layer-wise relevance propagation against relevances by hand in NumPy, and what it conserves, through everything."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk import attribute
from relevance import STABILISER, correlated, dense, matrix_of

RANDOM = np.random.default_rng(1)
ROW = lambda *shape: RANDOM.normal(size=shape)


@pytest.fixture(autouse=True)
def _in_float64():
    with jax.enable_x64(True), jax.numpy_rank_promotion("allow"):
        yield


# A dense net: layers at a tag, in a scope, and in neither --------------------------------------------------------

W1, W2, W3 = ROW(5, 7), ROW(7, 6), ROW(6)
B1, B2 = ROW(7), ROW(6)
X = ROW(5)
NUMBERS = {"epsilon": STABILISER, "gamma": 0.25, "z_plus": None, "alpha_beta": 2.0}


def net(x):
    first = jw.tag(jax.nn.relu(x @ W1 + B1), "first")
    with jax.named_scope("second"):
        z = first @ W2 + B2
        second = z * jax.nn.sigmoid(z)
    return second @ W3


def net_by_hand(rules, x=X):
    """Relevances of second, first and x; a silu passes them through."""
    z1 = x @ W1 + B1
    first = np.maximum(z1, 0)
    z2 = first @ W2 + B2
    second = z2 / (1 + np.exp(-z2))
    result = (second @ W3)[None]
    of_second = dense(second, W3[:, None], np.zeros(1), result, rules[2], NUMBERS[rules[2]])
    of_first = dense(first, W2, B2, of_second, rules[1], NUMBERS[rules[1]])
    return of_second, of_first, dense(x, W1, B1, of_first, rules[0], NUMBERS[rules[0]])


@pytest.mark.parametrize("rule", NUMBERS)
def test_dense_net(rule):
    found = jax.jit(attribute.lrp(net, rule=rule))(X)
    of_second, of_first, of_x = net_by_hand([rule] * 3)
    np.testing.assert_allclose(found.scores["second"], of_second, rtol=1e-9)
    np.testing.assert_allclose(found.scores["first"], of_first, rtol=1e-9)
    np.testing.assert_allclose(found.inputs, of_x, rtol=1e-9)
    np.testing.assert_allclose(found.gap, np.sum(of_x) - net(X), rtol=1e-9)


def test_rules_by_point():
    found = attribute.lrp(net, rules={"*": "gamma", "second": ("alpha_beta", 2.0)})(X)
    np.testing.assert_allclose(found.inputs, net_by_hand(["gamma", "alpha_beta", "epsilon"])[2], rtol=1e-9)
    numbered = attribute.lrp(net, rule="z_plus", rules={"first": ("gamma", 0.25), "second": "epsilon"})(X)
    np.testing.assert_allclose(numbered.inputs, net_by_hand(["gamma", "epsilon", "z_plus"])[2], rtol=1e-9)


# A convolution, pooled: relevance of a maximum goes to the winner -----------------------------------------------

KERNEL, BIAS, OUT = ROW(3, 3, 2, 4), ROW(4), ROW(2 * 2 * 4)
IMAGE = ROW(6, 6, 2)


def cnn(image):
    layout = ("NHWC", "HWIO", "NHWC")
    made = jax.lax.conv_general_dilated(image[None], KERNEL, (1, 1), "VALID", dimension_numbers=layout)[0] + BIAS
    hidden = jw.tag(jnp.maximum(made, 0), "hidden")
    pooled = jw.tag(jax.lax.reduce_window(hidden, -jnp.inf, jax.lax.max, (2, 2, 1), (2, 2, 1), "VALID"), "pooled")
    return pooled.ravel() @ OUT


@pytest.mark.parametrize("rule", NUMBERS)
def test_cnn(rule):
    found = jax.jit(attribute.lrp(cnn, rule=rule))(IMAGE)
    made = correlated(IMAGE, KERNEL) + BIAS
    hidden = np.maximum(made, 0)
    windows = hidden.reshape(2, 2, 2, 2, 4).transpose(0, 2, 4, 1, 3).reshape(2, 2, 4, 4)
    pooled, winner = windows.max(-1), windows.argmax(-1)
    result = (pooled.ravel() @ OUT)[None]
    of_pooled = dense(pooled.ravel(), OUT[:, None], np.zeros(1), result, rule, NUMBERS[rule]).reshape(pooled.shape)
    of_hidden = of_pooled[..., None] * (np.arange(4) == winner[..., None])
    of_hidden = of_hidden.reshape(2, 2, 4, 2, 2).transpose(0, 3, 1, 4, 2).reshape(hidden.shape)
    matrix = matrix_of(lambda x: correlated(x, KERNEL), IMAGE.shape)
    of_image = dense(IMAGE.ravel(), matrix, np.tile(BIAS, 16), of_hidden.ravel(), rule, NUMBERS[rule])
    np.testing.assert_allclose(found.scores["pooled"], of_pooled, rtol=1e-8)
    np.testing.assert_allclose(found.scores["hidden"], of_hidden, rtol=1e-8)
    np.testing.assert_allclose(found.inputs.ravel(), of_image, rtol=1e-8)


# A transformer block: patterns and norms held, gelu passed through -------------------------------------------------

WQ, WK, WV, WO, UP, DOWN = (ROW(4, 4), ROW(4, 4), ROW(4, 4), ROW(4, 4), ROW(4, 6), ROW(6, 4))
BQ, BV, BUP, SCALE, SHIFT, READ = ROW(4), ROW(4), ROW(6), ROW(4), ROW(4), ROW(4)
TOKENS = ROW(3, 4)


def norm(x):
    centred = x - x.mean(-1, keepdims=True)
    return centred / jnp.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * SCALE + SHIFT


def block(x):
    normed = norm(x)
    q, k, v = (a.reshape(3, 2, 2) for a in (normed @ WQ + BQ, normed @ WK, normed @ WV + BV))
    scores = jnp.einsum("ihd,jhd->hij", q, k) / np.sqrt(2)
    scores = jnp.where(np.tri(3, dtype=bool), scores, -1e9)
    mixed = jw.tag(jnp.einsum("hij,jhd->ihd", jax.nn.softmax(scores), v).reshape(3, 4), "mixed")
    x = jw.tag(x + mixed @ WO, "middle")
    x = x + jw.tag(jax.nn.gelu(norm(x) @ UP + BUP, approximate=False), "mlp") @ DOWN
    return jw.tag(x, "end")[-1] @ READ


def block_by_hand():
    """δ′ at mlp, middle, mixed and the input, in NumPy: of layers δ′·z / (z + ε·sign z) times the weights."""
    from math import erf

    def normed_by(x):
        centred = x - x.mean(-1, keepdims=True)
        factor = SCALE / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        return centred * factor + SHIFT, lambda ct: ct * factor - np.mean(ct * factor, -1, keepdims=True)

    back = lambda ct, z, w: (ct * z / (z + STABILISER * np.where(z < 0, -1, 1))) @ w.T
    normed, back_first = normed_by(TOKENS)
    q, k, v = (a.reshape(3, 2, 2) for a in (normed @ WQ + BQ, normed @ WK, normed @ WV + BV))
    pattern = np.exp(np.einsum("ihd,jhd->hij", q, k) / np.sqrt(2)) * np.tri(3)
    pattern /= pattern.sum(-1, keepdims=True)
    mixed = np.einsum("hij,jhd->ihd", pattern, v).reshape(3, 4)
    middle = TOKENS + mixed @ WO
    normed_again, back_second = normed_by(middle)
    u = normed_again @ UP + BUP
    share = np.vectorize(lambda u: (1 + erf(u / np.sqrt(2))) / 2)(u)  # gelu(u) / u
    end = middle + u * share @ DOWN
    delta_end = np.zeros((3, 4))
    delta_end[-1] = back(np.ones(1), (end[-1] @ READ)[None], READ[:, None])
    delta_mlp = back(delta_end, u * share @ DOWN, DOWN)
    delta_middle = delta_end + back_second(back(delta_mlp * share, u, UP))
    delta_mixed = back(delta_middle, mixed @ WO, WO)
    delta_v = np.einsum("hij,ihd->jhd", pattern, delta_mixed.reshape(3, 2, 2)).reshape(3, 4)
    delta_x = delta_middle + back_first(back(delta_v, normed @ WV + BV, WV))
    return {"mlp": delta_mlp * u * share, "middle": delta_middle * middle, "mixed": delta_mixed * mixed}, delta_x


def test_transformer_block():
    found = jax.jit(attribute.lrp(block))(TOKENS)
    by_hand, delta = block_by_hand()
    for name, scores in by_hand.items():
        np.testing.assert_allclose(found.scores[name], scores, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(found.inputs, TOKENS * delta, rtol=1e-8, atol=1e-12)


# What is conserved ---------------------------------------------------------------------------------------------------


def rms(x):
    return x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + 1e-6)


def gated(x, weights):
    """A block without a bias: attention, and a gate."""
    wq, wk, wv, gate, up, down = weights
    normed = rms(x)
    pattern = jax.nn.softmax((normed @ wq) @ (normed @ wk).T)
    x = x + pattern @ (normed @ wv)
    normed = rms(x)
    return jw.tag(x + (jax.nn.silu(normed @ gate) * (normed @ up)) @ down, "out")


BLOCKS = tuple(ROW(2, *shape) for shape in [(4, 4)] * 3 + [(4, 6), (4, 6), (6, 4)])


def scanned(x):
    step = jax.checkpoint(lambda x, w: (gated(x, w), None))
    return jnp.sum(jax.lax.scan(step, x, BLOCKS)[0][-1] * READ)


def unrolled(x):
    for i in range(2):
        x = jax.lax.cond(x[0, 0] < 99, gated, lambda x, w: x, x, [w[i] for w in BLOCKS])
    return jnp.sum(x[-1] * READ)


@pytest.mark.parametrize("rule", ["epsilon", "gamma"])
def test_without_a_bias_all_adds_up_in_a_scan_and_a_branch(rule):
    of = jax.jit(attribute.lrp(scanned, rule=rule, epsilon=0.0))
    found = of(TOKENS)
    np.testing.assert_allclose(found.gap, 0, atol=1e-12)
    np.testing.assert_allclose(np.sum(found.scores["out"], (1, 2)), [scanned(TOKENS)] * 2, rtol=1e-10)
    flat = jax.jit(attribute.lrp(unrolled, rule=rule, epsilon=0.0))(TOKENS)
    np.testing.assert_allclose(flat.inputs, found.inputs, rtol=1e-9, atol=1e-12)
    if rule == "epsilon":
        both = jax.vmap(of)(jnp.stack([-2 * TOKENS, TOKENS]))
        np.testing.assert_allclose(both.inputs[1], found.inputs, rtol=1e-9, atol=1e-12)
