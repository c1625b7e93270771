"""`heat`: what its panels hold is the output and the δ, and what it leaves out is said."""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk.plot._arrays.signed import NONFINITE

pytestmark = pytest.mark.once

RANDOM = np.random.default_rng(0)
X = jnp.asarray(RANDOM.normal(size=(3, 5)), jnp.float32)


def fun(x):
    def step(x, _):
        x = jw.tag(jnp.tanh(x), "step")
        return x, jw.tag(jnp.sum(x), "number")

    matrix = jw.tag(jnp.outer(x, x), "matrix")
    wave = jw.tag(jax.lax.complex(jnp.cos(x), jnp.sin(x)), "wave")
    jw.tag(jnp.arange(4), "integers")
    jw.tag(x[:0], "empty")
    jw.tag(jnp.log(x), "log")
    jw.tag(jnp.tile(x, 200), "long")
    x, _ = jax.lax.scan(step, x, None, length=4)
    return jw.tag(jnp.sum(matrix**2) + jnp.sum(wave).real + jnp.sum(x), "loss")


@pytest.fixture(scope="module")
def walks():
    return jax.jit(jax.vmap(jw.walk(fun)))(X)


@pytest.fixture(scope="module")
def walk(walks):
    return jax.tree.map(lambda a: a[0], walks)


def panels(ax):
    return [panel for panel in ax.child_axes if panel.get_title(loc="left")]


def test_a_matrix(walk):
    ax = jw.plot.heat(walk, "matrix")
    assert ax.get_title(loc="left") == "matrix  float32[5, 5]"
    for panel, side, values in zip(panels(ax), ("output", "δ"), (walk.outputs, walk.deltas), strict=True):
        assert panel.get_title(loc="left") == side
        (image,) = panel.images
        np.testing.assert_array_equal(image.get_array(), np.float64(values["matrix"]))
        top = np.abs(values["matrix"]).max()
        assert image.norm.vmin == -image.norm.vmax == -top
        labels = [label.get_text() for label in panel.child_axes[0].get_yticklabels()]
        assert float(labels[2]) == pytest.approx(top, rel=1e-2)
        assert labels[:2] == [f"−{labels[2]}", "0"]


@pytest.mark.parametrize("size", [1e-42, 1e-35, 3e38])
def test_numbers_at_the_ends_of_float32_have_a_scale(size):
    walk = jw.walk(lambda x: jnp.sum(jw.tag(x, "x")))(jnp.full((2, 2), size, jnp.float32))
    ax = jw.plot.heat(walk, "x")
    ax.figure.canvas.draw()
    label = panels(ax)[0].child_axes[0].get_yticklabels()[2].get_text()
    assert float(label.replace("−", "-")) == pytest.approx(size, rel=2e-2)


def test_a_few_numbers_are_bars_in_the_colour_of_their_sign(walks):
    ax = jw.plot.heat(walks, "step", datum=1, step=-1)
    for panel, values in zip(panels(ax), (walks.outputs, walks.deltas), strict=True):
        np.testing.assert_allclose([bar.get_height() for bar in panel.patches], values["step"][1, -1])
        for bar in panel.patches:
            red, _, blue, _ = bar.get_facecolor()
            assert (red > blue) == (bar.get_height() > 0)
    assert ax.get_xlabel() == f"datum 1 of 3 (loss {walks.value[1]:.4g}); step 3 of 4"


def test_steps_are_rows_and_the_datum_of_largest_loss_is_drawn(walks):
    ax = jw.plot.heat(walks, "step")
    worst = int(np.argmax(walks.value))
    np.testing.assert_array_equal(panels(ax)[1].images[0].get_array(), np.float64(walks.deltas["step"][worst]))
    assert panels(ax)[0].get_ylabel() == "step"
    assert f"datum {worst} of 3, which has the largest loss" in ax.get_xlabel()
    bars = panels(jw.plot.heat(walks, "number", datum=0))[0].patches
    np.testing.assert_allclose([bar.get_height() for bar in bars], walks.outputs["number"][0])


def test_one_number_is_written(walk):
    ax = jw.plot.heat(walk, "loss")
    assert [panel.texts[0].get_text() for panel in panels(ax)] == [f"{walk.value:.4g}", "1"]


def test_a_long_vector_is_a_strip(walk):
    ax = jw.plot.heat(walk, "long")
    pixels = panels(ax)[0].images[0].get_array()
    assert pixels.shape[0] == 1
    assert "each pixel the largest of" in ax.get_xlabel()
    assert np.abs(pixels).max() == np.abs(walk.outputs["long"]).max()
    assert panels(ax)[1].get_title(loc="right") == "all zero"


