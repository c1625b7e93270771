"""Faithfulness against interventions by hand, correlations as of SciPy, samples, loops, and what is refused."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import jaxwalk as jw
from jaxwalk import attribute
from jaxwalk.attribute._truth.correlation import pearson, spearman

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("float64")]

RANDOM = np.random.default_rng(0)
W, LAYERS, LAST = RANDOM.normal(size=(4, 6)), RANDOM.normal(size=(3, 6, 6)) / 2, RANDOM.normal(size=6)
X, OTHER = RANDOM.normal(size=4), RANDOM.normal(size=4)


def fun(x):
    h = jw.tag(jnp.tanh(x @ W), "h")
    h, _ = jax.lax.scan(lambda h, w: (jw.tag(jnp.tanh(h @ w + 0.3), "layer"), None), h, LAYERS)
    return jnp.sum(jw.tag(h * LAST, "out"))


def without(x, h=None, layer=(), out=False):
    """Return the result with what is named at zero: the unit of h, the steps of the layer, the end."""
    value = np.tanh(x @ W)
    if h is not None:
        value[h] = 0
    for step, w in enumerate(LAYERS):
        value = np.tanh(value @ w + 0.3) * (step not in layer)
    return 0.0 if out else value @ LAST


def test_all_points_and_steps_of_loops_one_at_a_time():
    found = attribute.gradient_times_output(fun)(X)
    result = jax.jit(lambda a: attribute.faithfulness(a, fun, batch_size=2)(X))(found)
    assert result.where == (("h", ()), ("layer", (0,)), ("layer", (1,)), ("layer", (2,)), ("out", ()))
    whole = without(X)
    lost = [whole - without(X, h=range(6)), *(whole - without(X, layer=[i]) for i in range(3)), whole]
    scores = [found.totals["h"], *found.scores["layer"].sum(-1), found.totals["out"]]
    np.testing.assert_allclose(result.changes, lost, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(result.scores, scores, rtol=1e-9)
    by_intervening = fun(X) - jw.intervene(fun, {"layer[1]": lambda v: 0 * v})(X)
    np.testing.assert_allclose(result.changes[2], by_intervening, rtol=1e-9)
    np.testing.assert_allclose(result.pearson, scipy.stats.pearsonr(scores, lost)[0], rtol=1e-9)
    np.testing.assert_allclose(result.spearman, scipy.stats.spearmanr(scores, lost)[0], rtol=1e-9)
    shown = repr(result)
    assert shown.startswith("faithfulness of gradient_times_output at points, 5 values: Pearson ")
    assert "layer  [2]" in shown


def test_entries_and_units_of_a_point():
    found = attribute.saliency(fun)(X)
    entries = jax.jit(lambda a: attribute.faithfulness(a, fun, at="h", absolute=True)(X))(found)
    lost = [without(X) - without(X, h=i) for i in range(6)]
    np.testing.assert_allclose(entries.changes, lost, rtol=1e-9, atol=1e-12)
    expected = scipy.stats.pearsonr(found.scores["h"], np.abs(lost))[0]
    np.testing.assert_allclose(entries.pearson, expected, rtol=1e-9)
    image, weights = RANDOM.normal(size=(2, 3, 2)), RANDOM.normal(size=(3,))
    linear = lambda x: jnp.sum(jw.tag(x, "map") * weights[None, :, None])
    product = attribute.gradient_times_output(linear)(image)
    channels = attribute.faithfulness(product, linear, at="map", axis=-2)(image)
    assert channels.where == tuple(("map", (i,)) for i in range(3))
    np.testing.assert_allclose(channels.changes, (image * weights[None, :, None]).sum((0, 2)))
    np.testing.assert_allclose([channels.pearson, channels.spearman], 1)


def test_patching_is_compared_with_the_values_of_the_other_run():
    linear = lambda x: jnp.sum(jw.tag(jnp.tanh(x @ W), "h") * LAST)
    found = attribute.patching(linear, other=OTHER)(X)
    result = attribute.faithfulness(found, linear, at="h", to=jw.outputs(linear)(OTHER)[1])(X)
    np.testing.assert_allclose(result.changes, (np.tanh(OTHER @ W) - np.tanh(X @ W)) * LAST, rtol=1e-9)
    np.testing.assert_allclose(result.scores, result.changes, rtol=1e-9)
    mean = attribute.faithfulness(found, linear, at="h", to=lambda v: jnp.full_like(v, v.mean()), samples=4, seed=1)(X)
    assert mean.among == 6
    assert len(set(mean.where)) == 4
    h = np.tanh(X @ W)
    chosen = [index[0] for _, index in mean.where]
    np.testing.assert_allclose(mean.changes, ((h.mean() - h) * LAST)[chosen], rtol=1e-9)
    assert repr(mean).startswith("faithfulness of patching at h, 4 drawn from 6 units")


def test_a_batch_is_mapped_and_integers_may_go_in():
    table = RANDOM.normal(size=(7, 4))
    score = lambda tokens: fun(jw.tag(jnp.asarray(table)[tokens], "embed").sum(0))
    tokens = np.array([[1, 2], [3, 4]])
    found = jax.vmap(attribute.gradient_times_output(score))(tokens)
    result = jax.jit(jax.vmap(lambda a, t: attribute.faithfulness(a, score, at="embed", axis=0)(t)))(found, tokens)
    expected = [[score(t) - without(table[t[1 - i]]) for i in range(2)] for t in tokens]
    np.testing.assert_allclose(result.changes, expected, rtol=1e-9)
    assert "faithfulness of gradient_times_output at embed, 2 units" in repr(result)


def test_without_a_correlation_none_is_made_up():
    flat = lambda x: jnp.sum(jw.tag(x, "x") * 0.1)
    found = attribute.saliency(flat)(X)
    result = attribute.faithfulness(found, flat, at="x")(X)
    assert np.isnan([result.pearson, result.spearman]).all()
    assert "There is no correlation: the scores are all the same." in repr(result)
    broken = dataclasses.replace(found, scores=jax.tree.map(lambda a: a * np.nan, found.scores))
    assert "There is no correlation: of the scores 4 are NaN or Inf." in repr(
        attribute.faithfulness(broken, flat, at="x")(X)
    )


@pytest.mark.parametrize("of", [pearson, spearman])
def test_correlations(of):
    oracle = {pearson: scipy.stats.pearsonr, spearman: scipy.stats.spearmanr}[of]
    a, b = np.array([1.0, 2, 2, 5, 2, -1e200]), np.array([3.0, 3, 1, 4, 1, -1e180])
    for x, y in ((a, b), (a[:-1], b[:-1]), (1e-200 * a[:-1], b[:-1])):
        scale = np.abs(x).max(), np.abs(y).max()
        np.testing.assert_allclose(of(x, y), oracle(x / scale[0], y / scale[1])[0], rtol=1e-9)
    for x in (np.full(6, 0.1), np.where(a > 4, np.nan, a)):
        assert np.isnan(of(x, b))
        assert np.isnan(of(b, x))
    assert np.isnan(of(a[:1], b[:1]))
    infinite = of(np.where(a > 4, np.inf, a), b)
    assert np.isnan(infinite) if of is pearson else np.isfinite(infinite)


FOUND = lambda: attribute.saliency(fun)(X)


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (lambda: attribute.faithfulness(fun, X), "; give the `Attribution` that a method of `jw.attribute` returned."),
        (lambda: attribute.faithfulness(FOUND(), fun, samples=0), "`samples` is 0; it must be an integer"),
        (lambda: attribute.faithfulness(FOUND(), fun, at=["h"]), "`at` is ['h']; it must be the name of one point"),
        (lambda: attribute.faithfulness(FOUND(), fun, axis=0), "`axis` is 0; it must be the number of an axis of the"),
        (lambda: attribute.faithfulness(FOUND(), fun, at="h", axis=1)(X), "`axis` is 1, and `h` has the shape (6,)"),
        (lambda: attribute.faithfulness(FOUND(), fun, seed=-1), "`seed` is -1; it must be an integer of at least 0."),
        (
            lambda: attribute.faithfulness(FOUND(), fun, at="*")(X),
            "`at` is '*', which is `h`, `layer`, `out`; give the name of one point.",
        ),
        (
            lambda: attribute.faithfulness(FOUND(), fun, at="h", to="mean")(X),
            "`to` has 'mean', which is no array, where the value at `h` is one; give one of its shape.",
        ),
        (lambda: attribute.faithfulness(FOUND(), fun, to={"h": LAST})(X), "`to` has no value for `layer`; give one"),
        (
            lambda: attribute.faithfulness(FOUND(), fun, at="h", to={"h": LAST[:2]})(X),
            "`to` has an array of shape (2,), and the value at `h` (6,)",
        ),
        (
            lambda: attribute.faithfulness(jax.vmap(attribute.saliency(fun))(X[None]), fun)(X),
            "`attribution` has scores of shape (1, 6) at `h`, where the value has (6,)",
        ),
        (
            lambda: attribute.faithfulness(attribute.integrated_gradients(fun)(X), fun)(X),
            "There are no scores at `h`, `layer`, `out`. Integrated gradients along the path of the inputs",
        ),
    ],
)
def test_refused(of, said):
    with pytest.raises(jw.JaxwalkError) as caught:
        of()
    assert said in str(caught.value)


def test_patching_is_compared_with_the_run_that_it_is_of():
    found = attribute.patching(fun, other=OTHER)(X)
    with pytest.raises(jw.ArgumentError, match="is of `patching`, whose scores are of the values of another run; give"):
        attribute.faithfulness(found, fun)
