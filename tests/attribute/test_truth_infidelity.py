"""Infidelity against its definition in NumPy, closed forms, points in loops, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk import attribute

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("float64")]

RANDOM = np.random.default_rng(0)
W1, W2 = RANDOM.normal(size=(4, 3)), RANDOM.normal(size=3)
X, B = RANDOM.normal(size=4), RANDOM.normal(size=4)
KEY = jax.random.key(0)


def first(x):
    return jnp.tanh(x @ W1)


def last(h):
    return jnp.sum(h**3 * W2)


def fun(x):
    return last(jw.tag(first(x), "h"))


def noise(key, value):
    return 0.3 * jax.random.normal(key, value.shape)


def moves_of(samples, shape):
    return np.stack([noise(jax.random.split(key, 1)[0], np.zeros(shape)) for key in jax.random.split(KEY, samples)])


def defined(slopes, of, x, moves, scaled=False):
    """Return what Yeh et al. define: E[(Iᵀ Φ − (f(x) − f(x − I)))²], Φ perhaps scaled as it fits best."""
    said, real = moves @ slopes, np.array([of(x) - of(x - move) for move in moves])
    scale = np.sum(said * real) / np.sum(said**2) if scaled else 1
    return np.mean((scale * said - real) ** 2)


SLOPES = attribute.internal_influence(fun, baseline=B, steps=5)
KINDS = [
    (SLOPES, lambda x, b: 1, False),
    (SLOPES, lambda x, b: 1, True),
    (attribute.gradient_times_output(fun), lambda x, b: x, False),
    (attribute.conductance(fun, baseline=B, steps=5), lambda x, b: x - b, False),
    (attribute.patching(fun, other=B), lambda x, b: b - x, False),
]


@pytest.mark.parametrize(("explain", "way", "scaled"), KINDS)
def test_it_is_the_definition(explain, way, scaled):
    """Slopes as they are; of δ·y, each score is divided by y; of a baseline's, by the way from there."""
    options = {"key": KEY, "samples": 7, "perturb": noise, "scaled": scaled, "batch_size": 3}

    @jax.jit
    def both(x):
        found = explain(x)
        return found, attribute.infidelity(found, fun, baseline=B, **options)(x)

    found, measure = both(X)
    slopes, h = np.asarray(found.inputs) / way(X, B), first(X)
    inputs = defined(slopes, lambda x: last(first(x)), X, moves_of(7, 4), scaled)
    at_point = defined(np.asarray(found.scores["h"]) / way(h, first(B)), last, h, moves_of(7, 3), scaled)
    np.testing.assert_allclose(measure.inputs, inputs, rtol=1e-9)
    np.testing.assert_allclose(measure.by_point["h"], at_point, rtol=1e-9)


def test_of_a_linear_function_it_is_zero_at_all_points_and_steps():
    def linear(x):
        return jnp.sum(jax.lax.scan(lambda h, w: (jw.tag(h * w, "layer"), None), jw.tag(3 * x, "h"), W2)[0])

    found = attribute.gradient_times_output(linear)(X)
    slopes = attribute.internal_influence(linear, steps=1, rule="left")(X)
    for each in (found, slopes):
        measure = jax.jit(lambda a: attribute.infidelity(a, linear, key=KEY, samples=20)(X))(each)
        assert measure.inputs < 1e-25
        assert measure.by_point["h"] < 1e-25
    little = lambda key, value: 1e-4 * value  # of steps that move together, the scores are to first order
    layer = jax.jit(lambda a: attribute.infidelity(a, linear, at="layer", key=KEY, samples=1, perturb=little)(X))(
        slopes
    )

    def by_hand(x, moves):
        h = 3 * x
        for w, move in zip(W2, moves):
            h = h * w - move
        return h.sum()

    steps = np.cumprod(np.concatenate([[1], W2]))[1:, None] * 3 * X
    real = by_hand(X, 0 * steps) - by_hand(X, 1e-4 * steps)
    said = np.sum(1e-4 * steps * np.asarray(slopes.scores["layer"]))
    np.testing.assert_allclose(layer.by_point["layer"], (said - real) ** 2, atol=1e-22)


