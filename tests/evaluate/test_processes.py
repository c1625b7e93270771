"""What several processes compare of their params before they take steps together."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxwalk._evaluate.processes import checksums_of

pytestmark = pytest.mark.once


def differing(params, others, constants=((), ())):
    """What is told to differ."""
    first, second = checksums_of(params, constants[0]), checksums_of(others, constants[1])
    assert first.keys() == second.keys()
    return [name for name in first if first[name] != second[name]]


def test_every_leaf_is_told_by_its_place():
    w = np.ones((2, 3), np.float32)
    other = np.where([[1, 0, 0], [0, 0, 0]], np.nextafter(w, 2), w)
    assert differing({"w": w, "b": [w, 1.0]}, {"w": jnp.asarray(w), "b": [w.copy(), 1.0]}) == []
    assert differing({"w": w, "b": [w, 1.0]}, {"w": w, "b": [other, 2.0]}) == ["`params['b'][0]`", "`params['b'][1]`"]
    assert differing({"w": w}, {"w": w.reshape(3, 2)}) == ["`params['w']`"]
    assert differing({"w": w}, {"w": w.view(np.int32)}) == ["`params['w']`"]
    assert differing(w, w, ([w, w], [w, other])) == ["Array 1 of those that `fun` closes over"]


def test_zeros_nan_keys_and_what_is_no_array():
    key = jax.random.key(0)
    assert differing([np.float32(0), np.nan], [np.float32(-0.0), np.nan]) == ["`params[0]`"]
    assert differing([key, jnp.bfloat16(1)], [jax.random.key(1), jnp.bfloat16(1)]) == ["`params[0]`"]
    # Of a function only the type can be compared: its address is another in each process.
    assert differing([jnp.tanh, "relu", np.zeros(0)], [jnp.sin, "gelu", np.zeros(0)]) == ["`params[1]`"]
