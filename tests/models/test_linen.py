"""Models of Flax linen, unedited: every module is a scope."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oracle import (
    Model,
    check_bits,
    check_kinks_of_padding,
    check_kinks_of_zeros,
    check_no_kinks,
    check_oracle,
    check_walk,
    drawn,
    entered,
    importing,
)

with importing():
    import flax.linen as nn

pytestmark = pytest.mark.usefixtures("float64", "relaxed")


def intercepted(root, at):
    """Every module's output has an ε; `root` is the name of the outermost module."""

    def add(next_fun, args, kwargs, context):
        out = next_fun(*args, **kwargs)
        return at("/".join((root, *context.module.path)), out) if context.method_name == "__call__" else out

    return nn.intercept_methods(add)


def squared(result, y):
    return jnp.sum((result - y) ** 2)


# A module called twice, one that computes nothing, one inside another --------------------------------------


class Twice(nn.Module):
    @nn.compact
    def __call__(self, x):
        dense = nn.Dense(4, name="dense")
        return dense(dense(x))


class MLP(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Dense(4)(x))
        x = Twice(name="twice")(x)
        x = nn.Dropout(0.5, deterministic=True)(nn.tanh(x))
        return nn.Dense(2, name="head")(x)


@functools.cache
def mlp():
    random = np.random.default_rng(0)
    model, x, y = MLP(), random.normal(size=(3, 5)), random.normal(size=(3, 2))
    params = drawn(model.init, jax.random.key(0), x)

    def displaced(at, params, x, y):
        skip = lambda path, out: out if path == "MLP/Dropout_0" else at(path, out)
        with intercepted("MLP", skip):
            return squared(model.apply(params, x), y)

    names = ["MLP/Dense_0", "MLP/twice/dense", "MLP/twice/dense#2", "MLP/twice", "MLP/head", "MLP"]
    fun = lambda params, x, y: squared(model.apply(params, x), y)
    return Model(fun, (params, x, y), displaced, {name: name for name in names})


# Convolutions, and statistics of the batch that come out beside the loss ------------------------------------


