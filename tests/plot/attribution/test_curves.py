"""Curves of deletion and insertion as a picture: what is drawn, what the legend says, and what is refused."""

import dataclasses

import jax
import jax.numpy as jnp
import matplotlib.colors
import matplotlib.pyplot as plt
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk import attribute

pytestmark = pytest.mark.once

X = jnp.array([1.0, 3.0, 2.0])
fun = lambda x: jnp.sum(jw.tag(2 * x, "twice"))


@pytest.fixture(scope="module")
def curves():
    by = [attribute.gradient_times_output(fun)(X), attribute.saliency(fun)(X)]
    return [attribute.deletion(by[0], fun)(X), attribute.deletion(by[1], fun)(X), attribute.insertion(by[0], fun)(X)]


def told(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_one_curve(curves):
    ax = jw.plot.attribution(curves[0])
    (line,) = ax.lines
    np.testing.assert_allclose(line.get_xdata(), [0, 1 / 3, 2 / 3, 1])
    np.testing.assert_allclose(line.get_ydata(), [12, 6, 2, 0])  # 3 goes first, then 2, then 1
    assert ax.get_title(loc="left") == "deletion of inputs by gradient_times_output"
    assert told(ax) == ["area 4.667"]
    assert ax.get_xlabel() == "fraction of the entries gone, highest scores first"


def test_several_in_one_picture_are_told_apart(curves):
    ax = jw.plot.attribution(curves[:2])
    assert told(ax) == ["by gradient_times_output: area 4.667", "by saliency: area 6.667"]
    assert len({line.get_color() for line in ax.lines}) == 2
    both = jw.plot.attribution(curves)
    assert both.get_title(loc="left") == "deletion and insertion of inputs"
    assert told(both)[2] == "insertion by gradient_times_output: area 7.333"
    assert "gone (deletion) or back (insertion)" in both.get_xlabel()
    assert told(jw.plot.attribution(curves[:2], labels=["one", "two"]))[1] == "two: area 6.667"


def test_those_that_lie_on_one_another_are_all_seen(curves):
    ax = jw.plot.attribution([curves[0], curves[1], curves[0], curves[0]], labels=[*"abcd"])
    in_turns = [line for line in ax.lines if line.is_dashed()]
    assert [line.get_color() for line in in_turns] == [ax.lines[i].get_color() for i in (0, 2, 3)]
    ax.figure.canvas.draw()
    shown = np.asarray(ax.figure.canvas.buffer_rgba())[..., :3]
    inside = shown[int(len(shown) * 0.4) :]  # below the legend
    for line in ax.lines:
        colour = np.round(255 * np.array(matplotlib.colors.to_rgb(line.get_color())))
        assert (np.abs(inside - colour).max(-1) < 8).sum() > 20
    assert ax.get_xlabel().splitlines()[-1] == "where colours take turns, curves lie on one another"
    assert not any(line.is_dashed() for line in ax.get_legend().get_lines())
    broken = [curves[0], dataclasses.replace(curves[0], values=jnp.full(4, jnp.nan))]
    assert "take turns" not in jw.plot.attribution(broken).get_xlabel()


def test_of_many_data_the_mean_or_one():
    each = lambda x: attribute.deletion(attribute.gradient_times_output(fun)(x), fun)(x)
    many = jax.vmap(each)(jnp.stack([X, 3 * X]))
    ax = jw.plot.attribution(many)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [24, 12, 4, 0])
    assert (told(ax), ax.get_xlabel().splitlines()[-1]) == (["area 9.333"], "mean over 2 data")
    np.testing.assert_allclose(jw.plot.attribution(many, datum=1).lines[0].get_ydata(), [36, 18, 6, 0])


def test_a_curve_of_nan_says_so(curves):
    broken = attribute.Curve(
        "deletion", "lrp", "inputs", curves[0].fractions, jnp.full(4, jnp.nan), jnp.float32(jnp.nan)
    )
    ax = jw.plot.attribution(broken)
    assert told(ax)[1] == "the curve: nothing to draw"
    assert "the curve has a NaN or Inf" in ax.get_xlabel()


@pytest.mark.parametrize("style", ["default", "dark_background"])
def test_light_and_dark(curves, style):
    with plt.style.context(style):
        _, own = plt.subplots()
        assert jw.plot.attribution(curves, ax=own) is own


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"at": "twice"}, "`at` is for an `Attribution`, and what is drawn is a curve; leave it out."),
        ({"labels": ["one"]}, "`labels` is ['one']; give a name for each of 3 curves."),
        ({"datum": 0}, "`datum` is 0, but the curve is of one datum; leave it out."),
    ],
)
def test_refused(curves, options, said):
    with pytest.raises(jw.ArgumentError) as caught:
        jw.plot.attribution(curves, **options)
    assert said in str(caught.value)


def test_a_list_of_something_else_is_refused(curves):
    with pytest.raises(jw.ArgumentError, match=r"which is no `Attribution`; give what a method of `jw.attribute`"):
        jw.plot.attribution([curves[0], 3])
