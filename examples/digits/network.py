"""A small convolutional network that reads a handwritten digit, its loss, and its weights in a file."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxwalk as jw


def convolution(weights, x):
    """3 × 3, x (channels, height, width), of the same height and width."""
    w, b = weights["w"], weights["b"]
    return jax.lax.conv_general_dilated(x[None], w, (1, 1), "SAME")[0] + b[:, None, None]


def pool(x):
    """The largest of every 2 × 2."""
    channels, height, width = x.shape
    return x.reshape(channels, height // 2, 2, width // 2, 2).max((2, 4))


def dense(weights, x):
    return x @ weights["w"] + weights["b"]


network = jw.chain(
    image=lambda x: x[None],
    conv1=convolution, relu1=jax.nn.relu,
    conv2=convolution, pool=pool, relu2=jax.nn.relu, flat=jnp.ravel,
    hidden=dense, relu3=jax.nn.relu,
    logits=dense,
)  # fmt: skip


def objective(params, x, y):
    """Cross-entropy of one digit: x (8, 8), y its label."""
    return optax.softmax_cross_entropy_with_integer_labels(network(params, x), y)


def initial(key):
    """Weights to start from: normal, of variance 2 / (inputs of a unit)."""
    shapes = {"conv1": (16, 1, 3, 3), "conv2": (32, 16, 3, 3), "hidden": (512, 64), "logits": (64, 10)}

    def layer(key, shape):
        inputs, units = (shape[0], shape[1]) if len(shape) == 2 else (np.prod(shape[1:]), shape[0])
        return {"w": jax.random.normal(key, shape) * np.sqrt(2 / inputs), "b": jnp.zeros(units)}

    return {name: layer(k, shapes[name]) for name, k in zip(shapes, jax.random.split(key, len(shapes)))}


def save(path, params):
    np.savez(path, **{f"{layer}/{name}": array for layer, of in params.items() for name, array in of.items()})


def load(path):
    """What `save` saved."""
    if not Path(path).exists():
        raise FileNotFoundError(f"{path} is not there yet; train the network first, by train.py")
    params = {}
    with np.load(path) as arrays:
        for key in arrays.files:
            layer, name = key.split("/")
            params.setdefault(layer, {})[name] = jnp.asarray(arrays[key])
    return params
