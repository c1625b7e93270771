"""Random programs: every δ equals that of a hand-placed ε, and walking changes nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

import jaxwalk as jw
from programs import programs, slots, tagged, with_epsilons

pytestmark = pytest.mark.usefixtures("float64")

X = np.array([0.4, -0.9, 0.7])
# Every example is compiled: no deadline, and no shrinking, which would take minutes.
unhurried = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "derandomize": True,
    "phases": [Phase.explicit, Phase.generate],
}


@given(programs)
@settings(max_examples=30, **unhurried)
def test_deltas_equal_those_of_epsilons(program):
    deltas = list(jax.jit(jw.walk(tagged(program)))(X).deltas.values())
    expected = jax.tree.leaves(jax.jit(jax.grad(with_epsilons(program), 1))(X, slots(program)))
    assert [d.shape for d in deltas] == [e.shape for e in expected]
    for delta, by_hand in zip(deltas, expected, strict=True):
        np.testing.assert_allclose(delta, by_hand, rtol=1e-9, atol=1e-11)


@given(programs)
@settings(max_examples=10, **unhurried)
def test_value_and_gradient_keep_their_bits(program):
    walk = jw.walk(tagged(program), argnums=0)(X)
    value, gradient = jax.value_and_grad(tagged(program))(X)
    assert walk.value == value
    np.testing.assert_array_equal(walk.grads, gradient)


@given(programs)
@settings(max_examples=10, **unhurried)
def test_what_intervene_returns_has_the_same_points(program):
    fun = tagged(program)
    edited = jw.intervene(fun, {name: lambda v: v for name, p in jw.points(fun, X).items()})
    before, after = jw.points(fun, X), jw.points(edited, X)
    assert [(p.name, p.shape, p.axes, p.conditional, p.unused) for p in after.values()] == [
        (p.name, p.shape, p.axes, p.conditional, p.unused) for p in before.values()
    ]
    np.testing.assert_allclose(edited(X), fun(X), rtol=1e-12)
    assert jnp.ndim(edited(X)) == 0