def test_complex_numbers_are_drawn_in_two_parts(walk):
    wave = walk.outputs["wave"]
    pixels = panels(jw.plot.heat(walk, "wave"))[0].images[0].get_array()
    np.testing.assert_array_equal(pixels, np.float64([wave.real, wave.imag]))


def test_what_is_no_number_has_a_colour_and_is_counted(walks):
    bad = int(np.isnan(walks.outputs["log"][0]).sum())
    assert bad
    panel = panels(jw.plot.heat(walks, "log", datum=0))[0]
    assert panel.get_title(loc="right") == f"{bad} NaN of 5 entries"
    spans = [patch for patch in panel.patches if patch.get_facecolor() == plt.matplotlib.colors.to_rgba(NONFINITE)]
    assert len(spans) == bad
    image = jw.walk(lambda x: jnp.sum(jw.tag(jnp.log(jnp.outer(x, x)), "log")))(X[0])
    first, second = panels(jw.plot.heat(image, "log"))[0].images
    np.testing.assert_array_equal(np.isnan(image.outputs["log"]), np.ma.getmaskarray(first.get_array()))
    np.testing.assert_array_equal(np.isnan(image.outputs["log"]), ~np.ma.getmaskarray(second.get_array()))


def test_points_without_delta_and_without_entries(walk):
    ax = jw.plot.heat(walk, "integers")
    assert [panel.get_title(loc="left") for panel in panels(ax)] == ["output"]
    assert ax.get_xlabel() == "Its dtype is int32: it has an output and no δ"
    assert panels(jw.plot.heat(walk, "empty"))[0].texts[0].get_text() == "no entries"


def test_the_axes_given_are_drawn_in_and_returned_however_small(walks):
    small = plt.figure(figsize=(1.5, 1)).add_axes((0.2, 0.3, 0.5, 0.5))
    assert jw.plot.heat(walks, "matrix", ax=small) is small
    small.figure.canvas.draw()
    assert "δ" in [panel.get_title(loc="left") for panel in panels(small)]


def test_a_name_is_no_mathematics(walk):
    odd = jw.walk(lambda x: jnp.sum(jw.tag(x**2, "$x_1$/<b>\n" + "deep/" * 40)))(X[0])
    title = jw.plot.heat(odd, next(iter(odd.points))).get_title(loc="left")
    assert title.startswith("$x_1$/<b>\\n")
    assert "…" in title
    assert title.endswith("float32[5]")


REFUSED = [
    ({"walk": 3}, "`walk` is 3, which is no `Walk`; give what `jw.walk` returned."),
    ({"name": "matrx"}, "There is no `matrx` here. Near it: `matrix`."),
    ({"datum": 3}, "`datum` is 3, but of the walks by `jax.vmap` there are 3, counted from 0."),
    ({"datum": (0, 1)}, "`datum` is (0, 1), but there is 1 axis to index of the walks by `jax.vmap`; give fewer."),
    ({"datum": 0.5}, "`datum` is 0.5; give an integer, or a tuple of them."),
    ({"step": 0}, "`step` is 0, but `matrix` is in no loop; leave it out."),
    ({"name": "step", "step": 4}, "`step` is 4, but of `step` there are 4, counted from 0."),
    ({"channels": 0}, "`channels` is 0, but a value of 2 axes has none to tile."),
    ({"channels": "a"}, "`channels` is 'a'; give the number of an axis, as 0 or -1."),
]


@pytest.mark.parametrize(("given", "text"), REFUSED)
def test_what_is_refused(walks, given, text):
    with pytest.raises(jw.JaxwalkError) as error:
        jw.plot.heat(**({"walk": walks, "name": "matrix"} | given))
    assert str(error.value) == text


def test_what_a_single_walk_refuses(walk):
    with pytest.raises(jw.ArgumentError, match=r"`datum` is 0, but the walk is of one datum; leave it out\."):
        jw.plot.heat(walk, "matrix", datum=0)
    square = lambda x: jnp.sum(jw.tag(x**2, "square"))
    with pytest.raises(jw.ArgumentError, match="The walk is being traced, and has no numbers"):
        jax.jit(lambda x: jw.plot.heat(jw.walk(square)(x), "square"))(X[0])
    kept = jw.walk(square, keep=lambda output, delta: delta.sum())(X[0])
    with pytest.raises(jw.PointError) as refused:
        kept.outputs["square"]
    with pytest.raises(jw.PointError) as error:
        jw.plot.heat(kept, "square")
    assert str(error.value) == str(refused.value)
