"""The picture of a training: which colour a cell has is what its numbers say, and what is not drawn is said."""

import dataclasses

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
import pytest
from histories import looped, synthetic

import jaxwalk as jw
from jaxwalk.plot._style import DARK, LIGHT

pytestmark = pytest.mark.once


def drawn(ax):
    """The insets: the loss, the heat map, and the scale of its colours."""
    heat, loss, scale = ax.child_axes
    return loss, heat, scale


def pixels(ax):
    return drawn(ax)[1].images[0].get_array()


def colour(name, palette=LIGHT):
    return tuple(np.round(255 * np.array(matplotlib_rgba(getattr(palette, name)))).astype(int))


def matplotlib_rgba(name):
    return plt.matplotlib.colors.to_rgba(name)


def words(ax):
    return "\n".join(text.get_text() for text in ax.texts)


def history_of(kept, steps=None, **changes):
    """A history of two points, "a" and "b" in a scan of three, with these numbers of δ."""
    points = jw.Points(
        [
            jw.Point("a", 1, "tag", (2,), jnp.dtype("float32")),
            jw.Point("b", 2, "tag", (3, 2), jnp.dtype("float32"), (jw.Axis("scan", 3),)),
        ]
    )
    count = len(next(iter(next(iter(kept.values())).values())))
    steps = np.arange(count) if steps is None else np.array(steps)
    history = jw.History(steps, np.linspace(2, 1, count), jw.Named(kept), jw.Named({}), points, int(steps[-1]) + 1)
    return dataclasses.replace(history, **changes)


A = np.array([1.0, 0.0, np.nan, 100.0])
B = np.array([[1.0, 10, 100], [1, 10, 0], [np.inf, 1, 1], [1, 1, 1]])


@pytest.fixture(scope="module")
def small():
    return history_of({"a": {"delta_rms": A}, "b": {"delta_rms": B}})


def test_a_cell_has_the_colour_of_its_size_and_zero_and_nan_have_their_own(small):
    ax = jw.plot.training(small)
    assert ax.get_title(loc="left") == "Training: 4 steps, loss 2 to 1; δ at 2 points"
    image = pixels(ax)
    rows = {"a": image[0], "b": image[-1]}
    assert image.shape[1] == 4
    assert tuple(rows["a"][1]) == colour("faint")
    assert tuple(rows["a"][2]) == colour("alarm")
    one, hundred = tuple(rows["a"][0]), tuple(rows["a"][3])
    assert tuple(rows["b"][0]) == hundred  # of the last of its layers
    assert tuple(rows["b"][1]) == colour("faint")
    assert tuple(rows["b"][3]) == one != hundred
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["exactly zero", "NaN, Inf"]
    loss, heat, scale = drawn(ax)
    assert [label.get_text() for label in heat.get_yticklabels()] == ["a", "b"]
    assert heat.get_xlim() == (0, 4)
    np.testing.assert_allclose(loss.lines[0].get_ydata(), small.loss)
    np.testing.assert_allclose(scale.get_xlim(), (-0.06, 2.06))
    assert words(scale) == "root mean square of δ"
    plt.close("all")


def test_layers_of_a_scan_are_rows_of_their_own_in_their_order(small):
    image = pixels(jw.plot.training(small, "b"))
    assert image.shape[:2] == (3, 4)
    shades = image[:, 0].astype(int)
    assert len({tuple(shade) for shade in shades}) == 3
    assert tuple(image[0, 2]) == colour("alarm")
    assert tuple(image[2, 1]) == colour("faint")
    plt.close("all")


def test_entries_that_statistics_leave_out_are_seen_by_their_counts():
    counts = np.array([0, 1, 0])
    history = history_of({"a": {"delta_l2": np.ones(3), "delta_nan": counts, "delta_inf": counts[::-1] * 0}})
    ax = jw.plot.training(history)
    assert [tuple(pixel) == colour("alarm") for pixel in pixels(ax)[0]] == [False, True, False]
    assert words(drawn(ax)[2]) == "ℓ2 norm of δ"
    assert "Without `delta_l2` as one number a step: 1 point, `b`." in words(ax)
    plt.close("all")


def test_no_nan_is_lost_where_many_steps_and_rows_share_a_pixel():
    history = synthetic(steps=3000, blocks=5, layers=20)
    history.kept["blocks/4/mlp/up"]["delta_rms"][1234, 17] = np.nan
    before = np.all(pixels(jw.plot.training(history)) == colour("alarm"), -1)
    history.kept["blocks/4/mlp/up"]["delta_rms"][1234, 17] = 1
    ax = jw.plot.training(history)
    after = np.all(pixels(ax) == colour("alarm"), -1)
    assert 1 <= np.sum(before != after) <= 4
    assert np.all(before >= after)
    assert "A cell is of up to " in words(ax)
    plt.close("all")


