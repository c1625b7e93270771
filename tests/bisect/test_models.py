"""Models of other libraries, broken on purpose: the equation is found in them, with the line that called it."""

import linecache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import nnx

import jaxwalk as jw
from oracle import importing

with importing():
    import haiku as hk

X = np.ones((2, 4), np.float32)


class Cell(nn.Module):
    @nn.compact
    def __call__(self, carry, _):
        h = nn.Dense(4)(carry)
        return h / jnp.linalg.norm(h, axis=-1, keepdims=True), None  # division by a zero norm


class Stack(nn.Module):
    @nn.compact
    def __call__(self, x):
        cells = nn.scan(nn.remat(Cell), variable_axes={"params": 0}, split_rngs={"params": True}, length=12)
        return cells(name="cells")(x, None)[0]


def test_linen_a_step_of_rematerialised_layers_in_a_scan():
    model = Stack()
    params = model.init(jax.random.key(0), X)
    zeroed = jax.tree.map(lambda w: w.at[7].set(0.0), params)
    found = jw.bisect_nonfinite(lambda params, x: jnp.sum(model.apply(params, x)), zeroed, X)
    assert (found.equation, found.steps, found.index) == ("div", (("scan", 7, 12),), (0, 0))
    assert "division by a zero norm" in linecache.getline(found.file, found.line)
    assert found.scopes == ("Stack", "cells")
    assert found.point == "Stack/cells/Dense_0"
    assert jw.bisect_nonfinite(lambda params, x: jnp.sum(model.apply(params, x)), params, X) is None


def test_linen_a_layer_norm_without_an_eps():
    model = nn.Sequential([nn.Dense(4), nn.LayerNorm(epsilon=0.0)])
    params = jax.tree.map(jnp.zeros_like, model.init(jax.random.key(0), X))
    found = jw.bisect_nonfinite(lambda params, x: jnp.sum(model.apply(params, x)), params, X)
    assert (found.equation, found.is_backward) == ("rsqrt", False)
    assert found.file.endswith("normalization.py")  # where it is; and who called it:
    assert found.called_at[0] == __file__
    assert "called at" in repr(found)


class Net(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Linear(4, 4, kernel_init=nnx.initializers.zeros_init(), rngs=rngs)
        self.last = nnx.Linear(4, 1, rngs=rngs)

    def __call__(self, x):
        h = self.first(x)
        return self.last(jnp.where(h > 0, jnp.sqrt(h), 0.0))  # guarded


def test_nnx_modules_as_arguments():
    found = jw.bisect_nonfinite(lambda net, x: jnp.mean(net(x) ** 2), Net(nnx.Rngs(0)), X)
    assert (found.equation, found.is_backward) == ("sqrt", True)
    assert "# guarded" in linecache.getline(found.file, found.line)
    assert found.seen_in.startswith("the gradient of `args[0].first.")


def test_equinox_modules_as_arguments():
    root = lambda h: jnp.where(h > 0, jnp.sqrt(h), 0.0)  # guarded
    mlp = eqx.nn.MLP(4, 1, 4, 1, activation=root, key=jax.random.key(0))
    mlp = eqx.tree_at(lambda mlp: mlp.layers[0], mlp, replace_fn=lambda layer: jax.tree.map(jnp.zeros_like, layer))
    found = jw.bisect_nonfinite(lambda mlp, x: jnp.mean(jax.vmap(mlp)(x) ** 2), mlp, X)
    assert (found.equation, found.is_backward) == ("sqrt", True)
    assert "# guarded" in linecache.getline(found.file, found.line)
    assert found.seen_in.startswith("the gradient of `args[0].layers[0].weight`")


def test_haiku():
    model = hk.without_apply_rng(hk.transform(lambda x: jnp.sum(jnp.log(hk.Linear(3, name="head")(x)))))  # log of them
    params = model.init(jax.random.key(0), X)
    found = jw.bisect_nonfinite(model.apply, jax.tree.map(jnp.zeros_like, params), X)
    assert (found.equation, found.point, found.index) == ("log", "head", (0, 0))
    assert "# log of them" in linecache.getline(found.file, found.line)
