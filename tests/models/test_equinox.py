"""Models of Equinox: by their own scopes, which hold the class of a module; and by those of `jw.scoped`, its path."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jaxwalk as jw
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
    import equinox as eqx

pytestmark = pytest.mark.usefixtures("float64")

KEY = jax.random.key(0)


def squared(result, y):
    return jnp.sum((result - y) ** 2)


def parts(model, scoped):
    """The parameters, and all else, of a model; of `scoped(model)`, if that is not None."""
    params, static = eqx.partition(model if scoped is None else scoped(model), eqx.is_inexact_array)
    return drawn(lambda: params), static


# An MLP, per datum ---------------------------------------------------------------------------------------------


@functools.cache
def mlp(scoped=None):
    random = np.random.default_rng(0)
    params, static = parts(eqx.nn.MLP(3, 2, width_size=4, depth=2, key=KEY), scoped)

    def fun(params, x, y):
        model = eqx.combine(params, static)
        return squared(jax.vmap(model)(x), y)

    def displaced(at, params, x, y):
        model = eqx.combine(params, static)
        h = at("layers.0", jax.vmap(model.layers[0])(x))
        h = at("layers.1", jax.vmap(model.layers[1])(jax.nn.relu(h)))
        h = at("layers.2", jax.vmap(model.layers[2])(jax.nn.relu(h)))
        return at("loss", squared(at("MLP", h), y))

    layers = ["layers.0", "layers.1", "layers.2"]
    if scoped is None:
        names = {f"eqx.nn.MLP/eqx.nn.Linear{n}": layer for n, layer in zip(("", "#2", "#3"), layers)}
        names["eqx.nn.MLP"] = "MLP"
    else:
        names = {name: name for name in (*layers, "MLP")}
    args = params, random.normal(size=(5, 3)), random.normal(size=(5, 2))
    return Model(fun, args, displaced, names, lines=LOSS)


LOSS = {"fun/return/squared/return": "loss", "fun/return": "loss"}


# A block of a transformer --------------------------------------------------------------------------------------


class Block(eqx.Module):
    norm: eqx.nn.LayerNorm
    attention: eqx.nn.MultiheadAttention
    mlps: list[eqx.nn.MLP]

    def __init__(self):
        self.norm = eqx.nn.LayerNorm(4)
        self.attention = eqx.nn.MultiheadAttention(2, 4, key=KEY)
        self.mlps = [eqx.nn.MLP(4, 4, width_size=3, depth=1, key=KEY), eqx.nn.MLP(4, 4, 3, 1, key=KEY)]

    def __call__(self, x):
        h = jax.vmap(self.norm)(x)
        x = x + self.attention(h, h, h)
        for mlp in self.mlps:
            x = x + jax.vmap(mlp)(x)
        return x


@functools.cache
def attention(scoped=None):
    random = np.random.default_rng(0)
    params, static = parts(Block(), scoped)

    def fun(params, x, y):
        return squared(eqx.combine(params, static)(x), y)

    def displaced(at, params, x, y):
        model = eqx.combine(params, static)
        # Without a bias, a Linear under `vmap` leaves its scope with the features first, as JAX multiplies.
        linear = lambda name, h: at(name, jax.vmap(getattr(model.attention, name.split(".")[-1]))(h).T).T
        h = at("norm", jax.vmap(model.norm)(x))
        query, key, value = (linear(f"attention.{p}_proj", h).reshape(3, 2, 2) for p in ("query", "key", "value"))
        weights = jax.nn.softmax(jnp.einsum("shd,Shd->hsS", query / np.sqrt(2), key))
        h = jnp.einsum("hsS,Shd->shd", weights, value).reshape(3, 4)
        x = at("mixed", x + at("attention", linear("attention.output_proj", h)))
        for i, mlp in enumerate(model.mlps):
            h = at(f"mlps.{i}.layers.0", jax.vmap(mlp.layers[0])(x))
            h = at(f"mlps.{i}.layers.1", jax.vmap(mlp.layers[1])(jax.nn.relu(h)))
            x = at(f"sum.{i}", x + at(f"mlps.{i}", h))
        return at("loss", squared(at("Block", x), y))

    heads = [f"attention.{part}_proj" for part in ("query", "key", "value", "output")]
    layers = [f"mlps.{i}.layers.{j}" for i in (0, 1) for j in (0, 1)]
    if scoped is None:
        names = {"eqx.nn.LayerNorm": "norm", "eqx.nn.MultiheadAttention": "attention"}
        names |= {f"eqx.nn.MultiheadAttention/eqx.nn.Linear{n}": h for n, h in zip(("", "#2", "#3", "#4"), heads)}
        mlps = [f"eqx.nn.MLP{m}/eqx.nn.Linear{n}" for m in ("", "#2") for n in ("", "#2")]
        names |= dict(zip(mlps, layers)) | {"eqx.nn.MLP": "mlps.0", "eqx.nn.MLP#2": "mlps.1"}
    else:
        names = {name: name for name in ("norm", "attention", *heads, *layers, "mlps.0", "mlps.1", "Block")}
    call = "fun/return/Block.__call__"
    lines = {f"{call}/h": "norm", f"{call}/x": "mixed", f"{call}/x#2": "sum.0", f"{call}/x#3": "sum.1", **LOSS}
    args = params, random.normal(size=(3, 4)), random.normal(size=(3, 4))
    return Model(fun, args, displaced, names, lines=lines)


# A GRU over time -----------------------------------------------------------------------------------------------

STEPS = 4


class Recurrent(eqx.Module):
    cell: eqx.nn.GRUCell
    head: eqx.nn.Linear

    def __init__(self):
        self.cell = eqx.nn.GRUCell(3, 4, key=KEY)
        self.head = eqx.nn.Linear(4, 2, key=KEY)

    def __call__(self, x):
        h, _ = lax.scan(lambda h, x: (self.cell(x, h), None), jnp.zeros(4), x)
        return self.head(h)


@functools.cache
def gru(scoped=None):
    random = np.random.default_rng(0)
    params, static = parts(Recurrent(), scoped)

    def fun(params, x, y):
        return squared(eqx.combine(params, static)(x), y)

    def displaced(at, params, x, y):
        model = eqx.combine(params, static)
        h = jnp.zeros(4)
        for i in range(STEPS):
            h = at(f"cell.{i}", model.cell(x[i], h))
        return at("loss", squared(at("Recurrent", at("head", model.head(h))), y))

    steps = [f"cell.{i}" for i in range(STEPS)]
    if scoped is None:
        names = {"eqx.nn.GRUCell": steps, "eqx.nn.Linear": "head"}
    else:
        names = {"cell": steps, "head": "head", "Recurrent": "Recurrent"}
    call = "fun/return/Recurrent.__call__"
    lines = {f"{call}/h,_": steps[-1], f"{call}/return": "head", **LOSS}
    args = params, random.normal(size=(STEPS, 3)), random.normal(size=2)
    return Model(fun, args, displaced, names, lines=lines)


models = pytest.mark.parametrize("build", [mlp, attention, gru])


@models
def test_oracle(build):
    check_oracle(build())


@models
def test_every_scope_is_a_module(build):
    model = build()
    einsums = {name for name in entered(model.fun, *model.args) if "->" in name}
    assert entered(model.fun, *model.args) - einsums == set(model.names)


@models
def test_walk_by_the_scopes_of_equinox(build):
    check_walk(build(), beside=["*->*"])


@models
def test_walk_by_the_scopes_of_scoped(build):
    check_walk(build(jw.scoped), beside=["*->*"])


@models
def test_walk_by_lines(build):
    check_walk(build(), by="lines")


def test_bits():
    """Of the others, JAX compiles a part also where it runs op by op: a scan, `jnp.einsum`."""
    check_bits(mlp())
    check_bits(mlp(), by="lines")


def test_kinks():
    check_no_kinks(mlp(), 2)
    check_no_kinks(attention(jw.scoped), 3)
    check_kinks_of_zeros(mlp(), ["eqx.nn.MLP/eqx.nn.Linear", "eqx.nn.MLP/eqx.nn.Linear#2"])
    check_kinks_of_zeros(mlp(jw.scoped), ["layers.0", "layers.1"])
    check_kinks_of_padding(mlp())


# Units: channels are first ------------------------------------------------------------------------------------


def test_dead_channels_of_a_convolution_in_a_scoped_model():
    class Net(eqx.Module):
        conv: eqx.nn.Conv2d
        norm: eqx.nn.GroupNorm
        pool: eqx.nn.MaxPool2d
        out: eqx.nn.Linear

        def __call__(self, x):
            h = self.pool(self.norm(jax.nn.relu(self.conv(x))))
            return self.out(h.reshape(-1))

    parts = eqx.nn.Conv2d(1, 16, 3, padding=1, key=KEY), eqx.nn.GroupNorm(4, 16), eqx.nn.MaxPool2d(2, 2)
    net = Net(*parts, eqx.nn.Linear(256, 2, key=KEY))
    bias = net.conv.bias.at[jnp.array([2, 5, 7])].set(-100)
    net = jw.scoped(eqx.tree_at(lambda net: net.conv.bias, net, bias))
    x, y = np.random.default_rng(0).normal(size=(4, 1, 8, 8)), np.zeros((4, 2))
    found = jw.evaluate(lambda net, x, y: squared(net(x), y), net, [(x, y)], keep=jw.stats.dead, progress=False)
    assert np.flatnonzero(found.kept["conv"]["dead"]).tolist() == [2, 5, 7]
    assert {name: found.points[name].units[0].axes for name in ("conv", "norm", "pool", "out")} == {
        "conv": (0,), "norm": (0,), "pool": (0,), "out": (0,)
    }  # fmt: skip
    assert str(found.points["conv"].units[0]) == "axis 0 of (16, 8, 8), after relu"
