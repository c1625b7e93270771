"""The width check drawn, by what is in the picture: lines in two panels, what is marked and named, what notes say."""

import functools

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
import pytest

import jaxwalk as jw

pytestmark = pytest.mark.once

X = jnp.ones((4, 2))


def loss(params, x):
    h = jw.tag(x @ params["in"], "h")
    jw.tag(jnp.arange(3), "index")
    return jnp.sum((jw.tag(h @ params["out"], "$out_1$") - 1) ** 2)


@functools.cache
def check():
    """The rate of the output's weights is the same at all widths: it blows up, and its start is zero."""
    make = lambda width: (loss, {"in": jnp.ones((2, width)), "out": jnp.zeros((width, 1))})
    return jw.coordinate_check(make, [8, 16, 32], [X], optax.sgd(1e-5), steps=2)


def panels(ax):
    return {panel.get_title(loc="left"): panel for panel in ax.child_axes}


def names(panel):
    return [text.get_text() for text in panel.texts]


def words(ax):
    return "\n".join(text.get_text() for text in ax.texts)


def test_lines_are_the_sizes_and_what_is_found_is_marked_and_named():
    ax = jw.plot.coordinates(check())
    assert [(f.name, f.points) for f in check().findings] == [("blows up", ("$out_1$",))]
    start, change = panels(ax).values()
    assert [*panels(ax)] == ["output at initialisation", "change after 2 updates"]
    assert (change.get_xscale(), change.get_yscale()) == ("log", "log")
    assert [tick.get_text() for tick in change.get_xticklabels()] == ["8", "16", "32"]
    found = {line.get_marker(): line.get_xydata() for line in change.lines}
    np.testing.assert_allclose(found["^"], np.stack([[8, 16, 32], check().sizes["change"]["$out_1$"][:, 2]], 1))
    slope = check().slopes["change"]["$out_1$"][2]
    assert f"$out_1$  {slope:.2f}" in names(change)
    assert {"h  0.00", "index  0.00"} == {*names(start)}
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert {"as muP wants", "grows with width", "not judged"} == {*legend}
    assert "Output at initialisation, zero and not drawn: `$out_1$`." in words(ax)
    assert ax.get_title(loc="left").startswith("Size against width at 3 points: ")


def test_after_fewer_updates():
    ax = jw.plot.coordinates(check(), "$out_1$", step=1)
    assert [*panels(ax)] == ["output at initialisation", "change after 1 update"]
    (line,) = panels(ax)["change after 1 update"].lines
    np.testing.assert_allclose(line.get_ydata(), check().sizes["change"]["$out_1$"][:, 1])
    assert ax.get_title(loc="left").startswith("Size against width at 1 of 3 points: ")


def test_a_dark_figure_has_its_own_colours_and_axes_may_be_given():
    with plt.style.context("dark_background"):
        ax = jw.plot.coordinates(check(), ax=plt.figure(figsize=(6, 3)).subplots())
    assert ax.get_legend().get_texts()[0].get_color() == "#e6edf3"


def test_what_is_refused():
    with pytest.raises(jw.ArgumentError, match=r"`check` is 3; give what `jw\.coordinate_check` returned\."):
        jw.plot.coordinates(3)
    with pytest.raises(jw.ArgumentError, match=r"`step` is 3; there are the updates 1 to 2\."):
        jw.plot.coordinates(check(), step=3)
    with pytest.raises(jw.PointError, match=r"`at='lok'` matches no point\. "):
        jw.plot.coordinates(check(), "lok")
