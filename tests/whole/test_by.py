"""Points by scope and by line, over every structure inside a function: the δ are those of a hand-placed ε."""

import jax
import numpy as np
import pytest

import jaxwalk as jw
from structures import FUNCTIONS, X, expected, loss_of_epsilon, marked

pytestmark = pytest.mark.usefixtures("float64")


def in_a_scope(value, name):
    with jax.named_scope(name):
        return value * 1.0


def on_a_line(value, name):
    if name == "a":
        a = value * 1.0
        return a
    b = value * 1.0
    return b


MARKS = {"scopes": in_a_scope, "lines": on_a_line}

every = pytest.mark.parametrize(("by", "name"), [(by, name) for by in MARKS for name in FUNCTIONS])


def named(by, name):
    """The function, and the names of its points "a" and "b"."""
    fun = marked(name, MARKS[by])
    last = "/on_a_line/{}" if by == "lines" else "{}"
    names = [n for n in jw.points(fun, X, by=by) if n.endswith((last.format("a"), last.format("b")))]
    assert len(names) == 2
    return fun, names


@every
def test_deltas(by, name):
    fun, names = named(by, name)
    walk = jax.jit(jw.walk(fun, names, by=by))(X)
    for point, delta in zip("ab", walk.deltas.values(), strict=True):
        np.testing.assert_allclose(delta, expected(name, point), rtol=1e-6, atol=1e-8)


@every
def test_all_points_at_once_change_nothing(by, name):
    fun, _ = named(by, name)
    walk = jw.walk(fun, by=by, argnums=0)(X)
    value, gradient = jax.value_and_grad(fun)(X)
    assert walk.value == value
    np.testing.assert_array_equal(walk.grads, gradient)
    assert list(walk.outputs) == [p.name for p in walk.points.values() if p.opaque is None]
    assert list(walk.deltas) == [p.name for p in walk.points.values() if p.has_delta]


@pytest.mark.parametrize("by", MARKS)
@pytest.mark.parametrize("name", ["vmap", "scan of checkpoint of cond of jit"])
def test_per_datum(by, name):
    fun, names = named(by, name)
    xs = np.stack([X, -X / 2])
    walk = jax.vmap(jw.walk(fun, names, by=by))(xs)
    for i, x in enumerate(xs):
        for point, delta in zip("ab", walk.deltas.values(), strict=True):
            np.testing.assert_allclose(delta[i], expected(name, point, x), rtol=1e-6, atol=1e-8)


@every
def test_an_edit_is_an_epsilon_and_walks_again(by, name):
    fun, names = named(by, name)
    edited = jw.intervene(fun, {names[1]: lambda b: b + 0.25}, by=by)
    by_hand = loss_of_epsilon(name, "b")
    constant = np.full(FUNCTIONS[name][1], 0.25)
    np.testing.assert_allclose(edited(X), by_hand(X, constant), rtol=1e-12)
    # A leaf of what a line assigns is told by what the line was seen to do; after an edit it has its other name.
    before, again = jw.points(fun, X, by=by), jw.points(edited, X, by=by)
    assert [before[name].name for name in again] == list(before)
    delta = jw.walk(edited, names[1], by=by)(X).deltas[names[1]]
    np.testing.assert_allclose(delta, jax.grad(by_hand, 1)(X, constant), rtol=1e-9)


@every
def test_a_replacement_walks_again(by, name):
    """As it does under a tag."""
    fun, names = named(by, name)
    outputs = jw.outputs(fun, names, by=by)(X)[1]
    edited = jw.intervene(fun, dict(outputs), by=by)
    np.testing.assert_allclose(edited(X), fun(X), rtol=1e-12)
    walk = jw.walk(edited, names, by=by)(X)
    of_tags = jw.walk(jw.intervene(marked(name, jw.tag), dict(zip("ab", outputs.values(), strict=True))))(X)
    for delta, other in zip(walk.deltas.values(), of_tags.deltas.values(), strict=True):
        np.testing.assert_allclose(delta, other, rtol=1e-9, atol=1e-12)
