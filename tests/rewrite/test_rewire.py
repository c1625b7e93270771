"""Random programs: every δ equals that of a hand-placed ε, and walking changes nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

import jaxwalk as jw
from helpers import examples
from jaxwalk._jax.jaxpr import jaxprs
from jaxwalk._points.walkable_values import read
from jaxwalk._rewrite import rewire
from jaxwalk._rewrite.plan import plan
from programs import programs, run, scoped, slots, tagged, with_epsilons

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
@settings(max_examples=examples(25), **unhurried)
def test_deltas_equal_those_of_epsilons(program):
    deltas = list(jax.jit(jw.walk(tagged(program)))(X).deltas.values())
    expected = jax.tree.leaves(jax.jit(jax.grad(with_epsilons(program), 1))(X, slots(program)))
    assert [d.shape for d in deltas] == [e.shape for e in expected]
    for delta, by_hand in zip(deltas, expected, strict=True):
        np.testing.assert_allclose(delta, by_hand, rtol=1e-9, atol=1e-11)


@given(programs)
@settings(max_examples=examples(10), **unhurried)
def test_deltas_of_what_leaves_scopes_do_too(program):
    deltas = list(jax.jit(jw.walk(scoped(program), by="scopes"))(X).deltas.values())
    expected = jax.tree.leaves(jax.jit(jax.grad(with_epsilons(program), 1))(X, slots(program)))
    for delta, by_hand in zip(deltas, expected, strict=True):
        np.testing.assert_allclose(delta, by_hand, rtol=1e-9, atol=1e-11)


@given(programs)
@settings(max_examples=examples(6), **unhurried)
def test_deltas_of_what_is_read_in_its_scope_and_after_it_are_whole(program):
    def mark(value, eps):
        with jax.named_scope("p"):
            first = value * 1.0
            second = 0.3 * jnp.sin(first)
        return first + second

    def by_hand(value, eps):
        first = value + eps
        return first + 0.3 * jnp.sin(first)

    zeros = slots(program)
    fun = lambda x: jnp.sum(run(program, x, zeros, mark) ** 2)
    walk = jax.jit(jw.walk(fun, lambda point: point.name.endswith(":0"), by="scopes"))(X)
    expected = jax.tree.leaves(jax.jit(jax.grad(lambda eps: jnp.sum(run(program, X, eps, by_hand) ** 2)))(zeros))
    for delta, e in zip(walk.deltas.values(), expected, strict=True):
        np.testing.assert_allclose(delta, e, rtol=1e-9, atol=1e-11)


@given(programs)
@settings(max_examples=examples(10), **unhurried)
def test_value_and_gradient_keep_their_bits(program):
    walk = jw.walk(tagged(program), argnums=0)(X)
    value, gradient = jax.value_and_grad(tagged(program))(X)
    assert walk.value == value
    np.testing.assert_array_equal(walk.grads, gradient)


@given(programs)
@settings(max_examples=examples(10), **unhurried)
def test_what_intervene_returns_has_the_same_points(program):
    fun = tagged(program)
    edited = jw.intervene(fun, {"**": lambda v: v})
    before, after = jw.points(fun, X), jw.points(edited, X)
    assert [(p.name, p.shape, p.axes, p.conditional, p.unused) for p in after.values()] == [
        (p.name, p.shape, p.axes, p.conditional, p.unused) for p in before.values()
    ]
    np.testing.assert_allclose(edited(X), fun(X), rtol=1e-12)
    assert jnp.ndim(edited(X)) == 0


# Equal stretches are differentiated once ------------------------------------------------------------------


def signatures(fun):
    """The signatures of the stretches between the points of `fun`, as the plan sees them."""
    closed, _ = jaxprs.trace(fun, X)
    steps = [step.core for step in plan(closed, read(closed, [True]).values()).steps]
    return [jaxprs.signature(step.closed.jaxpr) for step in steps if hasattr(step, "closed")]


def test_stretches_are_equal_only_if_they_say_the_same():
    def layers(*functions):
        def fun(x):
            for layer in functions:
                x = jw.tag(layer(x), "layer")
            return x

        return fun

    scaled = lambda by: lambda x: jnp.tanh(x) * by
    same, also, zero, minus, cast = signatures(
        layers(scaled(2.0), scaled(2.0), scaled(0.0), scaled(-0.0), lambda x: jnp.tanh(x.astype("float32")))
    )
    assert same == also
    assert len({same, zero, minus, cast}) == 4  # 0.0 == -0.0, but not here

    def scoped(x):
        for name in ("a", "b", "b"):
            with jax.named_scope(name):
                x = jnp.sin(x)
            x = jw.tag(x, "layer")
        return x

    a, b, again = signatures(scoped)
    assert a != b
    assert b == again
    one, other = signatures(lambda x: jw.tag(jnp.sin(jw.tag(jnp.sin(x), "first")), "second"))
    assert one != other  # two places in the source
    assert signatures(layers(lambda x: (jax.debug.print("{}", x), x + 1)[1])) == [None]


def test_sharing_changes_no_figure_and_no_op_by_op_run():
    def fun(x):
        for _ in range(5):
            x = jw.tag(jnp.sin(x @ np.eye(3)) + 0.5 * x, "layer")
        return jnp.sum(x**2)

    def by_hand(eps):
        x = X
        for e in eps:
            x = jnp.sin(x @ np.eye(3)) + 0.5 * x + e
        return jnp.sum(x**2)

    expected = jax.grad(by_hand)([jnp.zeros(3)] * 5)
    compiled, by_op = jax.jit(jw.walk(fun, argnums=0))(X), jw.walk(fun, argnums=0)(X)
    for delta, other, e in zip(compiled.deltas.values(), by_op.deltas.values(), expected, strict=True):
        np.testing.assert_allclose(delta, e, rtol=1e-12)
        np.testing.assert_array_equal(other, e)
    np.testing.assert_array_equal(by_op.grads, jax.grad(fun)(X))
    np.testing.assert_allclose(jax.jit(jax.hessian(lambda x: jw.walk(fun)(x).value))(X), jax.hessian(fun)(X), rtol=1e-9)
    lowered = jax.jit(jw.outputs(fun)).lower(X).as_text()
    assert lowered.count("stablehlo.sine") == 5  # inlined: nothing of the sharing is in what is compiled
    assert "call @" not in lowered


@pytest.mark.once
def test_calls_in_calls_take_a_time_linear_in_their_depth(monkeypatch):
    counts, plain = [], rewire._types
    monkeypatch.setattr(rewire, "_types", lambda *args: counts.append(args) or plain(*args))
    depth = 12

    def nested(depth):
        inner = jnp.sin if depth == 0 else nested(depth - 1)
        return jax.jit(lambda x: jw.tag(inner(x), f"layer{depth}"))

    jax.eval_shape(jw.outputs(nested(depth)), jax.ShapeDtypeStruct((2,), jnp.float32))
    assert len(counts) <= depth**2
