"""A choice is told at the value that it makes, or at the one that it reads: not at the layer after it."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

import jaxwalk as jw

X, W = np.float32([1, 0, -1]), np.eye(3, dtype=np.float32)


def told(fun, *args, **options):
    return [(kink.operation, kink.point) for kink in jw.kinks(fun, *args, **options)]


def test_tags():
    assert told(lambda x: jnp.sum(jw.tag(jax.nn.relu(jw.tag(x * 2, "h")) @ W, "y")), X) == [("relu", "h")]
    assert told(lambda x: jnp.sum(jw.tag(jax.nn.relu(x * 2) @ W, "y")), X) == [("relu", "y")]
    moved = lambda x: jnp.sum(jw.tag(jax.nn.relu(jw.tag(x * 2, "h"))[None].reshape(3, 1), "act"))
    assert told(moved, X) == [("relu", "act")]


class Model(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Dense(3)(x))
        return jnp.abs(nn.Dense(2)(x)).sum()


def test_a_relu_between_two_layers_is_told_at_the_first():
    model = Model()
    variables = jax.tree.map(jnp.zeros_like, model.init(jax.random.key(0), X))
    assert told(model.apply, variables, X) == [("relu", "Model/Dense_0"), ("abs", "Model")]