class Block(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        x = nn.Conv(3, (3, 3))(x)
        x = nn.BatchNorm(use_running_average=not train)(x)
        return nn.relu(x)


class CNN(nn.Module):
    def setup(self):
        self.blocks = [Block(), Block()]
        self.head = nn.Dense(2)

    def __call__(self, x, train):
        for block in self.blocks:
            x = block(x, train)
        x = nn.avg_pool(x, (2, 2), (2, 2))
        return self.head(x.reshape(x.shape[0], -1))


@functools.cache
def cnn():
    random = np.random.default_rng(0)
    model, x, y = CNN(), random.normal(size=(2, 4, 4, 1)), random.normal(size=(2, 2))
    variables = drawn(functools.partial(model.init, train=True), jax.random.key(0), x)
    statistics = variables["batch_stats"]

    def fun(params, x, y):
        variables = {"params": params, "batch_stats": statistics}
        result, updates = model.apply(variables, x, True, mutable=["batch_stats"])
        return squared(result, y), updates

    def displaced(at, params, x, y):
        with intercepted("CNN", at):
            return fun(params, x, y)[0]

    # The new mean and variance leave before the output, out of the norm, its block and the model.
    names = {}
    for block in ("CNN/blocks_0", "CNN/blocks_1"):
        names[f"{block}/Conv_0"] = f"{block}/Conv_0"
        names |= {f"{block}/BatchNorm_0:2": f"{block}/BatchNorm_0", f"{block}:2": block}
    names |= {"CNN/head": "CNN/head", "CNN:4": "CNN"}
    return Model(fun, (variables["params"], x, y), displaced, names, has_aux=True)


STATISTICS = ["CNN/blocks_?/BatchNorm_0:[01]", "CNN/blocks_?:[01]", "CNN:[0-3]"]


# A transformer, its layers scanned and rematerialised -------------------------------------------------------

LAYERS = 3


class Layer(nn.Module):
    @nn.compact
    def __call__(self, x, _):
        x = x + nn.MultiHeadDotProductAttention(2, deterministic=True, name="attention")(nn.LayerNorm()(x))
        h = nn.gelu(nn.Dense(8, name="up")(nn.LayerNorm()(x)))
        return x + nn.Dense(4, name="down")(h), None


class Transformer(nn.Module):
    scanned: bool = True

    @nn.compact
    def __call__(self, tokens):
        x = nn.Embed(7, 4)(tokens)
        if self.scanned:
            layer = nn.remat(Layer, prevent_cse=False)
            axes = {"variable_axes": {"params": 0}, "split_rngs": {"params": True}}
            x, _ = nn.scan(layer, length=LAYERS, **axes)(name="layers")(x, None)
        else:
            for i in range(LAYERS):
                x, _ = Layer(name=f"layer_{i}")(x, None)
        return nn.Dense(7, name="logits")(nn.LayerNorm(name="norm")(x))


def cross_entropy(logits, y):
    return -jnp.mean(jnp.take_along_axis(nn.log_softmax(logits), y[..., None], -1))


@functools.cache
def transformer():
    scanned, unrolled = Transformer(), Transformer(scanned=False)
    x, y = np.random.default_rng(0).integers(0, 7, size=(2, 2, 3))
    params = drawn(scanned.init, jax.random.key(0), x)["params"]

    def displaced(at, params, x, y):
        params = dict(params)
        layers = params.pop("layers")
        for i in range(LAYERS):
            params[f"layer_{i}"] = jax.tree.map(lambda p, i=i: p[i], layers)
        with intercepted("Transformer", at):
            return cross_entropy(unrolled.apply({"params": params}, x), y)

    heads = [f"/attention/{part}" for part in ("query", "key", "value", "out")]
    parts = ["/LayerNorm_0", *heads, "/attention", "/LayerNorm_1", "/up", "/down", ""]
    names = {"Transformer/Embed_0": "Transformer/Embed_0"}
    for part in parts:
        names[f"Transformer/layers{part}"] = [f"Transformer/layer_{i}{part}" for i in range(LAYERS)]
    names |= {name: name for name in ("Transformer/norm", "Transformer/logits", "Transformer")}
    fun = lambda params, x, y: cross_entropy(scanned.apply({"params": params}, x), y)
    return Model(fun, (params, x, y), displaced, names)


@pytest.mark.parametrize("build", [mlp, cnn, transformer])
def test_oracle(build):
    check_oracle(build())


@pytest.mark.parametrize("build", [mlp, cnn, transformer])
def test_every_scope_is_a_module(build):
    model = build()
    einsums = {name for name in entered(model.fun, *model.args) if "->" in name}
    assert entered(model.fun, *model.args) - einsums == {name.partition(":")[0] for name in model.names}


def test_walk_of_an_mlp():
    check_walk(mlp())
    check_bits(mlp())


def test_walk_of_a_cnn():
    walk = check_walk(cnn(), beside=STATISTICS)
    for name in ("CNN/blocks_0/BatchNorm_0:0", "CNN/blocks_0:1", "CNN:3"):
        assert walk.points[name].unused
        assert not np.any(walk.deltas[name])


def test_walk_of_a_transformer():
    walk = check_walk(transformer(), beside=["*->*"])
    scores = walk.points["Transformer/layers/attention/...qhd,...khd->...hqk"]  # the scope of `jnp.einsum` itself
    assert scores.shape == (LAYERS, 2, 2, 3, 3)


def test_kinks():
    check_no_kinks(mlp(), 1)
    check_no_kinks(cnn(), 4)
    check_no_kinks(transformer(), 3)
    check_kinks_of_zeros(mlp(), ["MLP/Dense_0"])
    check_kinks_of_padding(mlp())
