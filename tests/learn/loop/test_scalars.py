"""What `log` is told, and that the loggers of others take it: TensorBoard's events are read back by its own reader."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxwalk as jw
from jaxwalk._learn.loop.scalars import scalars

pytestmark = pytest.mark.once

X = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, 1.0]], np.float32)


def fun(weights, x):
    return (jw.tag(x @ weights["w"], "y") - 1.0) ** 2


def keep(output, delta):
    return {"delta_l2": jnp.linalg.norm(delta)}


def test_numbers_have_names_and_arrays_by_unit_are_left_out():
    def loss(weights, x):
        return jnp.sum(jax.lax.scan(lambda h, w: (jw.tag(h * w, "h"), None), x, weights)[0])

    both = lambda output, delta: {"size": jnp.max(output), "units": output, "pair": (jnp.sum(delta), 1)}
    walk = jw.walk(loss, keep=both)(jnp.ones(3), jnp.ones(2))
    weights = jw.Named({"layer/w": {"weight_l2": np.float32(2.0)}, "": {"weight_l2": np.float32(3.0)}})
    found = scalars(jax.device_get(walk.kept), weights, walk.points)
    expected = {f"h/{i}/{key}": n for key, n in (("size", 1.0), ("pair/0", 2.0), ("pair/1", 1.0)) for i in range(3)}
    assert found == expected | {"weights/layer/w/weight_l2": 2.0, "weights/weight_l2": 3.0}


def test_tensorboard(tmp_path):
    summary = pytest.importorskip("tensorboard.summary")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    writer = summary.Writer(str(tmp_path))

    def log(step, numbers):
        for name, number in numbers.items():
            writer.add_scalar(name, number, step)

    params = {"w": jnp.zeros(2)}
    history = jw.learn(fun, params, [X], optax.sgd(0.1), epochs=3, keep=keep, log=log, progress=False).history
    writer.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    read = lambda name: [(event.step, make_ndarray(event.tensor_proto).item()) for event in events.Tensors(name)]
    assert read("loss") == list(enumerate(history.loss))
    assert read("y/delta_l2") == list(enumerate(map(float, history.kept["y"]["delta_l2"])))
    assert read("weights/w/update_l2") == list(enumerate(map(float, history.weights["w"]["update_l2"])))


def test_clu(tmp_path):
    """Where clu is installed, and TensorFlow, without which it cannot be imported."""
    writers = pytest.importorskip("clu.metric_writers", reason="clu, or its TensorFlow, is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    writer = writers.create_default_writer(str(tmp_path), asynchronous=False)
    options = {"keep": keep, "log": writer.write_scalars, "evaluate": [X], "progress": False}
    history = jw.learn(fun, {"w": jnp.zeros(2)}, [X], optax.sgd(0.1), epochs=3, **options).history
    writer.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    read = [(event.step, make_ndarray(event.tensor_proto).item()) for event in events.Tensors("loss")]
    np.testing.assert_allclose(read, list(enumerate(history.loss)), rtol=1e-6)


def test_weights_and_biases(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run = wandb.init(mode="offline", dir=str(tmp_path))
    told = []
    log = lambda step, numbers: told.append(step) or run.log(numbers, step=step)
    jw.learn(fun, {"w": jnp.zeros(2)}, [X], optax.sgd(0.1), epochs=3, keep=keep, log=log, progress=False)
    run.finish()
    assert told == [0, 1, 2]
    (written, *_) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    assert b"delta_l2" in written.read_bytes()


def test_print(capsys):
    jw.learn(fun, {"w": jnp.zeros(2)}, [X], optax.sgd(0.1), keep=keep, log=print, progress=False)
    assert capsys.readouterr().out.startswith("0 {'loss': 1.0, 'data/s': ")
