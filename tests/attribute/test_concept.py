"""Concepts: derivatives along a direction, vectors as of scikit-learn, the test as of SciPy, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from sklearn.linear_model import LogisticRegression

import jaxwalk as jw
from jaxwalk import attribute

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("float64")]

RANDOM = np.random.default_rng(0)
W, LAYERS = RANDOM.normal(size=(4, 6)), RANDOM.normal(size=(3, 6, 6)) / 2
X, V = RANDOM.normal(size=(5, 4)), RANDOM.normal(size=6)


def body(h, w):
    return jnp.tanh(h @ w)


def fun(x):
    h = jw.tag(jnp.tanh(x @ W), "h")
    h, _ = jax.lax.scan(lambda h, w: (jw.tag(body(h, w), "layer"), None), h, LAYERS)
    return jnp.sum(h**2)


def after(h, layers):
    for w in layers:
        h = body(h, w)
    return jnp.sum(h**2)


def test_it_is_the_derivative_along_the_vector_for_each_datum():
    found = jax.jit(jax.vmap(attribute.concept(fun, vectors={"h": V})))(X)
    assert list(found.scores) == ["h"]
    for x, scores, total in zip(X, found.scores["h"], found.totals["h"]):
        h = jnp.tanh(x @ W)
        slope, along = jax.grad(after)(h, LAYERS), jax.jvp(lambda h: after(h, LAYERS), (h,), (V,))[1]
        np.testing.assert_allclose(scores, slope * V, rtol=1e-9)
        np.testing.assert_allclose(total, along, rtol=1e-9)
    assert found.inputs is None
    assert found.gap is None


def test_in_a_scan_one_vector_is_for_all_steps_or_one_for_each():
    x = X[0]
    one = attribute.concept(fun, "layer", vectors=V)(x)
    each = attribute.concept(fun, "layer", vectors=np.stack([V, 2 * V, 3 * V]))(x)
    h = jnp.tanh(x @ W)
    for step, factor in enumerate((1, 2, 3)):
        h = body(h, LAYERS[step])
        by_hand = jax.grad(after)(h, LAYERS[step + 1 :]) * V
        np.testing.assert_allclose(one.scores["layer"][step], by_hand, rtol=1e-9)
        np.testing.assert_allclose(each.scores["layer"][step], factor * by_hand, rtol=1e-9)


def test_along_an_axis_a_vector_is_of_the_units_at_all_positions():
    image = RANDOM.normal(size=(2, 3, 5))
    square = lambda x: jnp.sum(jw.tag(x, "map") ** 2)
    for axis in (1, -2):
        found = attribute.concept(square, vectors={"map": V[:3]}, axis=axis)(image)
        np.testing.assert_allclose(found.scores["map"], 2 * image * V[:3][None, :, None])


@pytest.mark.parametrize("entries", [(6,), (2, 60)])
def test_the_vector_is_the_normal_of_a_logistic_regression(entries):
    positive, negative = RANDOM.normal(size=(30, *entries)) + 0.5, RANDOM.normal(size=(45, *entries)) * 2
    vector = jax.jit(attribute.concept_vector)(positive, negative)
    x = np.concatenate([positive, negative]).reshape(75, -1)
    size = np.sqrt(np.mean((x - x.mean(0)) ** 2))
    fitted = LogisticRegression(solver="newton-cg", tol=1e-12).fit(x / size, np.repeat([1, 0], [30, 45]))
    expected = fitted.coef_[0] / np.linalg.norm(fitted.coef_)
    np.testing.assert_allclose(vector, expected.reshape(entries), atol=1e-6)
    assert np.sum(vector * (positive.mean(0) - negative.mean(0))) > 0


def test_vectors_by_point_and_of_values_that_are_all_the_same():
    outputs = jax.vmap(jw.outputs(fun, "h"))
    found = attribute.concept_vector(outputs(X[:3])[1], outputs(X[3:])[1])
    assert list(found) == ["h"]
    assert attribute.concept(fun, vectors=found)(X[0]).totals["h"].shape == ()
    assert np.isnan(attribute.concept_vector(np.ones((3, 2)), np.ones((3, 2)))).all()


def named(x):
    return jw.Named({"h": x})


def test_the_test_is_that_of_welch():
    deltas, positive = RANDOM.normal(size=(50, 4)) + 1, RANDOM.normal(size=(20, 4)) + np.array([2, 1, 0, 0])
    random = RANDOM.normal(size=(6, 15, 4))
    found = jax.jit(attribute.concept_test)(named(deltas), named(positive), named(random))
    vectors = [attribute.concept_vector(positive, each) for each in random]
    others = [attribute.concept_vector(random[i], random[(i + 1) % 6]) for i in range(6)]
    np.testing.assert_allclose(found.scores["h"], [np.mean(deltas @ v > 0) for v in vectors])
    np.testing.assert_allclose(found.random_scores["h"], [np.mean(deltas @ v > 0) for v in others])
    expected = scipy.stats.ttest_ind(found.scores["h"], found.random_scores["h"], equal_var=False).pvalue
    np.testing.assert_allclose(found.p["h"], expected, rtol=1e-9)
    assert repr(found).startswith("concept_test at 1 point: mean and standard deviation of scores\n  point  ")


def test_no_number_is_made_up_where_there_is_no_test():
    positive, random = RANDOM.normal(size=(5, 2)), RANDOM.normal(size=(3, 5, 2))
    found = attribute.concept_test(named(np.zeros((4, 2))), named(positive), named(random))
    assert np.isnan(found.p["h"])
    assert "p is NaN where neither kind of score varies" in repr(found)
    broken = attribute.concept_test(named(np.full((4, 2), np.nan)), named(positive), named(random))
    assert np.isnan(broken.scores["h"]).all()


FIVE = np.ones((5, 6))


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (lambda: attribute.concept(fun, vectors={}), "`vectors` has no vector; give one by point name"),
        (lambda: attribute.concept(fun, vectors=V, axis=0.5), "`axis` is 0.5; it must be the number of an axis"),
        (lambda: attribute.concept(fun, "h", vectors=V, axis=1)(X[0]), "`axis` is 1, and `h` has the shape (6,)"),
        (
            lambda: attribute.concept(fun, "h", vectors=V[:3])(X[0]),
            "`vectors` has for `h` an array of shape (3,); there it has the shape (6,)",
        ),
        (
            lambda: attribute.concept(fun, "layer", vectors=V[:3])(X[0]),
            "the shape (6,), or with the steps of its loops (3, 6)",
        ),
        (
            lambda: attribute.concept(fun, vectors={"h": "a"})(X[0]),
            "`vectors` has for `h` 'a', which is no array of numbers; give one, as `concept_vector` finds it.",
        ),
        (
            lambda: attribute.concept_vector(np.array(["a"]), np.array(["b"])),
            "`positive` has an array of shape (1,), which is no array of numbers; give values in examples.",
        ),
        (lambda: attribute.concept(fun, "h", vectors=V * 1j)(X[0]), "is complex for `h`, which is real"),
        (
            lambda: attribute.concept(fun, "layer", vectors={"h": V})(X[0]),
            "`vectors` has none for `layer`, which `at` chooses",
        ),
        (lambda: attribute.concept(fun, vectors={"hh": V})(X[0]), "`at='hh'` matches no point. Near it: `h`."),
        (lambda: attribute.concept_vector(FIVE, FIVE, penalty=0), "`penalty` is 0; it must be a number above 0."),
        (lambda: attribute.concept_vector(FIVE, [FIVE]), "`positive` has the structure PyTreeDef(*), and `negative`"),
        (lambda: attribute.concept_vector(FIVE, FIVE[:, :2]), "`positive` has values of shape (6,), and `negative`"),
        (lambda: attribute.concept_vector(FIVE[:0], FIVE), "`positive` has an array of shape (0, 6); it must have"),
        (lambda: attribute.concept_vector(FIVE, FIVE.astype(int)), "`negative` has an array of int64; give real"),
        (lambda: attribute.concept_test(FIVE, {}, {}), "`deltas` is an array of shape (5, 6); it must be values by"),
        (
            lambda: attribute.concept_test({"a": FIVE}, {"h": FIVE}, {"h": FIVE[None]}),
            "`deltas` has no δ at `h`, of which `positive` has values",
        ),
        (
            lambda: attribute.concept_test({"h": FIVE}, {"h": FIVE}, {"h": np.stack([FIVE] * 2)}),
            "`random` has 2 sets at `h`; give at least 3",
        ),
        (
            lambda: attribute.concept_test({"h": FIVE}, {"h": FIVE}, {"h": FIVE}),
            "`positive` has values of shape (6,), and `random`, after the axes of sets and of examples, ()",
        ),
    ],
)
def test_refused(of, said):
    with pytest.raises(jw.JaxwalkError) as caught:
        of()
    assert said in str(caught.value)
