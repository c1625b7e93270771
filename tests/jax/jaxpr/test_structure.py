"""Two programs have one structure if they compute the same; it holds nothing of what they were traced from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxwalk._jax.jaxpr import jaxprs, structure

X = np.float32([1, 2])


def last(fun, *args):
    return structure.of_eqn(jaxprs.trace(fun, *args)[0].jaxpr.eqns[-1])


def test_equal_programs_are_told_equal():
    scan = lambda scale: lambda x: lax.scan(lambda c, _: (jnp.sin(c) * scale, None), x, None, length=3)[0]
    assert last(scan(2.0), X) == last(scan(2.0), X)
    assert last(scan(2.0), X) != last(scan(0.0), X)
    assert last(scan(0.0), X) != last(scan(-0.0), X)
    assert last(scan(2.0), X) != last(scan(2.0), X[:1])
    assert last(lambda x: x[None], X) != last(lambda x: x[:, None], X)
    hash(last(scan(2.0), X))


def test_a_user_s_function_cannot_be_told():
    with pytest.raises(structure.Unknown):
        last(lambda x: jax.pure_callback(lambda v: v, x, x), X)


def test_options_of_jax_count():
    before = structure.of_config()
    with jax.enable_x64(True):
        assert structure.of_config() != before
    assert structure.of_config() == before
