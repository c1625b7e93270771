"""Pictures have a style of their own, for light and dark, and leave the user's alone."""

import matplotlib.pyplot as plt
import pytest

import jaxwalk as jw
from jaxwalk.plot import _style

pytestmark = pytest.mark.once


def test_the_users_settings_are_as_before():
    before = dict(plt.rcParams)
    with _style.drawing(None, 4, 2) as (ax, palette):
        assert plt.rcParams["font.size"] == 9
        assert palette is _style.LIGHT
    assert dict(plt.rcParams) == before
    assert tuple(ax.figure.get_size_inches()) == (4, 2)


def test_what_the_backend_sets_as_it_is_loaded_stays():
    with plt.rc_context():
        with _style.drawing(None, 4, 2):
            plt.rcParams["interactive"] = True  # as that of a notebook does with the first figure, or no other is shown
        assert plt.rcParams["interactive"]


def test_a_dark_figure_is_drawn_on_in_the_dark_palette():
    with plt.style.context("dark_background"), _style.drawing(None, 4, 2) as (ax, palette):
        assert palette is _style.DARK
    with _style.drawing(ax, 4, 2) as (same, palette):  # the style is over, the figure is still dark
        assert palette is _style.DARK
        assert same is ax
    see_through = plt.figure(facecolor="black").add_subplot()
    see_through.set_facecolor("none")
    with _style.drawing(see_through, 4, 2) as (_, palette):
        assert palette is _style.DARK
    with _style.drawing(plt.figure(facecolor="none").add_subplot(facecolor="none"), 4, 2) as (_, palette):
        assert palette is _style.LIGHT


def test_what_is_no_axes_is_refused():
    with pytest.raises(jw.ArgumentError, match=r"`ax` is 3, which is no `matplotlib\.axes\.Axes`; give one"):
        _style.drawing(3, 4, 2).__enter__()
