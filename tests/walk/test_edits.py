"""Edits at some steps of a scan, and rules for δ, in every structure: against finite differences of what they mean."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jaxwalk as jw
from helpers import finite_differences
from structures import FUNCTIONS, X, marked

pytestmark = pytest.mark.usefixtures("float64")

STEPS = {name: shape for name, (_, shape) in FUNCTIONS.items() if "scan" in name}


def displaced(name, change):
    """fun(x, {point: what its `change` needs there}), where change(value, needed) is what goes on at a point."""
    fun, shape = FUNCTIONS[name]
    zeros = {"a": jnp.zeros(3), "b": jnp.zeros(shape)}
    return lambda x, needed: fun(x, zeros | needed, lambda v, at, eps: change(v, eps[at]) if at in needed else v)


def edit(value):
    return jnp.sin(value) * 0.5 + 0.25


@pytest.mark.parametrize("index", ["2", "-1", "1:3", "[0, 3]"])
@pytest.mark.parametrize("name", STEPS)
def test_some_steps_are_edited_and_walk_again(name, index):
    key, steps = f"b[{index}]", np.arange(4)[eval(index if ":" not in index else f"np.s_[{index}]")]
    chosen = np.zeros(STEPS[name])
    chosen[steps] = 1
    by_hand = jax.jit(
        lambda x, eps: displaced(name, lambda v, at: jnp.where(at[0] > 0, edit(v), v) + at[1])(x, {"b": (chosen, eps)})
    )
    edited = jw.intervene(marked(name, jw.tag), {key: edit})
    walk = jax.jit(jw.walk(edited, argnums=0))(X)
    zeros = np.zeros(STEPS[name])
    np.testing.assert_allclose(walk.value, by_hand(X, zeros), rtol=1e-12)
    expected = finite_differences(lambda e: by_hand(X, e), zeros)
    np.testing.assert_allclose(walk.deltas["b"], expected, rtol=1e-6, atol=1e-8)
    gradient = finite_differences(lambda x: by_hand(x, zeros), X)
    np.testing.assert_allclose(walk.grads, gradient, rtol=1e-6, atol=1e-8)
    new = np.random.default_rng(2).normal(size=chosen[steps].shape)
    replaced = lambda new: jw.intervene(marked(name, jw.tag), {key: new})(X)
    whole = lambda new: jnp.zeros(STEPS[name]).at[steps].set(new)
    by_hand = jax.jit(
        lambda new: displaced(name, lambda v, at: jnp.where(at[0] > 0, at[1], v))(X, {"b": (chosen, whole(new))})
    )
    value, gradient = jax.jit(jax.value_and_grad(replaced))(new)
    np.testing.assert_allclose(value, by_hand(new), rtol=1e-12)
    np.testing.assert_allclose(gradient, finite_differences(by_hand, new), rtol=1e-6, atol=1e-8)


def nested(x, at=None, change=lambda v, at: v, unroll=1):
    """A point in a scan in a reversed scan, with a batch axis inside."""
    at = jnp.zeros((2, 4, 2, 3)) if at is None else at

    def inner(c, inputs):
        row, at = inputs
        both = jax.vmap(lambda s: jnp.sin(c * row + s))(jnp.arange(2.0))
        both = change(jw.tag(both, "b"), at)
        return jnp.sum(both, 0), jnp.sum(both**2)

    def outer(c, at):
        rows = jnp.linspace(0.5, 1.5, 12).reshape(4, 3)
        c, sums = lax.scan(jax.checkpoint(inner), c, (rows, at), unroll=unroll)
        return c, jnp.sum(sums)

    c, sums = lax.scan(outer, x, at, reverse=True)
    return jnp.sum(c**2) + jnp.sum(sums)


@pytest.mark.parametrize("unroll", [1, 3])
def test_one_step_of_a_scan_in_a_scan(unroll):
    """The axes are those of the scans; that of a vmap is part of the value, and of what the edit gets."""
    chosen = np.zeros((2, 4, 2, 3))
    chosen[0, -1] = 1
    fun = functools.partial(nested, unroll=unroll)
    by_hand = jax.jit(lambda x, e: nested(x, (chosen, e), lambda v, at: jnp.where(at[0] > 0, edit(v), v) + at[1]))
    shapes = []
    edited = jw.intervene(fun, {"b[0, -1]": lambda v: (shapes.append(v.shape), edit(v))[1]})
    walk = jax.jit(jw.walk(edited))(X)
    assert set(shapes) == {(2, 3)}
    np.testing.assert_allclose(walk.value, by_hand(X, np.zeros((2, 4, 2, 3))), rtol=1e-12)
    expected = finite_differences(lambda e: by_hand(X, e), np.zeros((2, 4, 2, 3)))
    np.testing.assert_allclose(walk.deltas["b"], expected, rtol=1e-6, atol=1e-7)


def test_an_edit_does_not_run_at_other_steps():
    """Nor does its derivative: it may be NaN there."""
    fun = lambda x: lax.scan(lambda c, _: (jw.tag(c - 1, "c"), None), x, None, length=3)[0]
    edited = jw.intervene(fun, {"c[0]": lambda c: jnp.sqrt(c - 0.5)})
    value, gradient = jax.value_and_grad(lambda x: jnp.sum(edited(x)))(jnp.array([2.5, 3.5]))
    np.testing.assert_allclose(value, np.sum(np.sqrt([1.0, 2.0]) - 2))
    np.testing.assert_allclose(gradient, 0.5 / np.sqrt([1.0, 2.0]))
    np.testing.assert_allclose(jax.vmap(edited)(jnp.array([2.5, 3.5])), np.sqrt([1.0, 2.0]) - 2)


def test_keys_of_one_argument_may_share_a_point_but_no_step():
    fun = lambda x: lax.scan(lambda c, _: (jw.tag(c * 2, "c"), None), jw.tag(x, "x"), None, length=3)[0]
    several = jw.intervene(fun, {"c[0]": 5.0, "c[2]": lambda c: c + 1, "[x]": 0.0})
    assert several(1.0) == 5 * 4 + 1
    assert jw.intervene(fun, {"*": lambda v: v + 1})(1.0) == 23
    for keys in (("c[0]", "c[-3]"), ("c", "c[1]"), ("c", "?")):
        with pytest.raises(jw.ArgumentError, match="which both are `c`, at steps that they share; edit each once"):
            jw.intervene(fun, dict.fromkeys(keys, lambda v: v))(1.0)
    with pytest.raises(jw.ArgumentError, match=r"The edit of `c` has shape \(3,\); the value there has shape \(2,\)"):
        jw.intervene(fun, {"c[1:]": np.zeros(3)})(1.0)


def test_a_glob_edits_one_value_once_and_covers_nothing_opaque():
    def fun(x):
        with jax.named_scope("outer"), jax.named_scope("inner"):
            x = x * 2
        return x

    assert jw.intervene(fun, {"**": lambda v: v + 1}, by="scopes")(jnp.ones(())) == 3
    ruled = jax.custom_jvp(lambda x: jw.tag(x + 1, "step"))
    ruled.defjvps(lambda dx, _, x: dx)
    looped = lambda x: ruled(jw.tag(x, "start"))
    with pytest.raises(jw.PointError, match="`edits` names `step`, which is opaque"):
        jw.intervene(looped, {"st*": lambda v: v})(1.0)


def test_a_tag_and_the_scope_that_it_leaves_are_one_value():
    def scoped(inner):
        with jax.named_scope("scope"):
            return inner()

    tagged = lambda x: scoped(lambda: jw.tag(x * 2, "h")) * 1.0
    jitted = lambda x: scoped(lambda: jax.jit(lambda x: jw.tag(x * 2, "h"))(x)) * 1.0
    nested = lambda x: jw.tag(jw.tag(x * 2, "h"), "scope") * 1.0
    tenfold = lambda v: v * 10
    for fun in (tagged, jitted, nested):
        for keys in (["h", "scope"], ["scope", "h"]):
            for given in ({"edits": dict.fromkeys(keys, tenfold)}, {"deltas": dict.fromkeys(keys, lambda _, d: d)}):
                with pytest.raises(
                    jw.ArgumentError, match=r"` and `.*`, which are two names of one value; edit it once"
                ):
                    jw.intervene(fun, **given)(1.0)
        assert jw.intervene(fun, {"*": tenfold})(1.0) == 20
        assert jw.intervene(fun, {"h": tenfold}, deltas={"scope": lambda _, delta: delta})(1.0) == 20


def test_edits_of_other_values_are_made_one_after_the_other():
    def after(x):
        with jax.named_scope("scope"):
            return 1.5 * jw.tag(x * 2, "h")

    assert jw.intervene(after, {"h": lambda v: v * 10, "scope": lambda v: v + 1})(1.0) == 31
    both = lambda x: jw.tag(x, "one") * 10 + jw.tag(x, "other")  # each is read by others
    assert jw.intervene(both, {"one": lambda v: v * 2, "other": lambda v: v * 3})(1.0) == 23


# δ --------------------------------------------------------------------------------------------------------

RULES = {
    "scaled": (lambda output, delta: -2 * delta, lambda output: -2 + 0 * output),
    "by output": (lambda output, delta: output * delta, lambda output: output),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_rule_for_delta_is_another_backward_pass(name, rule):
    """A rule f·δ gives what the value v₀ + f·(v − v₀) would: the same at x, and f times the derivative."""
    rule, factor = RULES[rule]
    fun = marked(name, jw.tag)
    outputs = jax.jit(jw.outputs(fun))(X)[1]
    walk = jax.jit(jw.walk(jw.intervene(fun, deltas={"b": rule}), argnums=0))(X)
    np.testing.assert_allclose(walk.value, fun(X), rtol=1e-12)
    change = lambda v, at: at[0] + factor(at[0]) * (v - at[0]) if len(at) == 2 else v
    by_hand = jax.jit(
        lambda x, a, b: displaced(name, lambda v, at: change(v, at) + at[-1])(x, {"a": (a,), "b": (outputs["b"], b)})
    )
    zeros = np.zeros(3), np.zeros(FUNCTIONS[name][1])
    close = functools.partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-8)
    close(walk.grads, finite_differences(lambda x: by_hand(x, *zeros), X))
    close(walk.deltas["a"], finite_differences(lambda a: by_hand(X, a, zeros[1]), zeros[0]))
    # At the point itself, δ is as it arrives: the rule has changed it only where it came from another step.
    close(walk.deltas["b"], finite_differences(lambda b: by_hand(X, zeros[0], b), zeros[1]))


@pytest.mark.parametrize("name", STEPS)
def test_a_rule_for_delta_at_one_step(name):
    fun = marked(name, jw.tag)
    outputs = jax.jit(jw.outputs(fun))(X)[1]["b"]
    factors = np.ones(STEPS[name])
    factors[1] = -2
    gradient = jax.jit(jax.grad(jw.intervene(fun, deltas={"b[1]": lambda output, delta: -2 * delta})))(X)
    by_hand = jax.jit(
        lambda x: displaced(name, lambda v, at: at[0] + at[1] * (v - at[0]))(x, {"b": (outputs, factors)})
    )
    np.testing.assert_allclose(gradient, finite_differences(by_hand, X), rtol=1e-6, atol=1e-8)


def test_a_rule_and_an_edit_at_one_point():
    """The rule gets the new value, and what goes back from it goes back through the edit."""
    fun = lambda x: jw.tag(jnp.sin(x), "s") ** 2
    both = jw.intervene(fun, {"s": lambda v: 3 * v}, deltas={"s": lambda output, delta: output + delta})
    s = np.sin(0.3)
    np.testing.assert_allclose(jax.value_and_grad(both)(0.3), (9 * s**2, 3 * (3 * s + 6 * s) * np.cos(0.3)))


def test_a_rule_may_close_over_what_is_traced_and_be_differentiated():
    def gradient(x, k):
        return jax.grad(jw.intervene(lambda x: jw.tag(x**2, "a") * 3, deltas={"a": lambda o, d: k * o * d}))(x)

    expected = lambda x, k: k * x**2 * 3 * 2 * x
    np.testing.assert_allclose(jax.jit(gradient)(0.7, 2.0), expected(0.7, 2.0))
    np.testing.assert_allclose(jax.grad(gradient, 1)(0.7, 2.0), expected(0.7, 1.0))
    np.testing.assert_allclose(jax.grad(gradient)(0.7, 2.0), 18 * 2 * 0.7**2)


def test_what_no_rule_can_do_is_refused_in_a_sentence():
    fun = lambda x: jnp.sum(x[jw.tag(jnp.argmax(x), "i")] * jw.tag(x, "x"))
    halved = jw.intervene(fun, deltas={"x": lambda output, delta: delta / 2})
    with pytest.raises(
        jw.ArgumentError, match=r"`deltas` changes the backward pass alone, so that there is no forward"
    ):
        jax.jvp(halved, (X,), (X,))
    with pytest.raises(jw.ArgumentError, match=r"no forward mode .* use `jax.vjp` or `jax.jacrev`"):
        jax.jit(jax.jacfwd(halved))(X)
    for deltas, says in {
        "i": "`deltas` names `i`, which has no δ to change. Its dtype is int64",
        "y": "`deltas` names `y`, but there is no such point",
    }.items():
        with pytest.raises(jw.PointError, match=says):
            jw.intervene(fun, deltas={deltas: lambda output, delta: delta})(X)
    for rule, says in {
        2.0: r"The rule in `deltas` for `x` is 2.0; give a function \(output, delta\) -> delta",
        (lambda o, d: d[:2]): r"for `x` returned float64 of shape \(2,\); δ there is float64 of shape \(3,\)",
        (lambda o, d: "d"): "for `x` returned 'd', which is not an array; return the new δ",
    }.items():
        with pytest.raises(jw.ArgumentError, match=says):
            jw.intervene(fun, deltas={"x": rule})(X)
