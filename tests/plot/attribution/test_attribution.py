"""`attribution`: bars are the totals, a map is the scores, and what is summed, chosen or left out is said."""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk import attribute
from jaxwalk.plot._arrays.signed import NONFINITE

pytestmark = pytest.mark.once

RANDOM = np.random.default_rng(0)
X = jnp.asarray(RANDOM.normal(size=(6, 6)), jnp.float32)
LAYERS = RANDOM.normal(size=(4, 6, 6)).astype("float32") / 2


def fun(x):
    image = jw.tag(x, "image")
    maps = jw.tag(jnp.tanh(jnp.stack([image, 2 * image, 3 * image])), "maps")
    rows = jw.tag(maps.sum((0, 1)), "rows")
    rows, _ = jax.lax.scan(lambda h, w: (jw.tag(jnp.tanh(w @ h), "layer"), None), rows, LAYERS)
    jw.tag(jnp.argmax(rows), "which")
    return jw.tag(jnp.sum(rows * jnp.arange(6.0)), "last")


@pytest.fixture(scope="module")
def found():
    return jax.jit(attribute.conductance(fun, steps=3))(X)


@pytest.fixture(scope="module")
def many():
    return jax.jit(jax.vmap(attribute.gradient_times_output(fun)))(jnp.stack([X, -X, 2 * X]))


def drawn(panel):
    return [patch.get_width() for container in panel.containers for patch in container]


def said(ax):
    return "\n".join([ax.get_title(loc="left"), *(text.get_text() for text in ax.texts)])


def test_the_totals_of_all_points_are_bars(found):
    ax = jw.plot.attribution(found)
    left, right = ax.child_axes
    layers = np.asarray(found.scores["layer"]).sum(1)
    totals = [
        found.inputs.sum(),
        *(found.totals[name] for name in ("image", "maps", "rows")),
        *layers,
        found.totals["last"],
    ]
    np.testing.assert_allclose(drawn(left), totals, rtol=1e-5, atol=1e-6)
    assert [label.get_text() for label in left.get_yticklabels()] == [
        "inputs",
        "image",
        "maps",
        "rows",
        "layer",
        "last",
    ]
    sizes = [found.inputs, *(found.scores[name] for name in ("image", "maps", "rows")), *found.scores["layer"]]
    dots = np.concatenate([line.get_xdata() for line in right.lines if line.get_label() == "_sizes"])
    np.testing.assert_allclose(dots[:-1], [np.abs(each).mean() for each in sizes], rtol=1e-5)
    assert ax.get_title(loc="left") == f"conductance at 5 of 6 points, result {found.value:.4g}".replace("-", "−")
    assert "Of a point in a loop there is a bar for each step." in said(ax)
    assert "Without scores: `which`." in said(ax)


def test_what_the_inputs_should_add_up_to_is_a_line(found, many):
    left, _ = jw.plot.attribution(found).child_axes
    (line,) = [line for line in left.lines if line.get_label().startswith("what the inputs' scores should")]
    np.testing.assert_allclose(line.get_xdata()[0], found.value - fun(0 * X), rtol=1e-4)
    assert line.get_label().endswith(f"{found.value - fun(0 * X):.4g}".replace("-", "−"))
    left, _ = jw.plot.attribution(many).child_axes
    assert not [line for line in left.lines if line.get_label().startswith("what")]  # where nothing is promised


def test_which_points(found):
    ax = jw.plot.attribution(found, ["ma*", "last"])
    assert [label.get_text() for label in ax.child_axes[0].get_yticklabels()] == ["maps", "last"]
    assert ax.get_title(loc="left").startswith("conductance at 2 of 6 points")


def test_of_many_data_the_mean_or_one(many):
    ax = jw.plot.attribution(many, ["image", "maps"])
    np.testing.assert_allclose(
        drawn(ax.child_axes[0]), [many.totals[name].mean() for name in ("image", "maps")], rtol=1e-5
    )
    result = f"{np.mean(many.value):.4g}".replace("-", "−")
    assert ax.get_title(loc="left") == f"gradient_times_output at 2 of 6 points, result {result}; mean over 3 data"
    ax = jw.plot.attribution(many, ["image", "maps"], datum=-1)
    np.testing.assert_allclose(drawn(ax.child_axes[0]), [many.totals[name][2] for name in ("image", "maps")], rtol=1e-5)
    ax = jw.plot.attribution(many, "image")
    np.testing.assert_allclose(ax.images[0].get_array(), np.asarray(many.scores["image"], float).mean(0), rtol=1e-6)
    assert ax.get_xlabel() == "axis 1\nmean over 3 data"
    ax = jw.plot.attribution(many, "image", datum=1)
    np.testing.assert_array_equal(ax.images[0].get_array(), np.float64(many.scores["image"][1]))
    assert "datum 1 of 3 (result" in ax.get_xlabel()


