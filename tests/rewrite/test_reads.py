"""Reads: what some equations read goes through an identity that they alone read, also where one read is in another."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxwalk._jax.jaxpr import jaxprs
from jaxwalk._rewrite.plan import plan_with_reads
from jaxwalk._rewrite.reads import Read
from jaxwalk._rewrite.rewire import Visitor, run

X = np.array([1.0, 2.0], np.float32)


@jax.jit
def inner(x):
    return jnp.sin(x) * jnp.cos(x)


def fun(x):
    return jnp.tanh(x) + jnp.exp(x) + inner(x)


def with_visits(reads, visit):
    """Return what `fun` gives where what is read goes through `visit`."""
    closed, _ = jaxprs.trace(fun, X)
    planned = plan_with_reads(closed, [], reads(closed.jaxpr))
    return run(planned, [jnp.asarray(X)], {}, Visitor(lambda name, x, _: (visit(name, x), None), recorded=None))[0][0]


def in_call(jaxpr):
    (call,) = (i for i, eqn in enumerate(jaxpr.eqns) if jaxprs.jaxprs_of(eqn))
    body = jaxprs.jaxprs_of(jaxpr.eqns[call])[0].jaxpr
    return [Read("cosine", ((call, 0),), (1,), body.invars[0])]


def outside(*equations):
    return lambda jaxpr: [Read(str(each), (), each, jaxpr.invars[0]) for each in equations]


TWICE = {
    "one": (outside((0,)), jnp.tanh(2 * X) + jnp.exp(X) + inner(X)),
    "two apart": (outside((0,), (1,)), jnp.tanh(2 * X) + jnp.exp(2 * X) + inner(X)),
    "one in another": (outside((1,), (0, 1)), jnp.tanh(2 * X) + jnp.exp(4 * X) + inner(X)),
    "inside a call": (in_call, jnp.tanh(X) + jnp.exp(X) + jnp.sin(X) * jnp.cos(2 * X)),
    "before a call that has one": (
        lambda jaxpr: [*outside((1,))(jaxpr), *in_call(jaxpr)],
        jnp.tanh(X) + jnp.exp(2 * X) + jnp.sin(X) * jnp.cos(2 * X),
    ),
}


@pytest.mark.parametrize(("reads", "expected"), TWICE.values(), ids=TWICE)
def test_only_these_equations_read_what_comes_of_a_visit(reads, expected):
    np.testing.assert_allclose(with_visits(reads, lambda name, x: 2 * x), expected, rtol=1e-6)
    np.testing.assert_array_equal(with_visits(reads, lambda name, x: x), fun(X))
