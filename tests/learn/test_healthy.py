"""Trainings that go well, of many kinds: `jw.health` finds nothing."""

import itertools
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from trainings import (
    Training,
    dense,
    gpt,
    how,
    keys,
    norm,
    perceptron,
    perceptron_loss,
    regression,
    text,
    transformer,
    with_rate,
)  # fmt: skip

import jaxwalk as jw

pytestmark = pytest.mark.once
STEPS = 30
DIGITS = Path(__file__).parents[2] / "examples" / "digits"


@pytest.fixture(autouse=True)
def promotion_as_a_user_has_it():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def squared(out, y):
    return jnp.mean((out - y) ** 2)


def tanh_glorot_sgd():
    return perceptron_loss(jnp.tanh), optax.sgd(0.2), perceptron(gain=1.0), how(regression(STEPS))


def relu_he_momentum():
    return perceptron_loss(jax.nn.relu), with_rate(optax.sgd, 0.02), perceptron(), how(regression(STEPS))


def gelu_decayed():
    """The weights decay, a hundred times as fast as by the default of optax."""
    return perceptron_loss(jax.nn.gelu), optax.adamw(3e-3, weight_decay=1e-2), perceptron(), how(regression(STEPS))


def digits_network():
    sys.path.insert(0, str(DIGITS))
    try:
        import network
        from data import digits
    finally:
        sys.path.remove(str(DIGITS))
    x, y = digits(held_out=False)
    fun = lambda params, x, y: jnp.mean(jax.vmap(network.objective, (None, 0, 0))(params, x, y))
    batches = ((x[i * 32 : i * 32 + 32], y[i * 32 : i * 32 + 32]) for i in range(STEPS))
    return fun, optax.adam(2e-3), network.initial(jax.random.key(0)), batches


def small_gpt():
    return gpt, with_rate(optax.adam, 3e-3), transformer(6), how(text(STEPS))


def small_gpt_in_bfloat16():
    """The weights are learned in float32, and cast."""

    def fun(params, *batch):
        return gpt(jax.tree.map(lambda w: w.astype(jnp.bfloat16), params), *batch)

    return fun, optax.adam(3e-3), transformer(3), how(text(STEPS))


def recurrent():
    """A vanilla RNN, its matrix orthogonal to begin with; the scan is over time."""
    key = keys()
    params = {
        "letters": jax.random.normal(key(), (64, 16)),
        "into": dense(key(), 16, 32),
        "state": jax.random.orthogonal(key(), 32),
        "head": dense(key(), 32, 64),
    }

    def fun(params, x, y):
        def cell(h, letter):
            h = jw.tag(jnp.tanh(letter @ params["into"] + h @ params["state"]), "state")
            return h, h

        letters = jw.tag(params["letters"][x], "letters")
        _, states = jax.lax.scan(cell, jnp.zeros((len(x), 32)), letters.swapaxes(0, 1))
        logits = jw.tag(states.swapaxes(0, 1) @ params["head"], "logits")
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, y))

    return fun, optax.adam(3e-3), params, text(STEPS)


def residual_with_dropout():
    key = keys()
    layers = [
        {"norm": jnp.ones(16), "up": dense(key(), 16, 32, 2), "down": jnp.zeros((32, 16))} for _ in range(4)
    ]  # residual branches begin at zero
    params = {"into": dense(key(), 8, 16), "layers": layers, "out": dense(key(), 16, 4), "bias": jnp.zeros(4)}

    def fun(params, x, y, seed):
        x = x @ params["into"]
        for i, (w, key) in enumerate(zip(params["layers"], jax.random.split(jax.random.key(seed), 4), strict=True)):
            h = jw.tag(jax.nn.relu(norm(x, w["norm"]) @ w["up"]), f"layers/{i}/act")
            h = jw.tag(h * jax.random.bernoulli(key, 0.8, h.shape) / 0.8, f"layers/{i}/dropped")
            x = jw.tag(x + h @ w["down"], f"layers/{i}/out")
        return squared(x @ params["out"] + params["bias"], y)

    batches = ((*batch, np.uint32(i)) for i, batch in enumerate(regression(STEPS)))
    return fun, optax.adam(1e-2), params, batches


def linen_model():
    from flax import linen as nn

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            for _ in range(3):
                x = nn.relu(nn.LayerNorm()(nn.Dense(16)(x)))
            return nn.Dense(4)(x)

    net = Net()
    fun = lambda params, x, y: squared(net.apply(params, x), y)
    return fun, optax.adam(3e-3), net.init(jax.random.key(0), jnp.ones((1, 8))), regression(STEPS)


def equinox_model_of_one_datum():
    """A batch of one, and weights that are frozen outside of what is learned."""
    import equinox as eqx

    net = eqx.nn.MLP(8, 4, 16, 3, activation=jax.nn.silu, key=jax.random.key(0))
    params, static = eqx.partition(net, eqx.is_inexact_array)

    def fun(params, x, y):
        net = eqx.combine(params, static)
        return squared(jw.tag(jax.vmap(net)(x), "out"), y)

    return fun, optax.adam(3e-3), params, regression(90, batch=1)


def autoencoder():
    key = keys()
    sizes = [8, 16, 4, 16, 8]
    params = [dense(key(), a, b, 1.5) for a, b in itertools.pairwise(sizes)]

    def fun(params, x, _):
        out = x
        for i, w in enumerate(params):
            out = jw.tag(out @ w if i == 3 else jax.nn.elu(out @ w), f"layer{i}")
        return squared(out, x)

    return fun, optax.adam(3e-3), params, regression(STEPS)


def variational_autoencoder():
    """The inputs are of zeros and ones, and so -ELBO is not below zero."""
    key = keys()
    params = {
        "into": dense(key(), 8, 16),
        "mean": dense(key(), 16, 2),
        "log_variance": dense(key(), 16, 2, 0.01),
        "from": dense(key(), 2, 16),
        "out": dense(key(), 16, 8),
    }

    def fun(params, x, seed):
        h = jw.tag(jnp.tanh(x @ params["into"]), "encoder")
        mean, log_variance = jw.tag(h @ params["mean"], "mean"), jw.tag(h @ params["log_variance"], "log_variance")
        z = mean + jnp.exp(log_variance / 2) * jax.random.normal(jax.random.key(seed), mean.shape)
        logits = jw.tag(jnp.tanh(jw.tag(z, "z") @ params["from"]) @ params["out"], "logits")
        kl = 0.5 * jnp.sum(jnp.exp(log_variance) + mean**2 - 1 - log_variance, 1)
        return jnp.mean(jnp.sum(optax.sigmoid_binary_cross_entropy(logits, x), 1) + kl)

    batches = (((x > 0).astype(np.float32), np.uint32(i)) for i, (x, _) in enumerate(regression(STEPS)))
    return fun, optax.adam(1e-2), params, batches


HEALTHY = [
    tanh_glorot_sgd, relu_he_momentum, gelu_decayed, digits_network, small_gpt, small_gpt_in_bfloat16, recurrent,
    residual_with_dropout, linen_model, equinox_model_of_one_datum, autoencoder, variational_autoencoder,
]  # fmt: skip


@pytest.mark.parametrize("case", HEALTHY, ids=lambda case: case.__name__)
def test_nothing_is_found_in_a_training_that_goes_well(case):
    fun, optimizer, params, batches = case()
    history = Training(fun, optimizer).history(params, batches)
    assert np.median(history.loss[-8:]) < 0.97 * np.median(history.loss[:8])
    assert jw.health(history) == ()
