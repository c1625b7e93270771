"""The flow drawn, by what is in the picture: where the dots are, what is marked, what is named, what the notes say."""

import types

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest
from histories import synthetic

import jaxwalk as jw
from jaxwalk.plot._style import LIGHT

pytestmark = pytest.mark.once


def dots(ax):
    """What is drawn at points, by the first word of its label: x and y."""
    lines = [line for line in ax.lines if line.get_linestyle() == "None"]
    return {line.get_label().partition(":")[0].partition(",")[0].lstrip("_"): line.get_xydata().T for line in lines}


def labels(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


def words(ax):
    return "\n".join(text.get_text() for text in ax.texts)


def fun(x, y):
    jw.tag(3 * x, "unused")
    dead = jw.tag(jax.nn.relu(jw.tag(-x, "blocked")), "dead")
    log = jw.tag(jnp.log(x - 1), "$log_1$")
    taken = jax.lax.cond(y > 0, lambda x: jw.tag(2 * x, "yes"), lambda x: jw.tag(3 * x, "no"), x)
    index = jw.tag(jnp.argmax(x), "index")
    jw.tag(x > 2, "mask")
    empty = jw.tag(x[:0], "empty")
    return jnp.sum(dead) + jnp.sum(log) + jnp.sum(taken) + x[index] + jnp.sum(empty)


def test_points_stand_where_their_sizes_are_and_what_is_odd_is_marked():
    walk = jw.walk(fun)(jnp.array([1.0, 3.0]), 1.0)
    ax = jw.plot.flow(walk)
    assert ax.get_title(loc="left") == "Flow through 9 points, loss -inf"
    assert ax.get_xscale() == "log"
    assert labels(ax) == [name for name in walk.points if name != "mask"]
    found, row = dots(ax), {name: i + 0.5 for i, name in enumerate(labels(ax))}
    output = dict(zip(found["output"][1], found["output"][0], strict=True))
    assert output[row["blocked"]] == pytest.approx(np.sqrt(5))
    assert output[row["$log_1$"]] == pytest.approx(np.log(2))  # of what is finite
    zero = output[row["dead"]]
    assert 0 < zero < ax.get_xlim()[1] / 10
    ticks = dict(zip((t.get_text() for t in ax.get_xticklabels()), ax.get_xticks(), strict=True))
    assert ticks["0"] == zero
    delta = dict(zip(found["δ"][1], found["δ"][0], strict=True))
    assert row["index"] not in delta
    marked = {"unused": delta, "blocked": delta, "dead": output}
    for name, side in marked.items():
        np.testing.assert_allclose(found[name].T, [[side[row[name]], row[name]]])
    np.testing.assert_allclose(found["non-finite"].T, [[ticks["NaN\nInf"], row["$log_1$"]]])
    np.testing.assert_allclose(found["not taken"].T, [[zero, row["no"]]])
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert {"dead: dead", "not taken: no", "non-finite: $log_1$"} < {*legend}
    assert words(ax) == "Without sizes (opaque, booleans, or nothing was kept): `mask`.\nWithout entries: `empty`."
    assert not any(text.get_parse_math() for text in [*ax.get_yticklabels(), *ax.get_legend().get_texts()])


def scanned(weights, x):
    def layer(x, w):
        return jw.tag(jnp.tanh(jw.tag(x @ w, "h/linear")), "h/tanh"), None

    return jnp.sum(jw.tag(jax.lax.scan(layer, jw.tag(x, "start"), weights)[0], "end"))


WEIGHTS, X = jnp.stack([2 * jnp.eye(2)] * 12), jnp.array([1.0, -1.0])


def test_a_scan_is_a_band_with_its_steps_in_their_order():
    walk = jw.walk(scanned)(WEIGHTS, X)
    ax = jw.plot.flow(walk)
    assert words(ax) == "×12"
    (band,) = [patch for patch in ax.patches if patch.get_label() == "_loop"]
    assert (band.get_y(), band.get_y() + band.get_height()) == (1, 5)
    x, y = dots(ax)["output by step"]
    assert np.all(np.diff(y) > 0)
    assert np.all((y > 1) & (y < 5))
    rms = [np.sqrt(np.mean(np.square(walk.outputs[name]), -1)) for name in ("h/linear", "h/tanh")]
    np.testing.assert_allclose(x, np.concatenate(rms), rtol=1e-6)


def test_of_many_walks_it_is_over_all():
    x = jnp.array([[1.0, -1.0], [0.5, 0.1]])
    walks = jax.vmap(jw.walk(lambda x: jnp.sum(jw.tag(2 * jw.tag(x, "x"), "twice"))))(x)
    ax = jw.plot.flow(walks, "x")
    assert ax.get_title(loc="left") == "Flow through 1 of 2 points, mean loss 0.6 of 2 data"
    np.testing.assert_allclose(dots(ax)["output"][0], np.sqrt(np.mean(np.square(x))), rtol=1e-6)


def test_of_an_evaluation_it_is_over_all_data():
    data = [(np.array([[2, 5], [3, 4]], np.float32), np.ones(2, np.float32))]
    found = jw.evaluate(lambda w, x, y: fun(x, y), 0.0, data, keep=jw.stats.norms)
    ax = jw.plot.flow(found)
    assert ax.get_title(loc="left").endswith(" of 2 data")
    assert dots(ax)["output"][0][labels(ax).index("blocked")] == pytest.approx(np.sqrt((4 + 25 + 9 + 16) / 4))
    assert "not taken: no" in ax.get_legend_handles_labels()[1]


def chain_of(names):
    def fun(x):
        for name in names:
            x = jw.tag(1.01 * x, name)
        return jnp.sum(x)

    return jw.walk(fun)(jnp.ones(2))


def test_where_there_is_no_room_scopes_are_named():
    walk = chain_of([f"net/stage{i}/block{j}/{name}" for i in range(3) for j in range(4) for name in ("a", "b")])
    assert len(labels(jw.plot.flow(walk))) == 24
    ax = jw.plot.flow(walk, ax=plt.figure(figsize=(5, 3)).subplots())
    assert labels(ax) == [f"stage{i}/block{j}/" for i in range(3) for j in range(4)]
    assert words(ax) == "Names are within `net/`."
    small = jw.plot.flow(walk, ax=plt.figure(figsize=(5, 1.4)).subplots())
    assert labels(small) == ["stage0/", "stage1/", "stage2/"]
    flat = jw.plot.flow(chain_of([f"n{i}" for i in range(30)]), ax=plt.figure(figsize=(5, 1.4)).subplots())
    assert 3 <= len(labels(flat)) <= 8
    assert f"No room for the names of {30 - len(labels(flat))} of 30 points; choose by `at`." in words(flat)


def test_words_stay_within_a_figure_that_has_no_layout():
    figure = plt.figure(figsize=(5, 3))
    ax = jw.plot.flow(jw.walk(fun)(jnp.array([1.0, 3.0]), 1.0), ax=figure.subplots())
    outer = ax.get_tightbbox()
    assert min(outer.x0, outer.y0) >= -2
    assert outer.x1 <= figure.bbox.x1 + 2
    assert outer.y1 <= figure.bbox.y1 + 2


def test_extremes_of_float64(float64):
    values = {"tiny": 1e-320, "huge": 1e308, "zero": 0.0}
    walk = jw.walk(lambda x: sum(jnp.sum(jw.tag(v * x, k)) for k, v in values.items()))(jnp.ones(2))
    ax = jw.plot.flow(walk)
    ax.figure.canvas.draw()
    assert len(dots(ax)["output"].T) == 3
    everything_zero = jw.plot.flow(jw.walk(lambda x: 0 * jnp.sum(jw.tag(0 * x, "x")))(jnp.ones(2)))
    everything_zero.figure.canvas.draw()
    assert "0" in [tick.get_text() for tick in everything_zero.get_xticklabels()]


def test_a_dark_figure_has_its_own_colours():
    with plt.style.context("dark_background"):
        ax = jw.plot.flow(chain_of(["a", "b"]))
    assert ax.get_legend().get_texts()[0].get_color() == "#e6edf3"


def test_what_is_refused():
    walk = jw.walk(fun)(jnp.array([1.0, 3.0]), 1.0)
    with pytest.raises(jw.PointError, match=r"`at='lok'` matches no point\. "):
        jw.plot.flow(walk, "lok")
    with pytest.raises(
        jw.PointError, match=r"`at='mask'` chooses points of which no size is known: `mask`; choose oth"
    ):
        jw.plot.flow(walk, "mask")
    with pytest.raises(jw.ArgumentError, match=r"`result` is .*; give the `Walk` or the `Evaluation`"):
        jw.plot.flow(types.SimpleNamespace(points={}))
    with pytest.raises(jw.ArgumentError, match=r"`ax` is 3, which is no `matplotlib\.axes\.Axes`"):
        jw.plot.flow(walk, ax=3)
    with pytest.raises(jw.PointError, match=r"What was kept tells no sizes; keep `jw\.stats\.norms`"):
        jw.plot.flow(jw.walk(fun, keep=jw.stats.dead)(jnp.array([1.0, 3.0]), 1.0))


def test_findings_stand_beside_their_rows():
    walk = jw.walk(scanned)(WEIGHTS, X)
    health = jw.Health(
        [
            jw.Finding("vanishing", "h/linear", 1e-4, 1e-3, "", "", points=("h/linear", "h/tanh")),
            jw.Finding("saturated", "h/tanh", 1.0, 0.9, "", ""),
            jw.Finding("dead", "elsewhere", 1.0, 0.9, "", ""),
        ]
    )
    ax = jw.plot.flow(walk, health=health)
    beside = {text.get_text(): text.xy[1] for text in ax.texts if text.get_color() == LIGHT.alarm}
    middles = dict(zip(labels(ax), ax.get_yticks(), strict=True))
    assert beside == {"vanishing": middles["h/linear"], "vanishing, saturated": middles["h/tanh"]}
    assert "Found: vanishing at 2 points, first `h/linear`; saturated at `h/tanh`." in words(ax)
    assert "Found, but at none of these points: dead at `elsewhere`." in words(ax)
    named = {label.get_text(): label.get_color() for label in ax.get_yticklabels()}
    assert named["h/tanh"] == LIGHT.alarm != named["start"]
    with pytest.raises(jw.ArgumentError, match=r"`health` is \['dead'\], which is no `Health`; give what `jw\.health`"):
        jw.plot.flow(walk, health=["dead"])


def test_the_flow_of_one_step_of_a_training_is_drawn():
    history = synthetic(steps=8, blocks=2, layers=3, stride=2)
    ax = jw.plot.flow(history, "blocks/0/*", step=6)
    assert ax.get_title(loc="left") == f"Flow through 3 of 22 points, step 6, loss {float(history.loss[3]):.4g}"
    kept = history.kept["blocks/0/norm_1"]["delta_rms"][3]
    assert np.isin(kept, np.float32(dots(ax)["δ"][0])).all()
    found = [jw.Finding("dead", "embed", 1, 0.9, "", "", steps=(0, 6)), jw.Finding("zero", "logits", 1, 1, "", "")]
    ax = jw.plot.flow(history, health=jw.Health(found), step=8)
    assert "Found: zero at `logits`.\nFound, but not in this step: dead." in words(ax)
    assert jw.plot.flow(history).get_title(loc="left") == "Flow through 22 points, step 14, loss nan"
    with pytest.raises(
        jw.ArgumentError, match="`step` is 5, which the history does not hold: it has 0 to 14, every 2 of"
    ):
        jw.plot.flow(history, step=5)
    with pytest.raises(jw.ArgumentError, match="`step` is 0, but `result` is no `History`; leave it out"):
        jw.plot.flow(jw.walk(scanned)(WEIGHTS, X), step=0)
