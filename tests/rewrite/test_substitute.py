"""Equations in whose place something else is run: the same value, another way back, through all that is around them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxwalk._jax.jaxpr import jaxprs, primitives
from jaxwalk._points.point import Site
from jaxwalk._rewrite.plan import plan
from jaxwalk._rewrite.rewire import Visitor, run
from jaxwalk._rewrite.substitute import Substitute, with_way_back

pytestmark = pytest.mark.usefixtures("float64")

X = np.array([0.4, -0.9, 0.7])
UNVISITED = Visitor(lambda name, value, payload: (value, None), lambda name, value: None)


def tripled_sines(closed, payload=False):
    """Substitutes for each sine, in whatever it is: back goes 3 times what arrives, times the payload if there is."""
    name_of, found = primitives.names(), []

    def search(jaxpr, calls):
        for index, eqn in enumerate(jaxpr.eqns):
            if name_of(eqn) == "sin":
                found.append(tripled(jaxpr, eqn, Site(calls, index)))
            for branch, inner in enumerate(jaxprs.jaxprs_of(eqn)):
                search(inner.jaxpr, (*calls, (index, branch)))

    def tripled(jaxpr, eqn, site):
        one = jaxprs.stretch(jaxpr, [eqn], eqn.invars, eqn.outvars)
        back = lambda operands, results, factor, cts: [3 * cts[0] * (factor if payload else 1)]
        through = with_way_back(one, back)
        recorded = jax.ShapeDtypeStruct(eqn.invars[0].aval.shape, eqn.invars[0].aval.dtype)
        if payload is None:
            return Substitute(site, eqn.invars, lambda args, _: (through(args, None), args[0]), recorded)
        return Substitute(site, eqn.invars, lambda args, its: (through(args, its), None), recorded if payload else None)

    search(closed.jaxpr, ())
    return found


def around(x):
    def step(carry, _):
        carry = jax.checkpoint(jnp.sin)(carry) * 2
        return carry, jnp.sum(jax.jit(jnp.sin)(carry))

    carry, sums = jax.lax.scan(step, x, None, length=2)
    bent = jax.lax.cond(x[0] > 0, lambda v: jnp.sin(v), lambda v: v, carry)
    return jnp.sum(bent) + jnp.sum(sums)


def by_hand(x):
    sin = jax.custom_vjp(jnp.sin)
    sin.defvjp(lambda x: (jnp.sin(x), None), lambda _, ct: (3 * ct,))
    total = 0
    carry = x
    for _ in range(2):
        carry = sin(carry) * 2
        total += jnp.sum(sin(carry))
    return jnp.sum(sin(carry)) + total


def test_another_way_back_through_scan_checkpoint_jit_and_cond():
    closed, _ = jaxprs.trace(around, X)
    planned = plan(closed, [], tripled_sines(closed))
    substituted = lambda x: run(planned, [x], {}, UNVISITED)[0][0]
    assert substituted(X) == around(X)
    np.testing.assert_allclose(jax.grad(substituted)(X), jax.grad(by_hand)(X), rtol=1e-12)
    np.testing.assert_allclose(jax.jit(jax.grad(substituted))(X), jax.grad(by_hand)(X), rtol=1e-12)
    batch = jnp.stack([X, X[::-1]])  # the second goes through the other branch, but is one of them at a time
    np.testing.assert_allclose(jax.vmap(jax.grad(substituted))(batch)[0], jax.grad(by_hand)(X), rtol=1e-12)


def test_what_one_run_records_another_gets():
    fun = lambda x: jax.lax.scan(lambda c, _: (jnp.sin(c), None), x, None, length=2)[0].sum()
    closed, _ = jaxprs.trace(fun, X)
    _, records = run(plan(closed, [], tripled_sines(closed, None)), [2 * X], {}, UNVISITED)
    (record,) = records.values()
    np.testing.assert_allclose(record, [2 * X, np.sin(2 * X)])
    planned = plan(closed, [], tripled_sines(closed, True))
    grads = jax.grad(lambda x: run(planned, [x], records, UNVISITED)[0][0])(X)
    np.testing.assert_allclose(grads, 9 * 2 * X * np.sin(2 * X), rtol=1e-12)


def test_inside_a_custom_rule_it_is_what_is_inside_that_is_run():
    @jax.custom_jvp
    def odd(x):
        return jnp.sin(x) + x

    odd.defjvps(lambda dx, ans, x: 100 * dx)
    closed, _ = jaxprs.trace(lambda x: jnp.sum(odd(x)), X)
    planned = plan(closed, [], tripled_sines(closed))
    np.testing.assert_allclose(jax.grad(lambda x: run(planned, [x], {}, UNVISITED)[0][0])(X), [4, 4, 4])


def test_it_may_read_what_another_equation_reads():
    closed, _ = jaxprs.trace(lambda x: jnp.sum(jnp.tanh(2 * x)), X)
    double, tanh = closed.jaxpr.eqns[:2]
    both = jaxprs.stretch(closed.jaxpr, [double, tanh], closed.jaxpr.invars, tanh.outvars)
    through = with_way_back(both, lambda operands, results, _, cts: [operands[0] * cts[0]])
    stand_in = Substitute(Site((), 1), closed.jaxpr.invars, lambda args, its: (through(args, its), None))
    planned = plan(closed, [], [stand_in])
    value, grads = jax.value_and_grad(lambda x: run(planned, [x], {}, UNVISITED)[0][0])(X)
    np.testing.assert_allclose(value, np.sum(np.tanh(2 * X)), rtol=1e-15)
    np.testing.assert_array_equal(grads, X)
