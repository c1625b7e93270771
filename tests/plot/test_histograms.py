"""The distributions drawn: their bins against NumPy, zeros and NaNs in numbers, and what the words say is left out."""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk.plot._rows.decades import SAMPLE, counts_of, scale_of

pytestmark = pytest.mark.once


def test_counts_are_those_of_numpy():
    values = np.concatenate([np.random.default_rng(0).normal(size=1000) ** 3, np.zeros(50), [np.nan, np.inf, -np.inf]])
    counts = counts_of(values)
    assert (counts.zeros, counts.nonfinite, counts.every) == (50 / 1053, 3, 1)
    scale = scale_of([counts])
    edges = scale.edges()
    assert np.all(np.diff(edges) > 0)
    assert not scale.below
    for shares, side in zip(scale.shares(counts), (-values, values), strict=True):
        expected = np.histogram(side[side > 0], edges)[0]
        np.testing.assert_allclose(shares * expected.max(), expected * shares.max())
    assert scale.shares(counts).max() == 1


def test_a_large_array_is_counted_in_part_and_its_zeros_whole():
    values = np.ones(2 * SAMPLE + 1)
    values[1] = 0
    counts = counts_of(values)
    assert counts.every == 3
    assert counts.zeros == pytest.approx(1 / values.size)


def test_extremes_stay_on_the_scale():
    counts = counts_of(np.array([5e-324, 1e308, -1.0]))
    scale = scale_of([counts])
    assert scale.below
    assert scale.shares(counts).sum() == 3
    assert scale.shares(counts)[1, 0] == 1
    assert scale_of([counts_of(np.zeros(3))]).shares(counts_of(np.zeros(3))).max() == 0


def fun(x):
    jw.tag(x > 0, "mask")
    jw.tag(jax.random.key(0), "key")
    empty = jw.tag(x[:0], "empty")
    root = jw.tag(jnp.sqrt(x), "$root_1$")
    scan = jax.lax.scan(lambda c, _: (jw.tag(c + 1, "count"), None), 0.0, length=3)[0]
    return (
        jnp.sum(jw.tag(jax.nn.relu(root), "relu"))
        + jnp.sum(empty)
        + jnp.abs(jw.tag(x[0].astype(jnp.complex64), "complex"))
        + scan
    )


def names(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


def test_rows_are_the_points_with_what_no_bin_holds_in_numbers():
    ax = jw.plot.histograms(jw.walk(fun)(jnp.array([4.0, 0.0, -1.0, 0.0])))
    assert ax.get_title(loc="left") == "Distributions at 6 of 7 points"
    assert ax.get_xscale() == "symlog"
    assert names(ax) == ["mask", "empty", "$root_1$", "count", "relu", "complex"]
    written = {(text.get_text(), round(text.xy[1], 1)) for text in ax.texts}
    assert {("output\nzero", 6), ("75 %", 0.5), ("50 %", 2.5), ("output\nNaN, Inf", 6), ("1", 2.5)} <= written
    note = ax.texts[-1].get_text().replace("\n", " ")
    assert "each distribution is as high as its fullest bin" in note
    assert "All steps of a loop are taken together." in note
    assert "Without numbers: `key`. Without entries: `empty`." in note


def test_output_stands_above_the_line_of_its_row_and_delta_below():
    ax = jw.plot.histograms(jw.walk(lambda x: -3 * jnp.sum(jw.tag(x, "x")))(jnp.array([20.0, 40.0])))
    output, delta = ({*map(tuple, c.get_paths()[0].vertices.round(3))} for c in ax.collections)
    assert min(x for x, _ in output) > 0 > max(x for x, _ in delta)
    assert max(y for _, y in output) == 0.5 == min(y for _, y in delta)
    assert (ax.get_ylim()[0], ax.get_xlim()[0]) == (1, -100)


def test_of_many_points_evenly_chosen_ones_are_drawn():
    def many(x):
        for i in range(70):
            x = jw.tag(1.1 * x, f"n{i}")
        return jnp.sum(x)

    walk = jw.walk(many)(jnp.ones(2))
    ax = jw.plot.histograms(walk)
    assert ax.get_title(loc="left").replace("\n", " ") == (
        "Distributions at 60 of 70 points, evenly chosen; choose others by `at`"
    )
    assert (len(names(ax)), names(ax)[0], names(ax)[-1]) == (60, "n0", "n69")
    assert jw.plot.histograms(walk, "n1*").get_title(loc="left") == "Distributions at 11 of 70 points"
    assert len(names(jw.plot.histograms(walk, ax=plt.figure(figsize=(5, 2)).subplots()))) < 20


def test_what_is_refused():
    walk = jw.walk(fun)
    with pytest.raises(
        jw.ArgumentError, match=r"`walk` is 3, which is no `Walk`; give what `jw\.walk\(fun\)\(\.\.\.\)` ret"
    ):
        jw.plot.histograms(3)
    with pytest.raises(
        jw.PointError, match=r"`at='key'` chooses points of which the walk holds no numbers: `key`; choos"
    ):
        jw.plot.histograms(walk(jnp.ones(4)), "key")
    with pytest.raises(jw.PointError, match="The walk holds no outputs"):
        jw.plot.histograms(jw.walk(fun, "relu", keep=jw.stats.norms)(jnp.ones(4)))
