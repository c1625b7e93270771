"""Graphs: by which boxes, arrows and words are in them."""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk._cli.example import walkthrough as example

pytestmark = pytest.mark.once


def words(ax):
    return {text.get_text() for text in ax.texts}


def arrows(ax, kind):
    return [int(patch.get_gid().split()[1]) for patch in ax.patches if str(patch.get_gid()).startswith(f"{kind} ")]


def test_the_worked_example_is_as_one_draws_it_by_hand():
    args = (example.params, example.PATIENTS.x[2], example.PATIENTS.y[2])
    walk = jw.walk(example.patient_loss)(*args).with_kinks(jw.kinks(example.patient_loss, *args))
    ax = jw.plot.graph(walk)
    assert {"x", "input", "L1", "L2", "L3", "Loss", "= 0.5", "params", "y", "kink: 1 near"} <= words(ax)
    assert {"X¹ =\n(0, 2000, 3000)", "δ³ = −1", "δ⁴ = −1", "∂X⁴/∂X³ = 1"} <= words(ax)
    assert "δ² =\n(−0.005, 0.0002586,\n−0.0001724)" in words(ax)
    assert "∂X³/∂X² =\n(0.005, −0.0002586,\n0.0001724)" in words(ax)
    assert arrows(ax, "output") == [0, 1, 2, 3]
    assert arrows(ax, "delta") == [0, 1, 2, 3]


def test_two_ways_are_drawn_as_they_are():
    def fun(x):
        h = jw.tag(2 * x, "h")
        left, right = jw.tag(jnp.sin(h), "left"), jw.tag(jax.lax.stop_gradient(h) + 1, "right")
        return jnp.sum(jw.tag(left * right, "both") + h)

    ax = jw.plot.graph(jw.walk(fun)(jnp.ones(2)))
    assert sorted(arrows(ax, "output")) == [0, 0, 0, 1, 2, 3]
    assert sorted(arrows(ax, "delta")) == [0, 0, 1, 2, 3]  # none through the stop_gradient
    ax = jw.plot.graph(jw.walk(fun, at=["h", "both"])(jnp.ones(2)))
    assert sorted(arrows(ax, "output")) == [0, 0, 1]
    np.testing.assert_array_less(0, ax.figure.get_size_inches())


def deep(x, blocks=12):
    x = jw.tag(x, "net/embed")
    for i in range(blocks):
        h = jw.tag(jnp.sin(x), f"net/h_{i}/a")
        x = jw.tag(x + jw.tag(2 * h, f"net/h_{i}/b"), f"net/h_{i}")
    return jnp.sum(jw.tag(x[:2], "net/head"))


def boxes(ax):
    return [patch.get_gid() for patch in ax.patches if not str(patch.get_gid()).startswith(("output", "delta", "arg"))]


def test_siblings_that_are_alike_are_one_box():
    walk = jw.walk(deep)(jnp.ones(3))
    ax = jw.plot.graph(walk, depth=1)
    assert boxes(ax) == ["embed", "h_0 … 11", "head", "Loss"]
    assert {"×12  (3,)  36 points", "38 points in 3 boxes; names are within net/"} <= words(ax)
    assert arrows(ax, "output") == [0, 1, 2]
    (bar,) = ax.child_axes
    assert "size of δ: root mean square of what is in a box" in bar.get_xlabel()
    ax = jw.plot.graph(walk)
    assert boxes(ax) == ["embed", "h_0 … 11/a", "h_0 … 11/b", "h_0 … 11", "head", "Loss"]
    assert "×12  (3,)" in words(ax)
    assert "dashed: back up, to the next step or the next one alike" in words(ax)


def test_the_colour_is_the_size_of_all_in_a_box():
    walk = jw.walk(deep)(jnp.ones(3))
    (bar,) = jw.plot.graph(walk, depth=1).child_axes
    inside = [walk.deltas[name] for name in walk.points if "/h_" in name]
    sizes = [np.sqrt(np.mean(np.square(each))) for each in (inside, walk.deltas["net/embed"], walk.deltas["net/head"])]
    np.testing.assert_allclose(bar.get_xlim(), (min(sizes), max(sizes)), rtol=1e-5)