def test_the_scores_of_one_point_are_a_map(found):
    ax = jw.plot.attribution(found, "image")
    np.testing.assert_array_equal(ax.images[0].get_array(), np.float64(found.scores["image"]))
    assert ax.images[0].norm.vmin == -ax.images[0].norm.vmax == -np.abs(found.scores["image"]).max()
    assert ax.get_title(loc="left") == "image: conductance"
    np.testing.assert_array_equal(jw.plot.attribution(found, "inputs").images[0].get_array(), np.float64(found.inputs))
    ax = jw.plot.attribution(found, "last")
    assert [text.get_text() for text in ax.texts] == [f"{found.totals['last']:.4g}".replace("-", "−")]


def test_channels_are_summed_or_one_is_chosen(found):
    maps = np.float64(found.scores["maps"])
    ax = jw.plot.attribution(found, "maps")
    np.testing.assert_array_equal(ax.images[0].get_array(), maps.sum(0))
    assert "summed over axis 0 of 3" in ax.get_xlabel()
    ax = jw.plot.attribution(found, "maps", channel=-1)
    np.testing.assert_array_equal(ax.images[0].get_array(), maps[-1])
    assert "channel 2 of 3, of axis 0" in ax.get_xlabel()
    ax = jw.plot.attribution(found, "maps", channels=2)
    np.testing.assert_array_equal(ax.images[0].get_array(), maps.sum(2))
    ax = jw.plot.attribution(found, "image", channels=1, labels=list("abcdef"))
    np.testing.assert_allclose([bar.get_height() for bar in ax.patches], np.float64(found.scores["image"]).sum(1))
    assert [label.get_text() for label in ax.get_xticklabels()] == list("abcdef")


def test_steps_are_rows_or_one_is_chosen(found):
    ax = jw.plot.attribution(found, "layer", labels=list("abcdef"))
    np.testing.assert_array_equal(ax.images[0].get_array(), np.float64(found.scores["layer"]))
    assert ax.get_ylabel() == "step"
    assert [label.get_text() for label in ax.get_xticklabels()] == list("abcdef")
    ax = jw.plot.attribution(found, "layer", step=1)
    np.testing.assert_allclose([bar.get_height() for bar in ax.patches], found.scores["layer"][1])
    assert "step 1 of 4" in ax.get_xlabel()


def test_inputs_alone_are_drawn_where_there_are_no_others():
    found = attribute.integrated_gradients(lambda x: jnp.sum(jw.tag(x**2, "square")), steps=2)(X)
    np.testing.assert_array_equal(jw.plot.attribution(found).images[0].get_array(), np.float64(found.inputs))
    two = lambda args: jnp.sum(jw.tag(args["w"] * args["x"], "product"))
    found = attribute.gradient_times_output(two)({"w": X[0], "x": X[1]})
    ax = jw.plot.attribution(found, "inputs/w")
    np.testing.assert_allclose([bar.get_height() for bar in ax.patches], X[0] * X[1], rtol=1e-6)
    ax = jw.plot.attribution(found)
    np.testing.assert_allclose(drawn(ax.child_axes[0])[0], 2 * np.sum(X[0] * X[1]), rtol=1e-5)
    assert "The inputs are 2 arrays together." in said(ax)


def test_an_image_is_below_the_scores_that_fit_it(found):
    picture = np.linspace(0, 1, 144).reshape(12, 12)
    ax = jw.plot.attribution(found, "image", over=picture)
    scores, below = ax.images
    np.testing.assert_array_equal(scores.get_array(), np.float64(found.scores["image"]))
    assert scores.get_extent() == below.get_extent()
    assert scores.get_zorder() > below.get_zorder()
    assert scores.cmap(0.5)[3] < 0.01
    assert scores.cmap(1.0)[3] == 1
    assert np.all(np.diff(np.asarray(below.get_array())[..., 0].ravel()) >= 0)
    assert ax.get_xlabel() == "over the image, pale; each score over 2 × 2 of its pixels"
    ax = jw.plot.attribution(found, "maps", over=np.ones((6, 6, 3), np.uint8), channel=0)
    assert np.asarray(ax.images[1].get_array()).shape == (6, 6, 4)


def test_what_is_no_number_is_seen_and_said():
    found = attribute.gradient_times_output(lambda x: jnp.sum(jw.tag(jnp.log(x), "log")))(X)
    left, right = jw.plot.attribution(found).child_axes
    yellow = plt.matplotlib.colors.to_rgba(NONFINITE)
    assert sum(patch.get_facecolor() == yellow for patch in left.patches) == 1
    assert [text.get_text() for text in left.texts][-1] == "nan"
    assert "NaN\nInf" in [label.get_text() for label in right.get_xticklabels()]
    ax = jw.plot.attribution(found, "log")
    assert ax.get_title(loc="right") == f"{int(np.sum(X < 0))} NaN of 36 entries"
    np.testing.assert_array_equal(np.ma.getmaskarray(ax.images[0].get_array()), np.isnan(found.scores["log"]))


