"""Kinks that cancel are none; those that do not are told."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw


def huber(x):
    q = jnp.minimum(jnp.abs(x), 2)
    return 0.5 * q**2 + 2 * (jnp.abs(x) - q)


def sinc(x):
    return jnp.where(x == 0, 1.0, jnp.sin(jnp.where(x == 0, 1, x)) / jnp.where(x == 0, 1, x))


@pytest.mark.parametrize("fun", [huber, sinc, jax.nn.celu])
def test_smooth(fun):
    found = jw.kinks(lambda x: jnp.sum(fun(x)), np.float32([0, 2, -2]))
    assert not found
    assert found.decisions


@pytest.mark.parametrize("x", [0, 0.5, 1, 1e-9])  # it reduces its argument by a round since jax 0.12
def test_the_sinc_of_jax_is_smooth(x):
    found = jw.kinks(lambda x: jnp.sum(jnp.sinc(x)), np.float32([x]))
    assert (list(found), found.notes) == ([], ())
    (kink,) = jw.kinks(lambda x: jnp.sum(jax.nn.relu(jnp.sinc(x) - 1)), np.float32([0]))
    assert kink.operation == "relu"


BENT = {
    "other slopes": lambda x: jnp.maximum(x, 0) + 1.01 * jnp.minimum(x, 0),
    "JAX halves one side": lambda x: jax.nn.relu(x) + jnp.minimum(x, 0),
    "another threshold": lambda x: jnp.maximum(x, 0) + jnp.minimum(x, 1),
    "another value for one": lambda x: jnp.where(x == 0, 1.1, jnp.sin(jnp.where(x == 0, 1, x)) / x),
    "another slope for one": lambda x: jnp.where(x == 0, 0, x * x / jnp.where(x == 0, 1, x)),
    "a moving threshold": lambda x: jnp.maximum(x, x[1]) + jnp.minimum(x, x[1]),
}


@pytest.mark.parametrize("name", BENT)
def test_bent(name):
    found = jw.kinks(lambda x: jnp.sum(BENT[name](x)), np.float32([0, 0.5]))
    assert [0] in found[0].entries.tolist() or [1] in found[0].entries.tolist()
