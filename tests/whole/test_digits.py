"""The example of the handwritten digits, with less training than it has."""

import contextlib
import importlib
import io
import os
import re
import runpy
import sys
from pathlib import Path

import jax
import matplotlib.image
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk._cli.data.open import open_data
from jaxwalk._cli.model_file import read_model

pytestmark = pytest.mark.once

DIGITS = Path(__file__).parents[2] / "examples" / "digits"
OWN = [path.stem for path in DIGITS.glob("*.py")]


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """A function that imports a file of the example; at the end no module `data` or `model` is left behind."""
    with pytest.MonkeyPatch.context() as patch, jax.numpy_dtype_promotion("standard"):  # optax needs it
        patch.syspath_prepend(DIGITS)
        patch.setenv("DIGITS_WEIGHTS", str(tmp_path_factory.mktemp("digits") / "weights.npz"))
        before = {name: sys.modules.pop(name) for name in OWN if name in sys.modules}
        yield importlib.import_module
        for name in OWN:
            sys.modules.pop(name, None)
        sys.modules.update(before)


@pytest.fixture(scope="module")
def trained(room):
    """The weights' file, and what training printed."""
    path = Path(os.environ["DIGITS_WEIGHTS"])
    with contextlib.redirect_stdout(io.StringIO()) as out:
        room("train").main(path, epochs=4)
    return path, out.getvalue()


def test_it_learns(room, trained):
    path, printed = trained
    lines = (
        r"epoch  4: mean loss \d\.\d+; of the digits held out, \d+\.\d% are read right\n"
        r" +on those, ‖δ‖ at relu1 [\d.e-]+, relu2 [\d.e-]+, relu3 [\d.e-]+; most to blame is digit \d+\n"
        r"weights: .*\.npz\n"
    )
    assert re.fullmatch(lines, printed)
    params = room("network").load(path)
    assert room("train").accuracy(params, *room("data").digits(held_out=True)) > 0.85
    untrained = room("network").initial(jax.random.key(0))
    assert room("train").accuracy(untrained, *room("data").digits(held_out=True)) < 0.4


def test_weights_are_saved_as_they_are(room, tmp_path):
    params = room("network").initial(jax.random.key(1))
    room("network").save(tmp_path / "weights.npz", params)
    jax.tree.map(np.testing.assert_array_equal, room("network").load(tmp_path / "weights.npz"), params)


def test_training_starts_from_a_seed(room):
    x, y = room("data").digits(held_out=False)
    once, again = (next(room("train").train(x[:128], y[:128], epochs=1)) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, once, again)


def test_what_is_held_out_is_not_learned_from(room):
    learned, held_out = (room("data").digits(held_out=h)[0].reshape(-1, 64) for h in (False, True))
    assert (len(learned), len(held_out)) == (1198, 599)
    assert len(np.unique(np.concatenate([learned, held_out]), axis=0)) == 1797  # no two are the same


def test_a_moved_image_keeps_its_ink(room):
    image = np.zeros((8, 8), np.float32)
    image[3:5, 3:5] = 1
    moved = np.stack([room("train").moved(key, image) for key in jax.random.split(jax.random.key(0), 8)])
    np.testing.assert_allclose(moved.sum((1, 2)), 4, rtol=0.02)
    centres = np.einsum("nij,ijc->nc", moved, np.stack(np.indices((8, 8)), 2)) / moved.sum((1, 2))[:, None]
    assert 0.2 < abs(centres - 3.5).max() < 0.75


def test_the_model_and_its_data_are_what_the_command_line_takes(room, trained, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["data.py", str(tmp_path / "digits.npz")])
    runpy.run_path(str(DIGITS / "data.py"), run_name="__main__")
    assert capsys.readouterr().out == f"599 digits held out: {tmp_path / 'digits.npz'}\n"
    data = open_data(tmp_path / "digits.npz")
    (x, y), *_ = data.batches(4)
    assert (data.rows, x.shape, x.dtype, y.dtype) == (599, (4, 8, 8), np.float32, np.int32)
    assert 0 <= x.min() < x.max() <= 1
    model = read_model(DIGITS / "model.py")
    assert list(jw.points(model.objective, model.params, *data.first))[:3] == ["input", "image", "conv1"]


def test_without_weights_the_model_says_what_to_do(room, tmp_path, monkeypatch):
    monkeypatch.setenv("DIGITS_WEIGHTS", str(tmp_path / "absent.npz"))
    with pytest.raises(jw.DataError, match=r"absent\.npz is not there yet; train the network first, by train\.py"):
        read_model(DIGITS / "model.py")


def test_the_picture(room, trained, tmp_path):
    picture = room("picture")
    x, y = room("data").digits(held_out=True)
    params = room("network").load(trained[0])
    found = picture.culprits(params, x, y, 3)
    losses = np.array(jax.vmap(picture.objective, (None, 0, 0))(params, x, y))
    largest = np.argsort(losses)[::-1][:3]
    assert [datum.index for datum in found] == largest.tolist()
    np.testing.assert_allclose([datum.loss for datum in found], losses[largest], rtol=1e-4)
    ax = picture.draw(tmp_path / "culprits.png", params, x, y, found)
    shown = [np.asarray(panel.images[0].get_array()) for panel in ax.child_axes]
    delta = jax.jit(jax.vmap(jax.grad(picture.objective, 1), (None, 0, 0)))(params, x[largest], y[largest])
    np.testing.assert_allclose(shown[::2], x[largest])
    np.testing.assert_allclose(shown[1::2], delta, atol=1e-4)
    assert [panel.texts[0].get_text().partition(",")[0] for panel in ax.child_axes[::2]] == [*map(str, y[largest])]
    image = matplotlib.image.imread(tmp_path / "culprits.png")
    assert image.shape[1] == int(ax.figure.get_figwidth() * 150)
    assert image[..., :3].std() > 0.1
