"""Where a function is more than linear in what is explained, and what it is there. Nothing is compiled."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jaxwalk as jw
from jaxwalk._points.find import find
from jaxwalk.attribute._backward.analysis.places import places
from jaxwalk.attribute._backward.analysis.relus import is_relu

X = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
W, B = np.ones((4, 4), np.float32), np.arange(4, dtype=np.float32)[None]


def found_in(fun, *args, by="tags", through_maxima=False):
    """The places of a function, of which the first argument is explained."""
    staged, points = find(fun, args, {}, by, None)
    leaves = len(jax.tree.leaves(args[0]))
    explained = [i < leaves and jnp.issubdtype(v.dtype, jnp.inexact) for i, v in enumerate(staged.args)]
    return places(staged.closed, explained, points, through_maxima)


def kinds(fun, *args, **options):
    return [place.kind for place in found_in(fun, *args, **options)]


def gelu_by_hand(x):
    return 0.5 * x * (1 + jnp.tanh(0.8 * (x + 0.04 * x**3)))


def layer_norm(x):
    centred = x - x.mean(-1, keepdims=True)
    return centred * lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * W[:1] + B


def logarithmic(x):
    return x - jax.nn.logsumexp(x, -1, keepdims=True)


@jax.custom_vjp
def backward(x):
    return 2 * x


backward.defvjp(lambda x: (2 * x, None), lambda _, ct: (-ct,))


FUNCTIONS = [
    jax.nn.relu,
    jax.nn.gelu,
    jax.nn.silu,
    jax.nn.softplus,
    jax.nn.elu,
    jax.nn.leaky_relu,
    gelu_by_hand,
    jnp.floor,
    jnp.square,
    lambda x: x * x,
    lambda x: jnp.maximum(x, 0),
    lambda x: jnp.where(x > 0, x, 0.2 * x),
    lambda x: (x > 0).astype(x.dtype),
    lambda x: x * (x > 0).astype(x.dtype),
    lambda x: 1 / x,
    jax.jit(lambda x: 3 * jnp.tanh(x) + 1),
    jax.checkpoint(jnp.sin),
    lambda x: jnp.clip(x, -0.5, 0.5),
]


@pytest.mark.parametrize("fun", FUNCTIONS)
def test_a_function_of_one_value_is_one_however_it_is_written(fun):
    found = [place for place in found_in(fun, X) if place.kind != "linear"]
    assert {place.kind for place in found} == {"function"}
    assert len(found) <= 2  # clip is of two
    assert sum(found[0].active) == 1


@pytest.mark.parametrize(
    "fun",
    [
        lambda x: jnp.cumsum(x[::-1].reshape(2, 6), 1).T + 1,
        lambda x: x[jnp.array([0, 2]), 1:3] / 7 - jnp.concatenate([x, x])[:2, :2],
        lambda x: jnp.where(W[:3] > 0, x, -x) * B,
        lambda x: jnp.fft.rfft(x).real + jnp.pad(x, 1)[:3, :3],
        lambda x: x * lax.stop_gradient(x) + lax.stop_gradient(jnp.exp(x)),
        lambda x: x.at[0].set(0).astype(jnp.float16).astype(jnp.float32),
        lambda x: lax.scan(lambda c, v: (c + v, 2 * c), x[0], x)[1],
        lambda x: jnp.argmax(x, -1),
    ],
)
def test_what_is_linear_is_no_place(fun):
    assert kinds(fun, X) == []


@pytest.mark.parametrize(
    ("fun", "kind"),
    [
        (lambda x: x @ W + B, "layer"),
        (lambda x: jnp.einsum("ij,kj->ki", x, W).astype(jnp.float32) + B.T, "layer"),
        (lambda x: lax.conv(x[None, None], W[None, None, :2, :2], (1, 1), "SAME") + 1, "layer"),
        (lambda x: x @ x.T, "product"),
        (lambda x: x[:, 0] * x[:, 1], "product"),
        (lambda x: x[:, 0] / x[:, 1], "product"),
        (lambda x: jnp.maximum(x[:, 0], x[:, 1]), "binary"),
        (lambda x: (lambda a, b: jnp.where(a > b, a, b))(x[:, 0], x[:, 1]), "binary"),
        (lambda x: jnp.max(x, 0), "maximum"),
        (lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (1, 2), (1, 2), "VALID"), "maximum"),
        (lambda x: jnp.sort(x), "other"),
        (lambda x: jnp.prod(x), "other"),
        (lambda x: lax.while_loop(lambda c: c[0] < 2, lambda c: (c[0] + 1, 2 * c[1]), (0, x))[1], "other"),
        (lambda x: lax.cond(x[0, 0] > 0, lambda x: 2 * x, lambda x: x, x), "other"),
        (backward, "linear"),
    ],
)
def test_kinds(fun, kind):
    assert kinds(fun, X) == [kind]


@pytest.mark.parametrize(
    "fun",
    [
        jax.nn.softmax,
        jax.jit(jax.nn.softmax),
        lambda x: jnp.exp(x) / jnp.sum(jnp.exp(x), 1, keepdims=True),
        lambda x: (lambda e: e / jnp.sum(e, 1, keepdims=True))(jnp.exp(x - jnp.max(x, 1, keepdims=True))),
        lambda x: jnp.exp(jax.nn.log_softmax(x)),
        lambda x: jnp.exp(logarithmic(x)),
        lambda x: jax.nn.softmax(jnp.where(W[:3] > 0, x, -jnp.inf)),
    ],
)
@pytest.mark.parametrize("through_maxima", [False, True])
def test_softmax(fun, through_maxima):
    (place,) = found_in(fun, X, through_maxima=through_maxima)
    assert (place.kind, place.axes, sum(place.active)) == ("softmax", (1,), 1)


@pytest.mark.parametrize(
    "fun",
    [
        layer_norm,
        jax.nn.standardize,
        lambda x: x * lax.rsqrt(jnp.mean(x**2, -1, keepdims=True) + 1e-6),
        lambda x: (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5),
        lambda x: x / jnp.linalg.norm(x, axis=-1, keepdims=True),
        lambda x: (x - x.mean(0, keepdims=True)) * (W[:1] / jnp.sqrt(x.var(0, keepdims=True) + 1e-5)),
    ],
)
def test_normalisations_have_the_value_first_and_the_factor_second(fun):
    (place,) = [place for place in found_in(fun, X) if place.kind not in ("function", "linear")]
    value, factor = place.reads
    assert place.kind == "normalisation"
    assert value.aval.shape == X.shape
    assert factor.aval.size <= value.aval.size


def test_a_gate_is_a_product():
    squeezed = lambda x: x * jax.nn.sigmoid(jnp.mean(x, 0, keepdims=True) @ W)
    assert "normalisation" not in kinds(squeezed, X)
    assert "product" in kinds(squeezed, X)


def test_a_value_that_is_asked_for_divides_a_function():
    def over_lines(x):
        inner = 0.8 * (x + 0.04 * x**3)
        positive = inner > 0
        return jnp.where(positive, 0.5 * x * (1 + jnp.tanh(inner)), 0)

    assert kinds(over_lines, X) == ["function"]
    assert kinds(over_lines, X, by="lines") == ["function", "function", "product", "binary"]
    tagged = lambda x: jnp.exp(jw.tag(x, "logits")) / jnp.sum(jw.tag(jnp.exp(x), "unread"), 1, keepdims=True)
    assert "softmax" not in kinds(tagged, X)


def test_places_are_found_at_every_depth_each_with_the_calls_around_it():
    def step(carry, w):
        return jax.checkpoint(lambda c: jax.nn.relu(c @ w))(carry), jnp.max(carry)

    def fun(x):
        carry, largest = lax.scan(step, x, jnp.stack([W, W]))
        return lax.cond(B[0, 0] > 0, lambda c: jnp.tanh(c).sum(), lambda c: c.sum(), carry) + largest.sum()

    found = found_in(fun, X)
    assert [(place.kind, len(place.site.calls)) for place in found] == [
        ("layer", 2), ("function", 2), ("maximum", 1), ("function", 1)
    ]  # fmt: skip
    assert [place.name for place in found] == ["dot_general", "relu", "reduce_max", "tanh"]
    assert found[0].where.startswith("test_backward_places.py:")


def test_of_integers_what_is_explained_starts_at_the_points():
    def fun(tokens):
        mask = (tokens > 0).astype(jnp.float32)
        return jnp.sum(jnp.tanh(jw.tag(jnp.asarray(W)[tokens], "embed")) * mask[:, None])

    assert kinds(fun, np.array([1, 0, 3])) == ["function"]  # the mask is constant
    assert kinds(lambda t: jnp.sum(jnp.sin(t.astype(jnp.float32))), np.array([1, 2])) == []  # there is no point


@pytest.mark.parametrize(
    ("fun", "is_one"),
    [
        (jax.nn.relu, True),
        (lambda x: jnp.maximum(jnp.zeros_like(x), x), True),
        (lambda x: jnp.where(x > 0, x, 0), True),
        (lambda x: x * (x > 0).astype(x.dtype), True),
        (lambda x: lax.select(x <= 0, jnp.zeros_like(x), x), True),
        (lambda x: jax.nn.relu(x.astype(jnp.bfloat16)), True),
        (jax.nn.relu6, True),  # the first half of it
        (jax.nn.leaky_relu, False),
        (lambda x: jnp.minimum(x, 0), False),
        (jnp.abs, False),
        (jax.nn.gelu, False),
        (lambda x: jnp.maximum(x, B), False),
    ],
)
def test_relus_are_told_by_what_they_compute(fun, is_one):
    first = next(place for place in found_in(fun, X) if place.kind == "function")
    assert is_relu(first) == is_one
    inside = jax.make_jaxpr(lambda x: jnp.float32(is_relu(first)) + x)(1.0)  # also while something is traced
    assert "max" not in str(inside)
