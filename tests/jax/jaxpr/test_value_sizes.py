"""The bytes of all that a program computes."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from helpers import DOUBLINGS
from jaxwalk._jax.jaxpr.jaxprs import trace
from jaxwalk._jax.jaxpr.value_sizes import bytes_of_values


def size(fun, *shape, dtype=jnp.float32):
    return bytes_of_values(trace(fun, jax.ShapeDtypeStruct(shape, dtype))[0].jaxpr)


def test_every_value_counts():
    assert size(lambda x: jnp.sin(x) * 2, 5) == 2 * 5 * 4
    assert size(lambda x: x, 5) == 0
    assert size(lambda x: jnp.sin(x), 5, dtype=jnp.bfloat16) == 10


def test_a_scan_computes_at_every_step():
    scanned = lambda x: lax.scan(lambda h, _: (jnp.sin(h), None), x, None, length=100)[0]
    assert size(scanned, 5) == 100 * 20 + 20


def test_a_function_that_calls_itself_twice_again_and_again_is_looked_at_once():
    fun = jnp.sin
    for _ in range(DOUBLINGS):
        fun = jax.jit(lambda x, fun=fun: fun(x) + fun(x))
    assert size(fun, 1) > 2**DOUBLINGS


@pytest.mark.parametrize("fun", [lambda key: jax.random.split(key), lambda key: jax.random.normal(key, (3,))])
def test_keys(fun):
    assert bytes_of_values(trace(fun, jax.eval_shape(lambda: jax.random.key(0)))[0].jaxpr) > 0