def test_thinned_steps_stand_where_they_were():
    kept = {"a": {"delta_rms": np.array([1.0, 2, 3])}}
    ax = jw.plot.training(history_of(kept, [0, 4, 8], stride=4, total=10, notes=("Something is not here.",)))
    assert ax.get_title(loc="left").startswith("Training: 10 steps")
    assert drawn(ax)[1].get_xlim() == (0, 10)
    assert "Of every 4 steps one is held, 3 of 10." in words(ax)
    assert "Something is not here." in words(ax)
    plt.close("all")


@pytest.mark.parametrize("count", [2, 100, 300])
def test_the_first_name_does_not_touch_the_scale_of_the_loss(count):
    names = [f"p{i}" for i in range(count)]
    points = jw.Points([jw.Point(name, i + 1, "tag", (2,), jnp.dtype("float32")) for i, name in enumerate(names)])
    kept = jw.Named({name: {"delta_rms": np.ones(4)} for name in names})
    loss = np.geomspace(1.0, 1e-5, 4)  # whose scale has a number near its lower end
    ax = jw.plot.training(jw.History(np.arange(4), loss, kept, jw.Named({}), points, 4))
    ax.figure.canvas.draw()
    losses, heat, _ = drawn(ax)
    boxes = lambda axes: [t.get_window_extent() for t in axes.get_yticklabels() if t.get_text()]
    apart = min(box.y0 for box in boxes(losses)) - max(box.y1 for box in boxes(heat))
    assert apart * 72 / ax.figure.dpi > 2.8  # typographic points; as names are from one another


def test_one_step_and_several_runs_are_drawn():
    one = history_of({"a": {"output_rms": np.ones(1)}})
    assert jw.plot.training(one, of="output").get_title(loc="left") == "Training: 1 step, loss 2; output at 2 points"
    runs = synthetic(steps=20, blocks=2, layers=3, runs=(4,))
    runs.kept["embed"]["delta_rms"][7] = [1, 2, np.nan, 3]
    ax = jw.plot.training(runs)
    assert ax.get_title(loc="left").startswith("Training of 4 runs: 20 steps, mean loss ")
    assert tuple(pixels(ax)[0, 7]) == colour("alarm")
    assert "4 runs beside one another: sizes are the largest of them." in words(ax)
    assert sum(len(line.get_xdata()) == 20 for line in drawn(ax)[0].lines) == 4
    plt.close("all")


FOUND = jw.Health(
    [
        jw.Finding("vanishing", "a", 1e-4, 1e-3, "", "", points=("a", "b"), steps=(1, 2)),
        jw.Finding("dead", "b", 1.0, 0.9, "", ""),
        jw.Finding("update", None, 20.0, 10.0, "", "", weights=("dense/kernel",), steps=(2, 3)),
    ]
)


def test_findings_are_framed_and_named(small):
    ax = jw.plot.training(small, health=FOUND)
    loss, heat, _ = drawn(ax)
    frames = [
        part.get_paths()[0].get_extents().extents.tolist() for part in heat.collections if part.get_label() == "_found"
    ]
    assert frames == [[1, 0, 3, 4], [0, 1, 4, 4]]
    assert "vanishing" in words(heat)
    assert "vanishing, dead" in words(heat)
    assert words(loss) == "update"
    assert "Found: vanishing at 2 points, first `a`; dead at `b`." in words(ax)
    assert "Found, but at none of these points: update at `dense/kernel`." in words(ax)
    alone = jw.plot.training(small, "a", health=FOUND)
    assert "Found, but at none of these points: dead at `b`; update at `dense/kernel`." in words(alone)
    plt.close("all")


def test_findings_of_no_point_stand_between_the_loss_and_the_points(small):
    """Neither over the curve nor over the cells, whatever there is around them, and no more of them than have room."""
    many = jw.Health(jw.Finding(f"rule{i}", None, 1.0, 0.0, "", "", steps=(i % 3, i % 3 + 1)) for i in range(12))
    for size in ((7.5, 6.0), (3.0, 2.0)):
        _, given = plt.subplots(figsize=size, layout="constrained")
        ax = jw.plot.training(small, health=many, ax=given)
        ax.figure.canvas.draw()
        loss, heat, _ = drawn(ax)
        names = [text.get_text() for text in loss.texts]
        assert names == [f"rule{i}" for i in range(len(names))]
        assert 1 <= len(names) <= 6
        for text in loss.texts:
            middle = np.mean(text.get_window_extent().intervaly)
            assert heat.get_window_extent().y1 < middle < loss.get_window_extent().y0
        plt.close("all")
    assert "rule11" in words(ax)