def test_complex_scores_are_drawn_in_two_parts():
    wave = lambda x: jnp.sum(jw.tag(jax.lax.complex(jnp.sin(x), x), "wave") ** 2).real
    found = attribute.internal_influence(wave, steps=2)(X[0])
    scores = np.asarray(found.scores["wave"])
    np.testing.assert_allclose(jw.plot.attribution(found, "wave").images[0].get_array(), [scores.real, scores.imag])


def test_half_precision_and_no_entries_are_drawn():
    found = attribute.saliency(lambda x: jnp.sum(jw.tag(x, "x")) + jnp.sum(jw.tag(x[:0], "none")))(X.astype("bfloat16"))
    jw.plot.attribution(found).figure.canvas.draw()
    np.testing.assert_array_equal(jw.plot.attribution(found, "x").images[0].get_array(), np.ones((6, 6)))
    assert [text.get_text() for text in jw.plot.attribution(found, "none").texts] == ["no entries"]


def test_many_points_are_folded_by_scope():
    def deep(x):
        for i in range(120):
            with jax.named_scope(f"stage{i // 12}"):
                x = jw.tag(x * 1.001, f"part{i}")
        return jnp.sum(x)

    found = attribute.gradient_times_output(deep, by="tags")(X)
    ax = jw.plot.attribution(found)
    ax.figure.canvas.draw()
    assert len(drawn(ax.child_axes[0])) == 121
    assert "No room for the names of" in said(ax)


def test_the_axes_given_are_drawn_in_and_returned_however_small(found):
    for at in (None, "image"):
        small = plt.figure(figsize=(1.5, 1)).add_axes((0.2, 0.3, 0.5, 0.5))
        assert jw.plot.attribution(found, at, ax=small) is small
        small.figure.canvas.draw()


REFUSED = [
    ({"attribution": 3}, "`attribution` is 3, which is no `Attribution`; give what a method of `jw.attribute`"),
    ({"at": "imag"}, "matches no point. Near it: `image`"),
    ({"at": "which"}, "There is no `which` here. Its dtype is int32"),
    ({"at": ["which"]}, "`at` chooses points without scores: `which`."),
    ({"at": "inputs/3"}, "`at` is 'inputs/3', which names no array of the inputs. Of the inputs there are: `inputs`"),
    ({"datum": 0}, "`datum` is 0, but the attribution is of one datum; leave it out."),
    ({"step": 0}, "`step` is 0, but `image` is in no loop; leave it out."),
    ({"at": "inputs", "step": 0}, "`step` is 0, but `inputs` is in no loop; leave it out."),
    ({"channels": 2}, "`channels` is 2, but the scores have 2 axes, counted from 0; give one of them."),
    ({"channels": "a"}, "`channels` is 'a'; give the number of an axis, as 0 or -1."),
    ({"channel": 0}, "`channel` is 0, and it is not known which of 2 axes has the channels; name it by `channels`."),
    ({"at": "maps", "channel": 3}, "`channel` is 3, but axis 0 has 3 entries, counted from 0; give one of them."),
    ({"over": 3}, "`over` is 3, which is no image; give an array of two axes, or with a third of 1, 3 or 4"),
    ({"over": np.ones((6, 7))}, "`over` is 6 × 7 pixels, and the scores of `image` are 6 × 6, of another proportion;"),
    ({"at": "rows", "over": np.ones((6, 6))}, "the scores of `rows` that are drawn have the shape (6,), which is no"),
    ({"labels": "abcdef"}, "`labels` is 'abcdef'; give a list of strings, one for each entry of an axis."),
    ({"labels": ["a"]}, "`labels` has 1 entry, and the scores of `image` that are drawn have the shape (6, 6); give"),
    ({"at": None, "over": np.ones((6, 6))}, "`over` is for the scores of one point, and `at` names none; name one,"),
]


@pytest.mark.parametrize(("given", "text"), REFUSED)
def test_what_is_refused(found, given, text):
    with pytest.raises(jw.JaxwalkError) as error:
        jw.plot.attribution(**({"attribution": found, "at": "image"} | given))
    assert text in str(error.value)


def test_what_is_traced_or_of_no_datum_is_refused(many):
    square = attribute.saliency(lambda x: jnp.sum(jw.tag(x**2, "square")))
    with pytest.raises(jw.ArgumentError, match=r"The attribution is being traced, and has no numbers to draw; draw"):
        jax.jit(lambda x: jw.plot.attribution(square(x)))(X)
    with pytest.raises(
        jw.ArgumentError, match=r"There is no datum to draw: an axis that `jax\.vmap` gave has a length"
    ):
        jw.plot.attribution(jax.tree.map(lambda a: a[:0], many))
    with pytest.raises(jw.PointError, match=r"but there are no scores of the inputs; name a point\."):
        jw.plot.attribution(attribute.grad_cam(fun, "maps", channel=0)(X), "inputs")
    with pytest.raises(jw.ArgumentError, match=r"does not begin with that of the result, \(3,\); leave `out_axes`"):
        jw.plot.attribution(jax.tree.map(lambda a: a.T if a.ndim > 1 else a, many), "image")
