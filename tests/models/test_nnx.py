"""Models of Flax NNX, whose modules open no scope: by the lines of their source, and by the scopes of `jw.scoped`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw
from oracle import Model, check_bits, check_oracle, check_walk, drawn, entered, importing

with importing():
    from flax import nnx

pytestmark = pytest.mark.usefixtures("float64", "relaxed")


def squared(result, y):
    return jnp.sum((result - y) ** 2)


LOSS = {"fun/return/squared/return": "loss", "fun/return": "loss"}


def parts(model, scoped):
    """The structure, the parameters and all other state of a model; of `scoped(model)`, if that is not None."""
    graph, params, rest = nnx.split(model if scoped is None else scoped(model), nnx.Param, ...)
    return graph, drawn(lambda: params), jax.tree.map(lambda s: s.astype(jnp.float64), rest)


class MLP(nnx.Module):
    def __init__(self, rngs):
        self.up = nnx.Linear(3, 4, rngs=rngs)
        self.drop = nnx.Dropout(0.5, deterministic=True)
        self.shared = nnx.Linear(4, 4, rngs=rngs)

    def __call__(self, x):
        x = nnx.tanh(self.up(x))
        x = self.drop(x)
        x = self.shared(x)
        return self.shared(nnx.tanh(x))


@functools.cache
def mlp(scoped=None):
    random = np.random.default_rng(0)
    graph, params, rest = parts(MLP(nnx.Rngs(0)), scoped)

    def fun(params, x, y):
        model = nnx.merge(graph, params, rest, copy=True)
        return squared(model(x), y)

    def displaced(at, params, x, y):
        model = nnx.merge(graph, params, rest, copy=True)
        h = at("tanh", nnx.tanh(at("up", model.up(x))))
        h = at("shared", model.shared(h))
        h = at("shared#2", model.shared(nnx.tanh(h)))
        return at("loss", squared(at("MLP", h), y))

    names = {name: name for name in ("up", "shared", "shared#2", "MLP")}
    call = "fun/return/MLP.__call__"
    lines = {f"{call}/x": "tanh", f"{call}/x#2": "shared", f"{call}/return": "MLP", **LOSS}
    args = params, random.normal(size=(2, 3)), random.normal(size=(2, 4))
    return Model(fun, args, displaced, {} if scoped is None else names, lines=lines)


class Block(nnx.Module):
    def __init__(self, channels, rngs):
        self.conv = nnx.Conv(channels, 2, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(2, rngs=rngs)

    def __call__(self, x):
        x = self.conv(x)
        x = self.norm(x)
        return nnx.relu(x)


class CNN(nnx.Module):
    def __init__(self, rngs):
        self.blocks = nnx.List([Block(1, rngs), Block(2, rngs)])
        self.head = nnx.Linear(2, 3, rngs=rngs)

    def __call__(self, x):
        for block in self.blocks:
            x = block(x)
        x = jnp.mean(x, (1, 2))
        return self.head(x)


@functools.cache
def cnn(scoped=None):
    random = np.random.default_rng(0)
    graph, params, rest = parts(CNN(nnx.Rngs(0)), scoped)

    def fun(params, x, y):
        model = nnx.merge(graph, params, rest, copy=True)
        return squared(model(x), y)

    def displaced(at, params, x, y):
        model = nnx.merge(graph, params, rest, copy=True)
        for i, block in enumerate(model.blocks):
            x = at(f"blocks.{i}.conv", block.conv(x))
            x = at(f"blocks.{i}.norm", block.norm(x))
            x = at(f"blocks.{i}", nnx.relu(x))
        x = at("mean", jnp.mean(x, (1, 2)))
        return at("loss", squared(at("CNN", at("head", model.head(x))), y))

    blocks = [f"blocks.{i}" for i in (0, 1)]
    names = [f"{block}{part}" for block in blocks for part in (".conv", ".norm", "")] + ["head", "CNN"]
    call = "fun/return/CNN.__call__"
    lines = {f"{call}/x#3": "mean", f"{call}/return": "head", **LOSS}
    for turn, block in zip(("", "#2"), blocks):
        inner = f"{call}/x{turn}/Block.__call__"
        lines |= {f"{inner}/x": f"{block}.conv", f"{inner}/x#2": f"{block}.norm", f"{inner}/return": block}
        lines[f"{call}/x{turn}"] = block
    args = params, random.normal(size=(2, 4, 4, 1)), random.normal(size=(2, 3))
    return Model(fun, args, displaced, {} if scoped is None else {name: name for name in names}, lines=lines)


models = pytest.mark.parametrize("build", [mlp, cnn])


@models
def test_oracle(build):
    check_oracle(build())


@models
def test_modules_open_no_scope(build):
    model = build()
    assert entered(model.fun, *model.args) == set()


@models
def test_walk_by_the_scopes_of_scoped(build):
    check_walk(build(jw.scoped))


@models
def test_walk_by_lines(build):
    check_walk(build(), by="lines")


@models
def test_bits(build):
    check_bits(build(), by="lines")
