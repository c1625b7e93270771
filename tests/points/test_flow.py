"""What points are computed from: against derivatives by the values at other points, held one and all."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jaxwalk as jw
from jaxwalk._points import flow


def twice(x, y):
    return 2 * x, jnp.sin(y)


def network(weights, x, flag):
    """Has a skip, two results of one jit, a scan with a carry, a branch, and ways without δ."""
    a = jw.tag(x, "a")
    b = jw.tag(jnp.tanh(a @ weights), "b")
    c = jw.tag(a + lax.stop_gradient(b), "c")
    d, e = jax.jit(twice)(b, c)
    d, e = jw.tag(d, "d"), jax.checkpoint(lambda e: jw.tag(e * e, "e"))(e)

    def step(carry, row):
        h = jw.tag(jnp.cos(carry) + row, "h")
        return jw.tag(h * h, "g"), h.sum()

    last, sums = lax.scan(step, d, jnp.stack([e, 2 * e]))
    f = jw.tag(lax.cond(flag > 0, lambda u, v: u + v, lambda u, v: u - v, c * b + last, sums.sum()), "f")
    n = jw.tag(jnp.argmax(e).astype(float), "n")
    return jnp.sum(f**2) + n + b.sum()


ARGS = (jnp.array([[0.3, -0.4], [0.5, 0.2]]), jnp.array([1.0, 2.0]), 1)


def named(points, numbers):
    names = list(points)
    return [names[number - 1] for number in numbers]


@pytest.fixture(autouse=True)
def _relaxed():
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        yield


@pytest.mark.parametrize("name", ["c", "e", "f"])
def test_what_comes_back_is_the_derivative_when_all_other_values_are_held(name):
    points = jw.points(network, *ARGS)
    held = {each: value for each, value in jw.outputs(network)(*ARGS)[1].items() if each not in (name, "n")}

    def value(held):
        return jnp.sum(jw.outputs(jw.intervene(network, held), name)(*ARGS)[1][name] ** 2)

    moves = [each for each, slope in jax.grad(value)(held).items() if np.any(slope)]
    assert sorted(moves) == sorted(named(points, points.flow.values[points[name].number - 1].back))


def test_where_it_comes_from_and_where_no_derivative_comes_back():
    points = jw.points(network, *ARGS)
    flow = dict(zip(points, points.flow.values, strict=True))
    assert flow["a"].is_argument
    assert flow["a"].arguments == ("x",)
    assert flow["b"].arguments == ("weights",)
    assert (named(points, flow["c"].points), named(points, flow["c"].back)) == (["a", "b"], ["a"])
    assert named(points, flow["d"].points) == ["b"]
    assert named(points, flow["e"].points) == ["c"]
    assert named(points, flow["h"].points) == ["d", "e", "g"]  # the carry of the step before
    assert named(points, flow["g"].points) == ["h"]
    assert (named(points, flow["n"].points), flow["n"].back) == (["e"], ())
    assert named(points, points.flow.result.points) == ["b", "f", "n"]


def test_a_point_of_one_value_is_known_by_the_last_of_its_names():
    def fun(x):
        with jax.named_scope("outer"), jax.named_scope("inner"):
            y = x * 2
        return y.sum()

    points = jw.points(fun, jnp.ones(2))
    assert list(points) == ["outer/inner", "outer"]
    assert points.flow.names == (2, 2)
    assert points.flow.result.points == (2,)


def test_where_values_go_through_a_mutable_array_nothing_is_claimed():
    def fun(x):
        ref = jax.new_ref(jw.tag(2 * x, "h"))
        ref[...] += 1.0
        return jnp.sum(ref[...])

    assert jw.points(fun, jnp.ones(2)).flow is None


def test_a_loop_that_ends_by_itself_lets_values_through_and_no_derivative():
    def fun(x):
        h = jw.tag(2 * x, "h")
        last = lax.while_loop(lambda c: c.sum() < 100, lambda c: jw.tag(c * h, "inside"), h)
        return jw.tag(last, "last").sum() + h.sum()

    points = jw.points(fun, jnp.ones(2))
    flow = dict(zip(points, points.flow.values, strict=True))
    assert named(points, flow["inside"].points) == ["h", "inside"]
    assert (named(points, flow["last"].points), flow["last"].back) == (["h", "inside"], ())


def test_it_is_found_once_when_it_is_asked_for(monkeypatch):
    found = []
    real = flow.flow_of
    monkeypatch.setattr(flow, "flow_of", lambda *args: found.append(real(*args)) or found[-1])
    walk = jw.walk(lambda x: jnp.sum(jw.tag(jw.tag(2 * x, "a") ** 2, "b")), ["a", "b"])(jnp.ones(2))
    points = jw.points(lambda x: jnp.sum(jw.tag(2 * x, "a")), jnp.ones(2))
    assert not found
    only = walk.points.where(lambda point: point.name == "b")
    assert only.flow is walk.points.flow is found[0]
    assert len(found) == 1
    assert pickle.loads(pickle.dumps(points)).flow == points.flow
    assert len(found) == 2
