import matplotlib as mpl
import pytest

from jaxwalk._report.picture import svg_of
from jaxwalk.plot._style import LIGHT, drawing

pytestmark = pytest.mark.once


def drawn(name):
    def draw(ax):
        with drawing(ax, 1, 1) as (axes, palette):
            axes.plot([1, 2], [3, 4], "o-", color=palette.delta, clip_on=True)
            axes.set_title("<b>$\\alpha$ & </svg>")

    return svg_of(draw, 3, 2, name, "what it shows")


def test_a_picture_has_ids_and_colours_of_the_page():
    first, second = drawn("one"), drawn("two")
    ids = lambda text: {part.split('"')[0] for part in text.split(' id="')[1:]}
    assert ids(first)
    assert not ids(first) & ids(second)
    assert all(f"#{name}" in first for name in ids(first) if "clip" in name)
    assert "url(#one-" in first
    assert "var(--delta)" in first
    assert LIGHT.delta not in first
    assert LIGHT.ink not in first
    assert "#000000" not in first


def test_it_tells_no_date_and_its_words_are_text():
    text = drawn("one")
    assert text == drawn("one")
    assert "metadata" not in text
    assert "&lt;b&gt;$\\alpha$ &amp; &lt;/svg&gt;" in text


def test_the_users_own_style_does_not_show_and_stays():
    plain = drawn("one")
    with mpl.rc_context({"axes.facecolor": "black", "axes.grid": True, "font.size": 30}):
        assert drawn("one") == plain
        assert mpl.rcParams["font.size"] == 30
