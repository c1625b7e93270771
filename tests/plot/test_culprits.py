"""`culprits`: the bars and the images are those of the entries and of the data most to blame."""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest

import jaxwalk as jw

pytestmark = pytest.mark.once

RANDOM = np.random.default_rng(0)
X = jnp.asarray(RANDOM.uniform(size=(8, 5, 4)), jnp.float32)
W = jnp.asarray(RANDOM.normal(size=(5, 4)), jnp.float32)


def fun(w, x, y):
    return jnp.sum(jw.tag(w * jw.tag(x, "input") ** 2, "product") ** 2)


@pytest.fixture(scope="module")
def walks():
    return jax.jit(jax.vmap(jw.walk(fun), (None, 0, None)))(W, X, 0)


@pytest.fixture(scope="module")
def found():
    return jw.evaluate(fun, W, [(np.asarray(X), np.zeros(8))], keep=None, top=4, progress=False)


def one(walks, i):
    return jax.tree.map(lambda a: a[i], walks)


def images(ax):
    """What each inset shows, images and δ by turns."""
    return [np.asarray(panel.images[0].get_array()) for panel in ax.child_axes if panel.images]


def captions(ax):
    return [[text.get_text() for text in panel.texts] for panel in ax.child_axes if panel.texts]


def test_entries_of_a_walk_beside_its_image(walks):
    walk = one(walks, 2)
    ax = jw.plot.culprits(walk, k=4)
    left, bars = ax.child_axes
    assert ax.get_title(loc="left") == "The 4 entries most to blame"
    for shown, values in zip(images(left), (walk.outputs, walk.deltas), strict=True):
        np.testing.assert_allclose(shown, values["input"])
    expected = walk.culprits(4)
    np.testing.assert_allclose([bar.get_width() for bar in bars.patches], [c.delta for c in expected])
    names = [f"{c.point}{list(c.index)} = {float(c.value):.4g}".replace("-", "−") for c in expected]
    assert [label.get_text() for label in bars.get_yticklabels()] == names
    assert [text.get_text() for text in bars.texts] == [f"{float(c.delta):.4g}".replace("-", "−") for c in expected]
    for bar in bars.patches:
        red, _, blue, _ = bar.get_facecolor()
        assert (red > blue) == (bar.get_width() > 0)


def test_data_of_many_walks_with_their_delta(walks):
    order = np.argsort(-np.asarray(walks.value))[:3]
    ax = jw.plot.culprits(walks, k=3, captions=lambda index: f"number {index}")
    assert ax.get_title(loc="left") == "The 3 data of largest loss"
    shown = images(ax)
    for place, index in enumerate(order):
        np.testing.assert_allclose(shown[2 * place], X[index])
        np.testing.assert_allclose(shown[2 * place + 1], walks.deltas["input"][index])
    assert captions(ax) == [[f"number {i}", f"loss {walks.value[i]:.4g}"] for i in order]
    assert ax.get_xlabel().startswith("below each image its δ")


def test_a_datum_that_is_given_has_the_delta_of_the_point_that_has_its_value(walks):
    shown = images(jw.plot.culprits(one(walks, 1), X[1]).child_axes[0])
    np.testing.assert_allclose(shown[1], walks.deltas["input"][1])
    (shown,) = images(jw.plot.culprits(one(walks, 1), X[1] + 1).child_axes[0])
    np.testing.assert_allclose(shown, X[1] + 1)


def test_data_of_an_evaluation(found):
    ax = jw.plot.culprits(found, k=3)
    data = found.culprits[:3]
    np.testing.assert_allclose([bar.get_width() for bar in ax.patches], [datum.loss for datum in data])
    assert [label.get_text() for label in ax.get_yticklabels()] == [f"datum {datum.index}" for datum in data]
    norm = np.linalg.norm(jax.grad(lambda x: fun(W, x, 0))(X[data[0].index]))
    assert ax.texts[0].get_text() == f"{data[0].loss:.4g}, ‖δ‖ {norm:.3g} at input"
    for given in (X, list(X), lambda index: X[index]):
        ax = jw.plot.culprits(found, given, k=2)
        for shown, datum in zip(images(ax), data, strict=False):
            np.testing.assert_allclose(shown, X[datum.index])
        assert captions(ax) == [[f"datum {d.index}", f"loss {d.loss:.4g}"] for d in data[:2]]
    assert jw.plot.culprits(found, k=100).get_title(loc="left") == "The 4 data of largest loss"


