"""A `keep` that runs in some steps alone: the same where the condition holds, and zeros elsewhere."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxwalk import stats
from jaxwalk._learn.gate import gate, gated, or_zeros

pytestmark = pytest.mark.once

X, D = jnp.float32([1.0, -2.0, 0.0]), jnp.float32([0.5, 0.0, 4.0])


def own(output, delta):
    return {"output": jnp.max(output), "delta": jnp.sum(delta), "both": jnp.sum(output * delta)}


def test_where_it_is_true_it_is_the_same_and_else_zeros():
    run = jax.jit(lambda now: gate(own, now)(X, D))
    assert {name: float(value) for name, value in run(True).items()} == {"output": 1, "delta": 4.5, "both": 0.5}
    assert not any(map(float, run(False).values()))


def test_without_a_condition_it_is_the_keep_itself():
    assert gated(own, None) is own
    assert gated(stats.health, None) is stats.health
    assert or_zeros(None, own) is own


def test_each_part_of_a_statistic_has_its_condition():
    states = jax.jit(lambda now: gated(stats.zeros, now).of(X, D))
    wanted = stats.zeros.of(X, D)
    for found, want in zip(jax.tree.leaves(states(True)), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_array_equal(found, want)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(states(False)))
