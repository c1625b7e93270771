"""Edges as a picture: a row for each writer, a column for each reader, and blank where there is no edge."""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb

import jaxwalk as jw

pytestmark = pytest.mark.once


def fun(x):
    for name in ("first", "second", "third"):
        x = x + jw.tag(jnp.sin(jw.tag(x, f"{name}/in")), name)
    return jnp.sum(jw.tag(x, "last") ** 2)


OPTIONS = {"writers": ["first", "second", "third"], "readers": ["*/in", "last"], "other": jnp.ones(3)}
X = jnp.array([0.1, 0.2, 0.3])


@pytest.fixture(scope="module")
def edges():
    return jax.jit(jw.attribute.edges(fun, **OPTIONS))(X)


def named(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def test_a_cell_for_each_edge_on_a_scale_around_zero(edges):
    ax = jw.plot.attribution(edges)
    assert (named(ax.yaxis), named(ax.xaxis)) == (list(edges.writers), list(edges.readers))
    (image,) = ax.images
    drawn, matrix = image.get_array(), np.asarray(edges.matrix(), np.float64)
    np.testing.assert_array_equal(np.ma.getmaskarray(drawn), np.isnan(matrix))
    np.testing.assert_allclose(drawn.compressed(), matrix[np.isfinite(matrix)], rtol=1e-6)
    low, high = image.get_clim()
    assert low == -high == -np.nanmax(np.abs(matrix))
    assert ax.get_title(loc="left") == f"6 edges, result {edges.value:.4g}".replace("-", "−")
    assert ax.get_xlabel() == "who reads\nblank: no edge"
    assert len(ax.texts) == 6


def test_a_dark_figure_and_axes_of_ones_own(edges):
    with plt.style.context("dark_background"):
        _, own = plt.subplots()
        assert jw.plot.attribution(edges, ax=own) is own
        assert sum(to_rgb(own.get_facecolor())) < 0.5


def test_of_many_data_the_mean_or_one():
    many = jax.vmap(jw.attribute.edges(fun, **OPTIONS))(jnp.stack([X, 2 * X]))
    for datum, numbers in ((None, many._scores.mean(0)), (1, many._scores[1])):
        ax = jw.plot.attribution(many, datum=datum)
        np.testing.assert_allclose(ax.images[0].get_array().compressed()[0], numbers[0, 0], rtol=1e-5)
    assert jw.plot.attribution(many).get_title(loc="left") == "6 edges, mean over 2 data"


def test_an_edge_that_is_nan_is_counted_and_not_blank():
    broken = lambda x: jnp.sqrt(-jnp.abs(fun(x)))
    found = jw.attribute.edges(broken, **OPTIONS)(X)
    ax = jw.plot.attribution(found)
    assert ax.get_title(loc="right").startswith("6 NaN") or "6 NaN" in ax.get_xlabel()
    assert len(ax.images) == 2  # the second has the colour of what is not finite


def test_names_are_thinned_where_there_is_no_room(edges):
    _, ax = plt.subplots(figsize=(0.3, 0.3))
    jw.plot.attribution(edges, ax=ax)
    assert "reader is named" in " ".join(ax.get_xlabel().split())
    assert len(ax.get_xticks()) < len(edges.readers)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"at": "first"}, "`at` is for an `Attribution`, and what is drawn is edges; leave it out."),
        ({"over": np.ones((3, 3))}, "`over` is for an `Attribution`, and what is drawn is edges"),
        ({"datum": 1}, "`datum` is 1, but the edges are of one datum; leave it out."),
    ],
)
def test_refused(edges, options, said):
    with pytest.raises(jw.ArgumentError) as caught:
        jw.plot.attribution(edges, **options)
    assert said in str(caught.value)


def test_what_is_traced_has_no_numbers():
    with pytest.raises(jw.ArgumentError, match="The edges are being traced, and have no numbers to draw"):
        jax.jit(lambda x: jw.plot.attribution(jw.attribute.edges(fun, **OPTIONS)(x)))(X)
