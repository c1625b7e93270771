"""Layer-wise relevance propagation against relevances by hand in NumPy, and what it conserves, through everything."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk import attribute
from jaxwalk.attribute._backward.named_rules import _TAKES
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
    found = attribute.lrp(net, "second", rules={"*": "gamma", "second": ("alpha_beta", 2.0)})(X)
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
    number = {"epsilon": 0.0} if rule == "epsilon" else {}
    of = jax.jit(attribute.lrp(scanned, rule=rule, **number))
    found = of(TOKENS)
    np.testing.assert_allclose(found.gap, 0, atol=1e-12)
    np.testing.assert_allclose(np.sum(found.scores["out"], (1, 2)), [scanned(TOKENS)] * 2, rtol=1e-10)
    flat = jax.jit(attribute.lrp(unrolled, rule=rule, **number))(TOKENS)
    np.testing.assert_allclose(flat.inputs, found.inputs, rtol=1e-9, atol=1e-12)
    if rule == "epsilon":
        both = jax.vmap(of)(jnp.stack([-2 * TOKENS, TOKENS]))
        np.testing.assert_allclose(both.inputs[1], found.inputs, rtol=1e-9, atol=1e-12)


# What is chosen, held, and refused -----------------------------------------------------------------------------------

MASK = np.tri(3, dtype=bool)
MIX, SHOWN, MOVE = ROW(4, 4), ROW(4), ROW(3, 4)


def masked(logits):
    exponentials = jnp.exp(logits - logits.max(-1, keepdims=True)) * np.tri(3)
    return exponentials / jnp.sum(exponentials, -1, keepdims=True)


def in_steps(logits):
    exponentials = jw.tag(jnp.exp(logits), "exponentials")
    return exponentials * (1 / jw.tag(jnp.sum(exponentials, -1, keepdims=True), "sums"))


PATTERNS = {
    "jax": jax.nn.softmax,
    "other axis": lambda logits: jax.nn.softmax(logits.T, axis=0).T,
    "where": lambda logits: jax.nn.softmax(logits, where=MASK),
    "infinite": lambda logits: jax.nn.softmax(jnp.where(MASK, logits, -jnp.inf)),
    "fewer bits": lambda logits: jax.nn.softmax(logits.astype(jnp.float32)).astype(logits.dtype),
    "by logarithm": lambda logits: jnp.exp(jax.nn.log_softmax(logits)),
    "masked": masked,
    "in steps": in_steps,
}


@pytest.mark.parametrize("name", PATTERNS)
def test_attention_patterns_are_held_however_they_are_written(name):
    pattern = PATTERNS[name]
    mixed = lambda x, p: jnp.sum(p @ jw.tag(x @ MIX, "values") @ SHOWN)
    fun = lambda x: mixed(x, pattern((x @ MIX) @ x.T))
    found = jax.jit(attribute.lrp(fun, epsilon=0.0))(TOKENS)
    by_hand = jax.grad(mixed)(TOKENS, pattern((TOKENS @ MIX) @ TOKENS.T))
    np.testing.assert_allclose(found.inputs, TOKENS * by_hand, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(found.gap, 0, atol=1e-12)


@pytest.mark.parametrize("by", ["scopes", "lines"])
def test_patterns_choose_layers_by_what_points_are_made_of_and_by_scope(by):
    def deep(x, ws):
        with jax.named_scope("layers"):
            step = lambda x, w: (jnp.maximum(x @ w, 0), None)
            x, _ = jax.lax.scan(step, x, ws)
        with jax.named_scope("head"):
            hidden = x @ MIX
            hidden = jax.jit(jax.nn.relu)(hidden).reshape(2, 2)
            pooled = hidden.max(0)
        return jnp.sum(pooled)

    fun = lambda x: deep(x, np.stack([MIX, -MIX]))
    patterns = {"scopes": ("layers", "head"), "lines": ("deep/x,_", "**/pooled")}
    every = jax.jit(attribute.lrp(fun, by=by, rule="z_plus"))(SHOWN)
    some = attribute.lrp(fun, by=by, rules={patterns[by][0]: "z_plus", patterns[by][1]: ("alpha_beta", 1)})
    np.testing.assert_allclose(some(SHOWN).inputs, every.inputs, rtol=1e-12)


def test_tokens_have_relevance_at_their_embedding():
    table = ROW(5, 4)
    score = lambda tokens: scanned(jw.tag(jnp.asarray(table)[tokens], "embed"))
    found = attribute.lrp(score, "embed", epsilon=0.0)(jnp.array([1, 2, 0]))
    assert found.inputs is None
    assert found.gap is None
    np.testing.assert_allclose(found.totals["embed"], found.value, rtol=1e-10)


def test_where_a_function_is_at_zero():
    fun = lambda x: jnp.sum(jw.tag(jnp.tanh(x), "tanh")) + jnp.sum(jnp.sqrt(jnp.abs(x))) + jnp.sum(jnp.cos(x))
    x = np.array([0.0, 1e-200, 0.5])
    found = attribute.lrp(fun)(x)
    np.testing.assert_allclose(found.inputs, [0, 0, np.tanh(0.5) + np.sqrt(0.5) + np.cos(0.5)], atol=1e-12)


def test_it_can_be_differentiated_backward():
    fun = lambda x: jnp.sum(jw.tag(jax.nn.silu(jax.nn.softmax(x @ x.T) @ x @ MIX), "mixed") @ SHOWN)
    total = jax.jit(lambda x: jnp.sum(attribute.lrp(fun, rule="gamma")(x).inputs ** 2))
    move = 1e-6 * MOVE
    slope = (total(TOKENS + move) - total(TOKENS - move)) / 2e-6
    np.testing.assert_allclose(np.sum(jax.jit(jax.grad(total))(TOKENS) * MOVE), slope, rtol=1e-6)


tagged = lambda x: jw.tag(x @ MIX, "mix")


@pytest.mark.parametrize(
    ("fun", "options", "said"),
    [
        (net, {"rule": "lrp"}, '`rule` is \'lrp\'; it is "epsilon", "gamma", "z_plus" or "alpha_beta", or a pair'),
        (net, {"rule": ("gamma", -1)}, "The number of `rule` is -1; it must be a finite number of at least 0."),
        (net, {"alpha": 0.5}, "`alpha` is 0.5; it must be a finite number of at least 1."),
        (net, {"epsilon": True}, "`epsilon` is True; it must be a finite number of at least 0."),
        (
            net,
            {"gamma": 5},
            "`gamma` is 5, which no layer takes: `rule` is 'epsilon', and no rule is \"gamma\" without",
        ),
        (
            net,
            {"rule": ("gamma", 0.1), "gamma": 5},
            "`gamma` is 5, which no layer takes: `rule` is ('gamma', 0.1), and",
        ),
        (
            net,
            {"rule": "z_plus", "rules": {"first": "gamma"}, "epsilon": 0.1},
            "`epsilon` is 0.1, which no layer takes",
        ),
        (net, {"rules": ["first"]}, "`rules` is ['first']; it is a mapping from point names to rules."),
        (net, {"rules": {"first": ("z_plus", 1)}}, "`rules['first']` is ('z_plus', 1); it is"),
        (net, {"rules": {"fist": "gamma"}}, "`rules` has 'fist', which fits no point. Near it: `first`."),
        (
            lambda x: jw.tag(jnp.sum(tagged(x) + x), "sum"),
            {"rules": {"sum": "gamma"}},
            "`rules` has 'sum', which fits `sum`, the result of no layer and not a scope of one; those of layers are:",
        ),
        (
            lambda x: jnp.sum(MIX * x),
            {"rule": "z_plus"},
            "`rule` is 'z_plus', a rule of layers, and",
        ),
        (
            lambda x: jnp.sum(jw.tag(2 * x, "twice")),
            {"rules": {"*": "gamma"}},
            "not a scope of one; no point is: name some by",
        ),
        (lambda x: jax.nn.softmax(tagged(x))[0], {}, "`lrp` holds softmax, and the result of `fun` depends on what is"),
        (lambda x: jnp.prod(tagged(x)), {}, "`lrp` has no rule for `reduce_prod` (test_lrp.py:"),
        (lambda x: jnp.sum(jnp.abs(tagged(x)) ** x), {}, "`lrp` has no rule for `pow` (test_lrp.py:"),
        (
            lambda x: jax.lax.while_loop(lambda c: c[0] < 9, lambda c: c + 1, tagged(x))[0],
            {},
            "has no rule for `while` (test_lrp.py:",
        ),
        (
            lambda x: jnp.sum(jnp.real(tagged(x).astype(complex) @ (1j * MIX))),
            {"rule": "gamma"},
            'has "gamma" for the layer `dot_general` (test_lrp.py:',
        ),
    ],
)
def test_refused(fun, options, said):
    with pytest.raises(jw.JaxwalkError) as caught:
        attribute.lrp(fun, **options)(X if fun is net else SHOWN)
    assert said in str(caught.value)


def test_a_number_of_a_rule_is_taken_where_the_rule_is():
    found = attribute.lrp(net, rules={"first": "gamma"}, gamma=5.0)(X)
    given = attribute.lrp(net, rules={"first": ("gamma", 5.0)})(X)
    np.testing.assert_array_equal(found.inputs, given.inputs)
    takes = inspect.signature(attribute.lrp).parameters
    assert {t.called: t.default for t in _TAKES.values()} == {
        name: takes[name].default for name in ("epsilon", "gamma", "alpha")
    }
