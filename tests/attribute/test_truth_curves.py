"""Deletion and insertion: closed forms of linear functions, points in loops, and what is refused."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk import attribute

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("float64")]

W = np.array([1.0, -2.0, 4.0, 3.0])
X = np.ones(4)


def fun(x):
    return jnp.sum(jw.tag(x * W, "product"))


def test_a_linear_function_loses_its_terms_from_the_largest():
    found = attribute.gradient_times_output(fun)(X)
    for at in (None, "product"):
        out = jax.jit(attribute.deletion(found, fun, at=at))(X)
        back = attribute.insertion(found, fun, at=at, batch_size=2)(X)
        np.testing.assert_allclose(out.fractions, [0, 0.25, 0.5, 0.75, 1])
        np.testing.assert_allclose(out.values, [6, 2, -1, -2, 0])
        np.testing.assert_allclose(back.values, [0, 4, 7, 8, 6])
        np.testing.assert_allclose(out.area, 0.25 * (3 + 2 - 1 - 2 + 0))
        np.testing.assert_allclose(back.area, 0.25 * (0 + 4 + 7 + 8 + 3))
    assert repr(out).startswith("deletion of product by gradient_times_output: area 0.5\n")
    assert "fraction  result" in repr(out)


def test_the_baseline_may_be_a_function_and_the_steps_few():
    found = attribute.gradient_times_output(fun)(X)
    out = attribute.deletion(found, fun, baseline=lambda x: x / 2, steps=2)(X)
    np.testing.assert_allclose(out.fractions, [0, 0.5, 1])
    np.testing.assert_allclose(out.values, [6, 6 - 3.5, 3])


def test_all_arrays_of_the_inputs_have_one_order_and_equal_scores_keep_theirs():
    two = lambda w, x: jnp.sum(w["a"] * X) + jw.tag(jnp.sum(x), "x")
    args = {"a": np.array([1.0, 5.0, 1.0, 0.0])}, np.array([3.0, 1.0])
    found = attribute.gradient_times_output(two, argnums=(0, 1))(*args)
    out = attribute.deletion(found, two, argnums=(0, 1))(*args)
    np.testing.assert_allclose(out.values, [11, 6, 3, 2, 1, 0, 0])
    first = lambda x: jnp.sum(jw.tag(x, "x") * np.array([0.0, 1.0]))
    tied = dataclasses.replace(attribute.saliency(first)(X[:2]), inputs=np.ones(2))
    np.testing.assert_allclose(attribute.deletion(tied, first)(X[:2]).values, [1, 1, 0])


def test_channels_go_together_and_a_map_has_none():
    image = np.arange(8.0).reshape(2, 2, 2)
    whole = lambda x: jnp.sum(jw.tag(x, "map")[..., 0] ** 2)
    sums = image[..., 0] ** 2  # 0, 4, 16, 36
    product = attribute.gradient_times_output(whole)(image)
    cam = attribute.grad_cam(whole)(image)
    for found, at in ((product, None), (product, "map"), (cam, "map")):
        out = attribute.deletion(found, whole, at=at, channel=-1)(image)
        np.testing.assert_allclose(out.values, [sums.sum(), 20, 4, 0, 0])


def test_steps_of_a_loop_are_entries_too_and_others_are_computed_anew():
    def deep(x):
        return jnp.sum(jax.lax.scan(lambda h, w: (jw.tag(h * w, "h"), None), x, W)[0])

    x = np.array([1.0, 2.0])
    found = attribute.gradient_times_output(deep)(x)
    out = attribute.deletion(found, deep, at="h")(x)

    def by_hand(gone):
        h = x
        for step, w in enumerate(W):
            h = np.where(gone[step], 0, h * w)
        return h.sum()

    scores = np.asarray(found.scores["h"])
    order = np.argsort(-scores.ravel(), kind="stable")
    gone = np.zeros(8, bool)
    expected = [by_hand(gone.reshape(4, 2))]
    for i in order:
        gone[i] = True
        expected.append(by_hand(gone.reshape(4, 2)))
    np.testing.assert_allclose(out.values, expected)


def test_of_patching_the_lowest_go_first_and_a_batch_is_mapped():
    other = np.zeros((2, 4))
    batch = np.stack([X, 2 * X])
    found = jax.vmap(lambda x, o: attribute.patching(fun, other=o)(x))(batch, other)
    out = jax.vmap(lambda a, x: attribute.deletion(a, fun, at="product")(x))(found, batch)
    np.testing.assert_allclose(out.values, np.outer([1, 2], [6, 2, -1, -2, 0]))
    assert "deletion of product by patching" in repr(out)


def test_without_an_order_there_is_no_curve():
    broken = dataclasses.replace(FOUND(), inputs=np.array([1.0, np.nan, 2.0, 3.0]))
    out = attribute.deletion(broken, fun)(X)
    assert np.isnan(out.values).all()
    assert "NaN: a score is NaN, so that there is no order" in repr(out)


FOUND = lambda: attribute.saliency(fun)(X)
two_points = lambda x: jnp.sum(jw.tag(2 * jw.tag(x + 1, "a"), "b"))
TOKENS = lambda t: jnp.sum(jw.tag(jnp.arange(4.0)[t], "embed"))


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (lambda: attribute.deletion(X, fun), "`attribution` is an array of shape (4,); give the `Attribution` that a"),
        (lambda: attribute.deletion(FOUND(), fun, steps=0), "`steps` is 0; it must be an integer of at least 1."),
        (lambda: attribute.deletion(FOUND(), fun, batch_size=0), "`batch_size` is 0; it must be an integer"),
        (lambda: attribute.deletion(FOUND(), fun, at=["product"]), "`at` is ['product']; it must be the name of one"),
        (lambda: attribute.deletion(FOUND(), fun, channel="c"), "`channel` is 'c'; it must be the number of an axis"),
        (lambda: attribute.deletion(FOUND(), fun, channel=1)(X), "`channel` is 1, and an argument has the shape (4,)"),
        (lambda: attribute.deletion(FOUND(), fun, at="p")(X), "`at='p'` matches no point."),
        (lambda: attribute.deletion(FOUND(), fun, X), "`jw.attribute.deletion` was given 3 positional arguments"),
        (lambda: attribute.deletion(FOUND(), jnp.sum)(X[:2]), "has scores of inputs of the shapes [(4,)], and the"),
        (
            lambda: attribute.deletion(jax.vmap(attribute.saliency(fun))(X[None]), fun, at="product")(X),
            "`attribution` has scores of shape (1, 4) at `product`, where the value has (4,)",
        ),
        (
            lambda: attribute.deletion(FOUND(), lambda x: x)(X),
            "For `deletion`, `fun` must return a real scalar, and it returns an array of shape (4,)",
        ),
        (
            lambda: attribute.deletion(attribute.saliency(two_points)(X), two_points, at="*")(X),
            "`at` is '*', which is `a`, `b`; give the name of one point.",
        ),
        (lambda: attribute.insertion(FOUND(), fun, baseline=X[:2])(X), "`baseline` has an array of shape (2,)"),
        (
            lambda: attribute.insertion(FOUND(), fun, at="product", baseline=X[:2])(X),
            "`baseline` has an array of shape (2,), and the value at `product` (4,); give that shape",
        ),
        (
            lambda: attribute.deletion(attribute.saliency(TOKENS)(np.array([1, 2])), TOKENS)(np.array([1, 2])),
            "`attribution` has no scores of the inputs, which are of integers, or of which `saliency` has none",
        ),
        (
            lambda: attribute.deletion(attribute.integrated_gradients(fun)(X), fun, at="product")(X),
            "There are no scores at `product`. Integrated gradients along the path of the inputs",
        ),
    ],
)
def test_refused(of, said):
    with pytest.raises(jw.JaxwalkError) as caught:
        of()
    assert said in str(caught.value)