def test_subsets_of_a_product_in_closed_form():
    """Of x·y each score is xy: it is wrong by that where both go to zero, one time in four; scaled, by 2/3 of it."""
    product = lambda x: jnp.prod(jw.tag(x, "x"))
    found = attribute.gradient_times_output(product)(X[:2])
    square = np.prod(X[:2]) ** 2
    for scaled, part in ((False, 1 / 4), (True, 1 / 12)):
        options = {"key": KEY, "samples": 4000, "scaled": scaled, "batch_size": 4000}
        measure = jax.jit(lambda a: attribute.infidelity(a, product, **options)(X[:2]))(found)  # noqa: B023
        np.testing.assert_allclose(measure.inputs, square * part, rtol=0.1)
        np.testing.assert_allclose(measure.by_point["x"], square * part, rtol=0.1)


def test_where_nothing_moves_there_is_no_number():
    still = lambda x: jnp.sum(jw.tag(0 * x, "zero") + x)
    found = jax.vmap(attribute.gradient_times_output(still))(X[None])
    measured = jax.jit(jax.vmap(lambda a, x: attribute.infidelity(a, still, key=KEY, samples=2)(x)))(found, X[None])
    assert measured.inputs.shape == (1,)
    measure = jax.tree.map(lambda a: a[0], measured)
    assert np.isnan(measure.by_point["zero"])
    assert measure.inputs < 1e-25
    assert "NaN: no sample moved anything there" in repr(measure)


FOUND = lambda: attribute.saliency(fun)(X)


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (lambda: attribute.infidelity(1, fun, key=KEY), "`attribution` is 1; give the `Attribution` that a"),
        (lambda: attribute.infidelity(FOUND(), fun, key=1), "`key` is 1; give one of `jax.random.key`."),
        (lambda: attribute.infidelity(FOUND(), fun, key=KEY, samples=0), "`samples` is 0; it must be an integer"),
        (lambda: attribute.infidelity(FOUND(), fun, key=KEY, perturb=0.1), "`perturb` is 0.1; it must be a function"),
        (
            lambda: attribute.infidelity(FOUND(), fun, key=KEY, scores="size"),
            "`scores` is 'size'; it is one of 'slope'",
        ),
        (
            lambda: attribute.infidelity(attribute.concept(fun, vectors={"h": W2})(X), fun, key=KEY),
            "`attribution` is of `concept`, whose scores are not known to be of one entry and one move",
        ),
        (
            lambda: attribute.infidelity(FOUND(), fun, key=KEY, perturb=lambda key, value: value[:1])(X),
            "`perturb` returned shape (1,) for an array of shape (4,)",
        ),
        (
            lambda: attribute.infidelity(FOUND(), fun, key=KEY, perturb=lambda key, value: 1j * value)(X),
            "`perturb` returned complex128 for an array of float64, which moves along the real line alone; return real",
        ),
        (
            lambda: attribute.infidelity(FOUND(), fun, key=KEY, perturb=lambda key, value: None)(X),
            "`perturb` returned None, which is no array of numbers; return a move for each entry.",
        ),
        (
            lambda: attribute.infidelity(FOUND(), fun, key=KEY, perturb=lambda value: value),
            "`perturb` must take (key, value), and what it takes is (value)",
        ),
        (
            lambda: attribute.infidelity(FOUND(), lambda x: last(jw.tag(first(x), "hidden")), key=KEY)(X),
            "`attribution` has scores at `h`, and `fun` has no such point; give the function that it is of",
        ),
    ],
)
def test_refused(of, said):
    with pytest.raises(jw.JaxwalkError) as caught:
        of()
    assert said in str(caught.value)


def test_what_at_names_moves_alone():
    """A move that fits the value at a point, and not the inputs, is asked of no other."""
    found = attribute.gradient_times_output(fun)(X)
    moves, shapes = RANDOM.normal(size=3), []

    def perturb(key, value):
        shapes.append(value.shape)
        return jnp.asarray(moves)

    at_h = attribute.infidelity(found, fun, at="h", key=KEY, samples=2, perturb=perturb)(X)
    assert (at_h.inputs, set(shapes)) == (None, {(3,)})
    h = first(X)
    slopes = found.scores["h"] / h
    np.testing.assert_allclose(at_h.by_point["h"], (slopes @ moves - (last(h) - last(h - moves))) ** 2)
    assert attribute.infidelity(found, fun, key=KEY, samples=2)(X).inputs is not None


def test_a_forgotten_baseline_is_told():
    square = lambda x: jnp.sum(jw.tag(x**2, "square"))
    x = jnp.array([1.0, 2.0])
    found = attribute.conductance(square, baseline=x / 2)(x)
    with pytest.raises(jw.ArgumentError, match=r"is of a change of the result by 3\.75, and here it is 5; give"):
        attribute.infidelity(found, square, key=jax.random.key(0))(x)
