"""What of the params is trained: by path; put back in its place; the count of an optimizer."""

import jax
import jax.numpy as jnp
import optax
import pytest

import jaxwalk as jw
from jaxwalk._learn.trained import count_of, names_of, trained_part, with_trained

pytestmark = pytest.mark.once

PARAMS = {"layers": [{"kernel": jnp.ones((2, 3))}, {"kernel": jnp.zeros(3)}], "name": "mlp", "act": jax.nn.relu}


def test_what_is_no_array_is_not_trained_and_returns_as_it_was():
    trained = trained_part(PARAMS)
    assert (trained["name"], trained["act"]) == (None, None)
    assert names_of(trained) == ["layers/0/kernel", "layers/1/kernel"]
    moved = with_trained(PARAMS, jax.tree.map(lambda leaf: leaf + 1, trained))
    assert (moved["name"], moved["act"]) == ("mlp", jax.nn.relu)
    assert moved["layers"][1]["kernel"].tolist() == [1, 1, 1]
    assert trained_part(plain := {"w": jnp.ones(2)}) is plain


def test_params_of_one_array_and_two_that_are_written_alike():
    assert names_of(jnp.ones(2)) == ["params"]
    assert names_of({"a/b": jnp.ones(1), "a": {"b": jnp.ones(1)}}) == ["a/b", "a/b#2"]


def test_the_count_is_that_of_updates():
    params = jnp.ones(2)
    assert int(count_of(optax.adam(0.1).init(params))) == 0
    state = optax.MultiSteps(optax.adam(0.1), 2).init(params)
    assert count_of(state) is state.gradient_step
    with pytest.raises(jw.ArgumentError, match="its state has no count"):
        count_of(optax.sgd(0.1).init(params))