def test_siblings_of_other_shapes_are_not_alike():
    def fun(x):
        for i, size in enumerate((3, 3, 2)):
            x = jw.tag(jw.tag(x[:size], f"h{i}/a") + 1, f"h{i}/b")
        return x.sum()

    assert boxes(jw.plot.graph(jw.points(fun, jnp.ones(3)), depth=1)) == ["h0 … 1", "h2", "result"]


def test_what_has_no_end_is_folded_in_the_middle():
    def fun(x):
        for i in range(300):
            x = jw.tag(x + 1, "ab"[i % 2] * (1 + i))
        return x

    ax = jw.plot.graph(jw.points(fun, 1.0))
    assert len(boxes(ax)) == 21
    assert "281 points between" in words(ax)


def test_all_kinds_of_values_and_names():
    def fun(x):
        jw.tag(x[:0], "empty")
        jw.tag(x > 0, "bool")
        c, low = jw.tag(x + 1j, "$complex_<b>"), jw.tag(x.astype(jnp.bfloat16), "low")
        nan, dead = jw.tag(jnp.log(-x), 'a\n"b'), jw.tag(jax.nn.relu(jw.tag(-x, "blocked")), "dead/" * 40)
        return jnp.sum(jnp.abs(c)) + low.astype(jnp.float32).sum() + nan.sum() + dead.sum() * jw.tag(3, "three")

    with jax.numpy_dtype_promotion("standard"):
        walk = jw.walk(fun)(jnp.ones(2))
    ax = jw.plot.graph(walk)
    assert {"unused", "blocked", "dead", "non-finite", 'a\\n"b', "$complex_<b>", "X² = (True, True)"} <= words(ax)
    ax.figure.canvas.draw()
    jw.plot.graph(walk, depth=1).figure.canvas.draw()


def test_many_walks_and_what_was_kept():
    fun = lambda x: jnp.sum(jw.tag(jnp.tanh(x), "h") ** 2)
    x = jnp.arange(6.0).reshape(3, 2)
    ax = jw.plot.graph(jax.vmap(jw.walk(fun))(x))
    assert {"3 walks: each value is an array of theirs"} <= words(ax)
    ax = jw.plot.graph(jax.vmap(jw.walk(fun, keep=jw.stats.summary))(x))
    assert any(word.startswith("δ¹  (2,)\nrms ") for word in words(ax))
    ax = jw.plot.graph(jw.walk(fun, keep=lambda output, delta: delta.sum())(x))
    assert "what was kept tells no sizes" in words(ax)


def test_without_the_flow_nothing_is_claimed():
    def fun(x):
        ref = jax.new_ref(jw.tag(2 * x, "h"))
        return jnp.sum(jw.tag(ref[...] + 1, "k"))

    ax = jw.plot.graph(jw.points(fun, jnp.ones(2)))
    assert "in forward order: what is computed from what is not known" in words(ax)
    assert all(
        patch.get_arrowstyle().__class__.__name__ == "Curve" for patch in ax.patches if "output" in patch.get_gid()
    )


def test_axes_that_are_given_are_drawn_on_and_smaller_ones_make_it_smaller():
    walk = jw.walk(deep)(jnp.ones(3))
    _, (large, small) = plt.subplots(1, 2, figsize=(30, 20), width_ratios=(9, 1))
    assert jw.plot.graph(walk, ax=large) is large
    assert jw.plot.graph(walk, ax=small) is small
    assert max(text.get_fontsize() for text in small.texts) < max(text.get_fontsize() for text in large.texts) == 9


def test_what_it_cannot_draw_is_refused():
    with pytest.raises(jw.ArgumentError, match=r"`what` is 3; give the `Walk` that `jw\.walk` made, the `Evaluation`"):
        jw.plot.graph(3)
    points = jw.points(deep, jnp.ones(3))
    with pytest.raises(jw.ArgumentError, match="`depth` is 0; it must be an integer of at least 1, or None"):
        jw.plot.graph(points, depth=0)
    with pytest.raises(jw.PointError, match=r"There are no points to draw; `jw\.points` says what can be named"):
        jw.plot.graph(jw.points(lambda x: x, 1.0, by="tags"))
    with pytest.raises(jw.PointError, match="`at='net/h'` matches no point"):
        jw.plot.graph(points, at="net/h")
    with pytest.raises(jw.ArgumentError, match="being traced"):
        jax.jit(lambda x: jw.plot.graph(jw.walk(deep)(x)))(jnp.ones(3))
