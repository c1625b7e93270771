"""DeepLIFT: it adds up, exactly, for all kinds of functions; and it is what multipliers by hand are."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jaxwalk as jw
from jaxwalk import attribute

pytestmark = pytest.mark.usefixtures("float64")

RANDOM = np.random.default_rng(0)
T, D = 3, 4
Q, K, V, G, U = (RANDOM.normal(size=(D, D)) / 2 for _ in range(5))
ROW = RANDOM.normal(size=(1, D))
X, BASE = RANDOM.normal(size=(T, D)), RANDOM.normal(size=(T, D))
EXACT = {"rtol": 1e-10, "atol": 1e-12}


def layer_norm(x):
    centred = x - x.mean(-1, keepdims=True)
    return centred * lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * ROW


def transformer_block(x):
    h = layer_norm(x)
    logits = (h @ Q) @ (h @ K).T / np.sqrt(D)
    pattern = jax.nn.softmax(jnp.where(np.tril(np.ones((T, T), bool)), logits, -jnp.inf))
    x = jw.tag(x + pattern @ (h @ V), "attended")
    h = layer_norm(x)
    x = jw.tag(x + (jax.nn.silu(h @ G) * (h @ U)) @ K, "block")
    return jax.nn.log_softmax(x[-1])[2]


def network(x):
    """A convolution and a max-pool over an image of 3 × 4, with activations and a quotient."""
    kernel = Q[:2, :2][None, None]
    h = jax.nn.relu(lax.conv(x[None, None], kernel, (1, 1), "SAME") + 0.1)
    h = lax.reduce_window(h, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 1, 2), "SAME")[0, 0]
    h = jw.tag(jax.nn.gelu(h), "pooled")
    return jnp.sum(h[:, 0] / (1.5 + jnp.exp(h[:, 1]))) + jnp.max(h[:, 1] * V[:3, 0]) - jnp.min(jnp.cumsum(h))


def recurrent(x):
    @jax.checkpoint
    def step(carry, w):
        carry = jw.tag(jnp.tanh(carry @ w), "h") * carry
        return carry, lax.cond(w[0, 0] > 0, jnp.sin, jnp.exp, jnp.max(carry))

    carry, largest = lax.scan(step, x, jnp.stack([Q, K]))
    return jnp.sum(carry**3) + jnp.sum(largest)


def written_out(x):
    inner = 0.8 * (x + 0.04 * x**3)
    positive = x > 0
    bent = jnp.where(positive, 0.5 * x * (1 + jnp.tanh(inner)), 0)
    return jnp.sum(jnp.where(bent > 0.2, bent, jnp.floor(3 * x)) * ROW) + jnp.sum(jnp.maximum(x, bent) ** 2)


@functools.cache
def lifted(fun, by=None):
    """DeepLIFT of a function, compiled once: (x, baseline) -> attribution."""
    return jax.jit(lambda x, base: attribute.deep_lift(fun, by=by, baseline=base)(x))


@pytest.mark.parametrize(
    ("fun", "through"),
    [(transformer_block, ("block",)), (network, ("pooled",)), (recurrent, ()), (written_out, ("written_out/return",))],
)
def test_it_adds_up(fun, through):
    by = "lines" if fun is written_out else None
    found = lifted(fun, by)(X, BASE)
    change = fun(X) - fun(BASE)
    np.testing.assert_allclose(np.sum(found.inputs), change, **EXACT)
    assert abs(found.gap) < 1e-12
    for name in through:
        np.testing.assert_allclose(found.totals[name], change, **EXACT)


def test_multipliers_by_hand():
    fun = lambda x: jnp.sum(jw.tag(jnp.tanh(jw.tag(x @ Q, "h")) * ROW[0] + 1, "y") ** 2)
    x, base = X[0], BASE[0]
    h, h_base = x @ Q, base @ Q
    y, y_base = (np.tanh(v) * ROW[0] + 1 for v in (h, h_base))
    of_y = y + y_base
    of_h = of_y * ROW[0] * (np.tanh(h) - np.tanh(h_base)) / (h - h_base)
    found = attribute.deep_lift(fun, baseline=base)(x)
    np.testing.assert_allclose(found.scores["y"], of_y * (y - y_base), **EXACT)
    np.testing.assert_allclose(found.scores["h"], of_h * (h - h_base), **EXACT)
    np.testing.assert_allclose(found.inputs, (Q @ of_h) * (x - base), **EXACT)


def test_two_values_share_as_by_shapley_and_of_maxima_each_winner_has_its_part():
    a, b, a_base, b_base = 3.0, 2.0, 1.0, 4.0
    two = lambda of: attribute.deep_lift(lambda x: of(x[0], x[1]), by="lines", baseline=np.array([a_base, b_base]))
    x = np.array([a, b])
    for of in (jnp.multiply, jnp.divide, jnp.maximum, jnp.power, jnp.arctan2):
        to_a = (of(a, b) - of(a_base, b) + of(a, b_base) - of(a_base, b_base)) / 2
        to_b = (of(a, b) - of(a, b_base) + of(a_base, b) - of(a_base, b_base)) / 2
        np.testing.assert_allclose(two(of)(x).inputs, [to_a, to_b], **EXACT)
    largest = attribute.deep_lift(lambda x: jnp.max(x), by="lines", baseline=np.array([a_base, b_base]))
    np.testing.assert_allclose(largest(x).inputs, [0, 3 - 4])  # it was the second, at 4, and is the first, at 3
    np.testing.assert_allclose(largest(np.array([5.0, 2.0])).inputs, [5 - 4, 0])


def test_near_the_baseline_multipliers_are_derivatives():
    """Also where a value does not differ at all: there the derivative is exact."""
    near = X + 1e-6 * BASE
    found = lifted(transformer_block)(X, near)
    middle = jax.grad(transformer_block)((X + near) / 2)
    np.testing.assert_allclose(found.inputs, middle * (X - near), rtol=1e-5, atol=1e-14)
    fun = lambda x: jnp.sum(jax.nn.softmax(jnp.sin(x - x[::-1] + x[::-1])) * ROW[0] * jnp.max(x))
    start = X[0] + np.array([1.0, 0, 0, 0])  # of which three entries are as they are
    assert abs(attribute.deep_lift(fun, by="lines", baseline=start)(X[0]).gap) < 1e-12


def test_softmax_does_not_look_at_what_all_logits_have_more():
    fun = lambda shift: lambda x: jax.nn.softmax(x + shift)[0]
    plain, shifted = (attribute.deep_lift(fun(s), by="lines", baseline=BASE[0])(X[0]).inputs for s in (0.0, 700.0))
    np.testing.assert_allclose(plain, shifted, rtol=1e-9)
    moved = attribute.deep_lift(fun(0.0), by="lines", baseline=X[0] - 900)(X[0])
    np.testing.assert_allclose(moved.inputs.sum(), 0, atol=1e-9)


def test_softmax_of_masked_logits_in_few_bits():
    """One probability is 1 but for rounding, and the others are masked by the least number there is."""
    masked = np.tril(np.ones((T, T), bool))
    fun = lambda x: jnp.sum(
        jax.nn.softmax(jnp.where(masked, x, 0.7 * float(jnp.finfo(jnp.float32).min))) * np.float32(V[:T, :T])
    )
    x, base = (jnp.asarray(v[:, :T], jnp.float32) for v in (X, BASE))
    found = jax.jit(attribute.deep_lift(fun, by="lines", baseline=base))(x)
    assert abs(found.gap) < 1e-6
    np.testing.assert_array_equal(found.inputs[0], 0)


def test_through_vmap_and_grad():
    each = jax.jit(jax.vmap(attribute.deep_lift(recurrent, baseline=BASE)))(jnp.stack([X, BASE + 0.1]))
    np.testing.assert_allclose(each.inputs[0], lifted(recurrent)(X, BASE).inputs, **EXACT)
    np.testing.assert_allclose(each.gap, 0, atol=1e-12)

    @jax.jit
    def squared(scale):
        fun = lambda x: jnp.sum(jax.nn.softmax(jnp.tanh(x)) * ROW[0])
        return jnp.sum(attribute.deep_lift(fun, by="lines", baseline=BASE[0])(scale * X[0]).inputs ** 2)

    step = 1e-5
    by_differences = (squared(1 + step) - squared(1 - step)) / (2 * step)
    np.testing.assert_allclose(jax.grad(squared)(1.0), by_differences, rtol=1e-7)


def test_of_tokens_the_scores_at_the_point_that_embeds_them_add_up():
    table = RANDOM.normal(size=(9, D))
    score = lambda tokens: transformer_block(jw.tag(jnp.asarray(table)[tokens], "embed"))
    tokens, others = jnp.array([1, 5, 2]), jnp.array([1, 8, 0])
    found = jax.jit(attribute.deep_lift(score, baseline=others))(tokens)
    np.testing.assert_allclose(found.totals["embed"], score(tokens) - score(others), **EXACT)
    np.testing.assert_array_equal(found.scores["embed"][0], 0)  # the first token is the same
    assert (found.inputs, found.gap) == (None, None)


def test_custom_derivative_rules_have_no_say():
    @jax.custom_vjp
    def rounded(x):
        return jnp.round(x)

    @jax.custom_jvp
    def double(x):
        return 2 * x

    rounded.defvjp(lambda x: (jnp.round(x), None), lambda _, ct: (ct,))
    double.defjvps(lambda dx, _, x: -dx)
    found = attribute.deep_lift(lambda x: jnp.sum(double(rounded(x))), by="lines", baseline=jnp.zeros(2))
    np.testing.assert_allclose(found(jnp.array([1.4, 2.6])).inputs, [2, 6], **EXACT)


def test_few_bits_no_entries_and_what_stays_constant():
    fun = lambda x: jnp.sum((jax.nn.gelu(x) * x).astype(jnp.float32))
    found = attribute.deep_lift(fun, by="lines", baseline=jnp.asarray(BASE, jnp.bfloat16))(jnp.asarray(X, jnp.bfloat16))
    assert found.inputs.dtype == jnp.bfloat16
    assert abs(found.gap) < 0.05
    assert attribute.deep_lift(lambda x: jnp.sum(jnp.tanh(x)), by="lines")(jnp.zeros((0, 2))).gap == 0
    stopped = attribute.deep_lift(lambda x: jnp.sum(x * lax.stop_gradient(x)), by="lines")(X[0])
    np.testing.assert_allclose(stopped.inputs, X[0] ** 2)
    indexed = attribute.deep_lift(lambda x: jnp.asarray(Q)[jnp.argmax(x), 0] + x[0], by="lines")(np.array([0.0, 1.0]))
    np.testing.assert_allclose(indexed.gap, Q[0, 0] - Q[1, 0])


def test_over_shards():
    mesh = jax.make_mesh((1,), ("i",), axis_types=(jax.sharding.AxisType.Auto,))
    each = lambda x: jw.tag(jax.nn.relu(x @ Q), "h") * lax.psum(jnp.tanh(x), "i")
    spec = jax.sharding.PartitionSpec("i")
    fun = lambda x: jnp.sum(jax.shard_map(each, mesh=mesh, in_specs=spec, out_specs=spec)(x))
    found = jax.jit(attribute.deep_lift(fun, baseline=BASE))(X)
    np.testing.assert_allclose(found.inputs.sum(), fun(X) - fun(BASE), **EXACT)


@pytest.mark.parametrize(
    ("fun", "said"),
    [
        (lambda x: jnp.sort(x)[0], "`deep_lift` has no rule for `sort` (test_backward_deep_lift.py:"),
        (lambda x: jnp.prod(x), "has no rule for `reduce_prod` (test_backward_deep_lift.py:"),
        (lambda x: lax.cond(x[0] > 0, jnp.sum, jnp.max, x), "has no rule for `cond` (test_backward_deep_lift.py:"),
        (lambda x: lax.fori_loop(0, jnp.int32(x[0]), lambda _, c: jnp.sin(c), x[1]), "has no rule for `while`"),
        (lambda x: jnp.abs(jnp.fft.fft(x))[1], "cannot divide differences of complex numbers, as `abs` (test_"),
        (
            lambda x: x,
            "For `deep_lift`, `fun` must return a real scalar, and it returns an array of shape (4,); give one entry",
        ),
    ],
)
def test_refused(fun, said):
    with pytest.raises(jw.ArgumentError) as caught:
        attribute.deep_lift(fun, by="lines")(X[0])
    assert said in str(caught.value)
    if "scalar" not in said:
        assert str(caught.value).endswith("use `conductance`, which takes derivatives alone.")


def test_a_baseline_that_does_not_fit_is_refused():
    with pytest.raises(jw.ArgumentError, match="`baseline` has an array of shape"):
        attribute.deep_lift(recurrent, baseline=BASE[0])(X)


@pytest.mark.parametrize(
    "fun",
    [
        lambda z: jnp.sum(W3 * (z - z.mean()) / jnp.sqrt(z.var() + 1e-6)),
        lambda z: jnp.sum(W3 * jnp.maximum(z, z.mean())),
        lambda z: jnp.sum(W3 * (z + 3) ** z.mean()),
        lambda z: jnp.sum(W3 * jnp.mod(z, 3.0)),
        lambda z: jnp.sum(W3 * jax.lax.rem(z, jnp.full(3, 3.0))),
    ],
)
def test_a_number_meets_an_array_and_what_jumps_adds_up(fun):
    found = jw.attribute.deep_lift(fun, baseline=jnp.array([0.5, -1.0, 0.0]))(jnp.array([1.0, 2.0, 4.0]))
    change = fun(jnp.array([1.0, 2.0, 4.0])) - fun(jnp.array([0.5, -1.0, 0.0]))
    np.testing.assert_allclose(jnp.sum(found.inputs), change, rtol=1e-9)


W3 = np.array([1.0, -2.0, 3.0])


def test_it_says_what_it_was_compared_with_where_no_baseline_was_given():
    score = lambda tokens: jnp.sum(jnp.tanh(jw.tag(jnp.arange(12.0).reshape(4, 3)[tokens], "embed")))
    found = jax.jit(attribute.deep_lift(score))(jnp.array([1, 2]))
    said = "Compared with inputs of the integer 0 alone, as token 0 in each place; `baseline` names another."
    assert said in " ".join(repr(found).split())
    of_zero = attribute.deep_lift(score, baseline=jnp.array([0, 0]))(jnp.array([1, 2]))
    np.testing.assert_array_equal(found.scores["embed"], of_zero.scores["embed"])
    assert (of_zero.against, "Compared" in repr(of_zero)) == ("", False)
    own = attribute.integrated_gradients(score, along="own", steps=2)(jnp.array([1, 2]))
    assert said in " ".join(repr(own).split())
    assert "Compared with zeros; `baseline`" in repr(
        attribute.deep_lift(lambda x: jnp.sum(jw.tag(x, "x")))(jnp.ones(2))
    )
