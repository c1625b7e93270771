"""What does not move meets no threshold: relu's result at -1 is 0, and stays 0."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw

T = np.float32([1, 2, 3, 4])
STILL = {
    "an index from floor": (lambda x: jnp.sum(jnp.asarray(T)[jnp.floor(x).astype(int)] * x), 2.3),
    "an index from round": (lambda x: jnp.sum(jnp.asarray(T)[jnp.round(x).astype(int)] * x), 2.3),
    "relu": (lambda x: jnp.sum(jnp.where(jax.nn.relu(x) > 0, x, 3 * x)), -1),
    "twice relu": (lambda x: jnp.sum(jnp.where(jax.nn.relu(x) * 2 > 0, x, 3 * x)), -1),
    "sign": (lambda x: jnp.sum(jnp.where(jnp.sign(x) == 1, x, 3 * x)), 2),
    "argmax of relu": (lambda x: x[0] * jnp.asarray(T)[jnp.argmax(jax.nn.relu(jnp.stack([x[0], 2 * x[0]])))], -1),
    "a mask": (lambda x: jnp.sum(jnp.where(jax.nn.softmax(jnp.stack([x[0], -jnp.inf])) > 0, x, 3 * x)), 1),
}


@pytest.mark.parametrize("name", STILL)
def test_silence(name):
    fun, x = STILL[name]
    assert not jw.kinks(fun, np.float32([x]))


def test_but_where_it_begins_to_move_there_is_a_tie():
    fun = lambda x: jnp.sum(jnp.where(jnp.where(x > 0, x, 0) > 0, x, 3 * x))
    assert [k.entries.tolist() for k in jw.kinks(fun, np.float32([-1, 0, 1]))] == [[[1]]]


def test_behind_a_mask_bounds_are_exact_and_ties_are_told():
    def fun(x):
        p = jax.nn.softmax(jnp.where(jnp.array([True, True, False]), x * 0.3, -jnp.inf))
        return jnp.sum(jnp.maximum(p, 0)) + jnp.abs(p[0] - p[1])

    found = jw.kinks(fun, np.float32([1, 1, 7]))
    assert [(k.operation, k.kind, k.entries.tolist()) for k in found] == [("max", "tie", [[2]]), ("abs", "tie", [[]])]
    assert found[0].bound == 0
    assert not found.notes