def test_data_that_are_no_images_are_bars_and_that_is_said(found):
    ax = jw.plot.culprits(found, np.zeros((8, 3)))
    assert len(ax.patches) == 4
    assert ax.get_xlabel() == "loss\nnot drawn as images: a datum is an array of shape (3,)"


def test_colours_from_bytes_and_from_floats():
    colours = RANDOM.uniform(size=(3, 6, 7)).astype(np.float32)
    walk = jw.walk(lambda x: jnp.sum(jw.tag(x, "image") * 2))(colours)
    ax = jw.plot.culprits(walk, "image")
    image, delta = images(ax.child_axes[0])
    np.testing.assert_allclose(image[..., :3], np.moveaxis(colours, 0, -1), rtol=1e-6)
    np.testing.assert_array_equal(delta, np.full((6, 7), 2))
    assert "of the channels of a pixel" in ax.get_xlabel()
    whole = np.uint8(255 * np.moveaxis(colours, 0, -1))
    np.testing.assert_allclose(images(jw.plot.culprits(walk, whole).child_axes[0])[0][..., :3] * 255, whole)


def test_what_is_no_number_is_a_band():
    walk = jw.walk(lambda x: jnp.sum(jnp.sqrt(jw.tag(x, "x"))))(jnp.array([0.0, 1.0, 4.0]))
    ax = jw.plot.culprits(walk)
    assert [text.get_text() for text in ax.texts] == ["inf", "0.5", "0.25"]
    log = lambda w, x, y: jnp.sum(w * jw.tag(jnp.log(x), "log"))
    batches = [(np.float32([[1], [-1]]), np.zeros(2))]
    ax = jw.plot.culprits(jw.evaluate(log, 1.0, batches, at="log", keep=None, progress=False))
    assert [text.get_text() for text in ax.texts] == ["nan, ‖δ‖ 1 at log", "0, ‖δ‖ 1 at log"]


def test_complex_deltas_are_as_long_as_their_magnitude():
    def loss(x):
        wave = jw.tag(jax.lax.complex(x, 2 * x), "wave")
        return jnp.sum(jnp.real(wave * wave.conj()))

    walk = jw.walk(loss)(jnp.array([1.0, -3.0]))
    bars = jw.plot.culprits(walk, k=2).patches
    np.testing.assert_allclose([bar.get_width() for bar in bars], np.abs(walk.deltas["wave"])[::-1], rtol=1e-6)


def test_the_axes_given_are_drawn_in_and_returned(walks, found):
    given = plt.figure(figsize=(2, 1)).add_axes((0.1, 0.2, 0.4, 0.5))
    assert jw.plot.culprits(walks, ax=given) is given
    given = plt.figure(figsize=(2, 1)).add_subplot()
    assert jw.plot.culprits(found, ax=given) is given


def test_what_is_refused(walks, found):
    cases = [
        ((3,), {}, r"`result` is 3; give the `Walk` or the `Evaluation` that"),
        ((walks,), {"k": 0}, r"`k` is 0; it must be an integer of at least 1\."),
        ((walks, "inpt"), {}, r"There is no `inpt` here\. Near it: `input`\."),
        ((found, "input"), {}, r"`data` is 'input', but an evaluation holds no outputs; give the data themselves\."),
        ((found, X[:1]), {}, r"`data` is an array of shape \(1, 5, 4\), which has nothing at the index \d; give"),
        ((found, X), {"captions": ["a"]}, r"`captions` is \['a'\], which has nothing at the index \d"),
    ]  # fmt: skip
    for args, options, text in cases:
        with pytest.raises(jw.JaxwalkError, match=text):
            jw.plot.culprits(*args, **options)
    with pytest.raises(jw.ArgumentError, match="The walk is being traced"):
        jax.jit(lambda x: jw.plot.culprits(jw.walk(fun)(W, x, 0)))(X[0])


def test_long_names_are_cut_where_they_are_alike():
    def fun(x):
        for i in range(3):
            x = jw.tag(2 * x, f"Transformer/block_{i}/attention_of_heads")
        return jnp.sum(x)

    ax = jw.plot.culprits(jw.walk(fun)(jnp.ones(1)), k=3)
    labels = [label.get_text().partition("[")[0] for label in ax.get_yticklabels()]
    assert len(set(labels)) == 3
    assert all(f"block_{i}" in label for i, label in enumerate(labels))