def test_a_dark_figure_has_dark_colours_and_axes_given_are_returned(small):
    with plt.style.context("dark_background"):
        _, ax = plt.subplots(figsize=(3, 2))
        assert jw.plot.training(small, ax=ax, health=FOUND) is ax
        ax.figure.canvas.draw()
    assert any(tuple(pixel) == colour("alarm", DARK) for pixel in pixels(ax).reshape(-1, 4))
    plt.close("all")


def test_a_real_training_is_drawn_point_by_point():
    def fun(weights, x):
        return jnp.sum(jw.tag(jnp.tanh(jw.tag(x @ weights, "linear")), "tanh") ** 2)

    weights, x = jnp.full((2, 2), 0.5), jnp.array([1.0, 2.0])
    history = looped(fun, weights, [(x,)] * 3, optax.sgd(0.1))
    ax = jw.plot.training(history, of="delta_max")
    assert words(drawn(ax)[2]) == "largest magnitude of δ"
    low, high = drawn(ax)[2].get_xlim()
    expected = []
    for _ in range(3):  # by hand: δ of tanh is 2·tanh, δ of linear that times 1 − tanh²
        out = jnp.tanh(x @ weights)
        expected += [jnp.max(2 * out), jnp.max(2 * out * (1 - out**2))]
        weights = weights - 0.1 * jax.grad(fun)(weights, x)
    logs = np.log10(np.array(expected))
    assert low < logs.min() < low + 0.5
    assert high - 0.5 < logs.max() < high
    image = pixels(ax)
    shares = (logs.reshape(3, 2).T[::-1] - low) / (high - low)
    np.testing.assert_array_equal(image, plt.get_cmap("viridis")(shares, bytes=True))
    plt.close("all")


def test_what_steps_have_seen_is_drawn_as_scan_has_stacked_it():
    def fun(weights, x):
        return jnp.sum(jw.tag(x @ weights, "linear") ** 2)

    optimizer, step = optax.sgd(0.1), jw.watch(fun, optax.sgd(0.1))
    x = jnp.array([[1.0, 2.0]])
    body = lambda carry, _: (lambda params, state, seen: ((params, state), seen))(*step(*carry, x))
    _, seen = jax.jit(lambda w: jax.lax.scan(body, (w, optimizer.init(w)), None, length=3))(jnp.ones((2, 2)))
    ax = jw.plot.training(seen)
    assert ax.get_title(loc="left").startswith("Training: 3 steps, loss 18 to ")
    assert pixels(ax).shape[:2] == (1, 3)
    some = dataclasses.replace(seen, is_seen=np.array([True, False, True]))
    ax = jw.plot.training(some)
    assert drawn(ax)[1].get_xlim() == (0, 3)
    assert "In 1 step of 3 nothing was looked at: they are left out, with their loss." in words(ax)
    with pytest.raises(
        jw.ArgumentError, match="`history` is being traced, and has no numbers to draw; draw what `jit`"
    ):
        jax.jit(jw.plot.training)(seen)
    plt.close("all")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            {"history": 3},
            "`history` is 3, which is no `History`; give that of `jw.learn`, or a `Seen` of stacked steps.",
        ),
        (
            {"of": "gradient"},
            "`of` is 'gradient', of which nothing was kept; give one of `delta`, `output`, `delta_rms`.",
        ),
        (
            {"of": "output"},
            "What was kept tells no size of output; watch with `keep=jw.stats.health`, or with `norms`.",
        ),
        ({"health": ["dead"]}, "`health` is ['dead'], which is no `Health`; give what `jw.health` returned."),
        ({"at": "c"}, "`at='c'` matches no point. There are: `a`, `b`."),
        ({"ax": 3}, "`ax` is 3, which is no `matplotlib.axes.Axes`"),
    ],
)
def test_what_is_refused(small, given, text):
    with pytest.raises(jw.JaxwalkError) as refused:
        jw.plot.training(**({"history": small} | given))
    assert str(refused.value).startswith(text)


def test_a_history_without_steps_or_numbers_is_refused():
    empty = history_of({"a": {"delta_rms": np.ones(3)}})
    empty = dataclasses.replace(empty, steps=np.arange(0), loss=np.ones(0))
    with pytest.raises(jw.ArgumentError, match="`history` holds no step; train for one at least"):
        jw.plot.training(empty)
    by_unit = history_of({"a": {"delta_rms": np.ones(3), "active_share": np.ones((3, 5))}})
    with pytest.raises(
        jw.PointError, match="`active_share` was kept at none of these points as one number a step: `a`"
    ):
        jw.plot.training(by_unit, of="active_share")
