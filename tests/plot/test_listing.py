"""The source drawn: which lines there are, how long the bars beside them, and what the picture says it leaves out."""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk.plot._listing import Line, _fitting

pytestmark = pytest.mark.once


def net(x):
    for _ in range(3):
        x = 2 * x
    dead = jax.nn.relu(-x)
    log = jnp.log(dead)  # of $0$
    return jnp.sum(x) + jnp.sum(dead) + 0 * jnp.sum(log[:0])


X = jnp.array([1.0, 1.0])
FIRST = net.__code__.co_firstlineno


def test_lines_have_bars_of_the_sizes_of_their_passes():
    ax = jw.plot.listing(jw.walk(net, by="lines")(X))
    (bars,) = ax.child_axes
    assert ax.get_title(loc="left") == "Source of 6 points, loss 16"
    words = [text.get_text() for text in ax.texts]
    assert words[:3] == ["net, test_listing.py", "def net(x):", str(FIRST)]
    assert "    log = jnp.log(dead)  # of $0$" in words
    assert not any(text.get_parse_math() for text in ax.texts)
    line = 2 + 0.5  # the title, `def` and `for` are above `x = 2 * x`, whose row is higher
    output, delta = ([path.vertices for path in c.get_paths()] for c in bars.collections)
    passes = [box for box in output if line < box[0, 1] + 0.5 < line + 1.9][:3]
    np.testing.assert_allclose([box[:, 0].max() for box in passes], [2, 4, 8])
    assert np.all(np.diff([box[0, 1] for box in passes]) > 0)
    np.testing.assert_allclose([box[:, 0].max() for box in delta[:3]], [4, 2, 1])
    assert max(box[:, 1].max() for box in passes) <= min(box[:, 1].min() for box in delta[:3])
    zeros, infinite = (
        line.get_xydata() for line in bars.lines if line.get_label() in ("_output zero", "_output not finite")
    )
    ticks = dict(zip((t.get_text() for t in bars.get_xticklabels()), bars.get_xticks(), strict=True))
    np.testing.assert_allclose(zeros[0, 0], ticks["0"])
    np.testing.assert_allclose(infinite[:, 0], ticks["NaN\nInf"])
    assert words[-1].startswith("Several bars of one colour in a line: its passes")


def test_long_functions_are_cut_and_say_so():
    point = object()
    lines = [Line("f"), *(Line(str(i), i, [point] if i % 10 == 0 else []) for i in range(1, 41))]
    assert _fitting(lines, 60) == (lines, [])
    kept, notes = _fitting(lines, 20)
    assert [line.text for line in kept[:4]] == ["f", "1", "… 8 lines without a point", "10"]
    assert not notes
    kept, notes = _fitting(lines, 5)
    assert ([line.text for line in kept], notes) == (
        ["f", "10", "20", "30", "40"],
        ["Lines without a point are left out."],
    )
    kept, notes = _fitting(lines, 3)
    assert [line.text for line in kept] == ["f", "10", "20"]
    assert notes[-1] == "2 more lines with points have no room here."


def test_on_small_axes_of_the_users_own():
    ax = plt.figure(figsize=(3, 1)).subplots()
    assert jw.plot.listing(jw.walk(net, by="lines")(X), ax=ax) is ax
    assert "more lines with points have no room" in ax.texts[-1].get_text()
    assert any(text.get_text().endswith("…") for text in ax.texts)


def test_what_is_refused():
    with pytest.raises(jw.ArgumentError, match=r"`walk` is 3, which is no `Walk`"):
        jw.plot.listing(3)
    chain = jw.objective(jw.chain(lambda x: 2 * x), lambda r, y: jnp.sum(r))
    with pytest.raises(jw.PointError, match="says where in the source it is; there is nothing to list"):
        jw.plot.listing(jw.walk(chain)({}, X, 0.0))
    with pytest.raises(jw.PointError, match=r"What was kept tells no sizes; keep `jw\.stats\.norms`"):
        jw.plot.listing(jw.walk(net, by="lines", keep=jw.stats.dead)(X))
