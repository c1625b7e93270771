"""A model of `jax.example_libraries.stax`: functions in, functions out, and no scope but those one opens oneself."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.example_libraries import stax

from oracle import Model, check_no_kinks, check_oracle, check_walk, drawn, entered

pytestmark = pytest.mark.usefixtures("float64", "relaxed")


def named(name, layer):
    """A layer that opens a scope when it is applied."""
    init, apply = layer
    return init, jax.named_scope(name)(apply)


LAYERS = {
    "conv": stax.Conv(2, (3, 3), padding="SAME"),
    "norm": stax.BatchNorm(axis=(0, 1, 2)),
    "pool": stax.MaxPool((2, 2)),
    "relu": stax.Relu,
    "flat": stax.Flatten,
    "two": stax.FanOut(2),
    "both": stax.parallel(stax.Dense(3), stax.Identity),
    "sum": stax.FanInConcat(),
    "dense": stax.Dense(2),
    "softmax": stax.LogSoftmax,
}


def cross_entropy(log_probabilities, y):
    return -jnp.mean(log_probabilities * y)


@functools.cache
def cnn():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(2, 4, 4, 1)), random.uniform(size=(2, 2))
    init, apply = stax.serial(*(named(name, layer) for name, layer in LAYERS.items()))
    params = drawn(lambda key: init(key, x.shape)[1], jax.random.key(0))

    def fun(params, x, y):
        return cross_entropy(apply(params, x), y)

    def displaced(at, params, x, y):
        for (name, (_, layer)), weights in zip(LAYERS.items(), params, strict=True):
            x = layer(weights, x)
            if name == "both":  # the second is the identity
                x = (at(name, x[0]), x[1])
            elif name != "two":
                x = at(name, x)
        return cross_entropy(x, y)

    return Model(fun, (params, x, y), displaced, {name: name for name in LAYERS if name != "two"})


def test_oracle():
    check_oracle(cnn())


def test_every_scope_is_a_layer():
    model = cnn()
    assert entered(model.fun, *model.args) == set(model.names)


def test_walk():
    check_walk(cnn())


def test_kinks():
    check_no_kinks(cnn(), 3)
