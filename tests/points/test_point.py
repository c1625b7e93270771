import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.ad_checkpoint import checkpoint_name

import jaxwalk as jw

X = np.array([0.3, -0.7, 1.1], np.float32)


def names(fun, *args, **kwargs):
    return list(jw.points(fun, *args, **kwargs))


def test_a_point_says_what_it_is():
    points = jw.points(lambda x: jw.tag(jnp.tanh(x), "tanh").sum(), X)
    (point,) = points.values()
    assert (point.name, point.number, point.kind, point.shape, point.dtype) == ("tanh", 1, "tag", (3,), np.float32)
    assert (point.axes, point.conditional, point.unused, point.opaque) == ((), False, False, None)
    assert point.has_delta
    assert point.source.startswith("test_point.py:")


def test_computes_nothing():
    points = jw.points(lambda x: jw.tag(x @ x, "huge"), jax.ShapeDtypeStruct((10**6, 10**6), "float32"))
    assert points["huge"].shape == (10**6, 10**6)


def test_checkpoint_name_is_a_point_too():
    assert names(lambda x: checkpoint_name(x * 2, "saved") + 1, X) == ["saved"]


def test_no_names_no_points():
    assert len(jw.points(jnp.tanh, X)) == 0
    assert repr(jw.points(jnp.tanh, X)) == "0 points"


def test_a_name_used_again_is_numbered():
    def fun(x):
        for _ in range(3):
            x = jw.tag(jax.nn.relu(x), "relu")
        return x

    assert names(fun, X) == ["relu", "relu#2", "relu#3"]
    assert [p.number for p in jw.points(fun, X).values()] == [1, 2, 3]


def test_a_name_that_looks_numbered_stays_apart():
    def fun(x):
        x = jw.tag(x, "a#2")
        x = jw.tag(x, "a")
        return jw.tag(x, "a")

    assert names(fun, X) == ["a#2", "a", "a#3"]


def test_a_jitted_function_called_twice_gives_two_points():
    layer = jax.jit(lambda x: jw.tag(jnp.sin(x), "sin"))
    assert names(lambda x: layer(layer(x)), X) == ["sin", "sin#2"]


def test_a_scan_gives_an_axis_and_names_it():
    def fun(x):
        def outer(c, _):
            return lax.scan(lambda c, _: (jw.tag(c * 2, "in"), None), c, None, length=2)[0], jw.tag(c, "out")

        return lax.scan(outer, x, None, length=5)

    points = jw.points(fun, X)
    assert points["in"].shape == (5, 2, 3)
    assert points["in"].axes == (("scan", 5), ("scan", 2))
    assert points["out"].shape == (5, 3)
    assert "axis 0: scan of 5; axis 1: scan of 2" in repr(points)


def test_a_scan_of_length_zero():
    fun = lambda x: lax.scan(lambda c, _: (jw.tag(c * 2, "h"), None), x, None, length=0)[0].sum()
    walk = jw.walk(fun)(X)
    assert walk.outputs["h"].shape == walk.deltas["h"].shape == (0, 3)


def test_branches_are_conditional():
    fun = lambda x: lax.switch(jnp.int32(1), [lambda x: jw.tag(x, "a"), lambda x: jw.tag(x * 2, "b")], x)
    assert [(p.name, p.conditional) for p in jw.points(fun, X).values()] == [("a", True), ("b", True)]


@jax.custom_jvp
def with_jvp(x):
    return jw.tag(x, "jvp") * 2


with_jvp.defjvps(lambda dx, _, x: 2 * dx)


@jax.custom_vjp
def with_vjp(x):
    return jw.tag(x, "vjp") * 2


with_vjp.defvjp(lambda x: (with_vjp(x), None), lambda _, ct: (2 * ct,))


def loop(x):
    return lax.while_loop(lambda c: jnp.sum(c) < 9, lambda c: jw.tag(c + 1, "while"), x)


def linear_solve(x):
    return lax.custom_linear_solve(lambda v: jw.tag(2 * v, "solve"), x, lambda _, b: b / 2)


@pytest.mark.parametrize(
    ("fun", "name", "reason"),
    [
        (with_jvp, "jvp", "custom_jvp"),
        (with_vjp, "vjp", "custom_vjp"),
        (linear_solve, "solve", "custom_linear_solve"),
    ],
)
def test_opaque_points_are_listed_with_the_reason(fun, name, reason):
    points = jw.points(lambda x: jw.tag(fun(x), "after").sum(), X)
    assert reason in points[name].opaque
    assert "opaque: inside a" in repr(points)
    assert not points[name].has_delta
    assert points["after"].opaque is None
    walk = jw.walk(lambda x: jw.tag(fun(x), "after").sum())(X)
    assert list(walk.deltas) == ["after"]
    assert name in walk.points  # not dropped without a word
    with pytest.raises(jw.PointError, match=reason):
        jw.walk(lambda x: jw.tag(fun(x), "after").sum(), name)(X)


def test_opaque_inside_what_can_be_entered():
    fun = lambda x: jax.jit(lambda x: lax.scan(lambda c, _: (with_jvp(c), None), x, None, length=2)[0])(x)
    (point,) = jw.points(fun, X).values()
    assert "custom_jvp" in point.opaque


def test_a_custom_rule_is_not_inlined():
    walk = jw.walk(lambda x: jw.tag(with_jvp(jw.tag(x, "before")), "after").sum())(X)
    np.testing.assert_array_equal(walk.deltas["before"], np.full(3, 2, np.float32))


def test_unused():
    def fun(x):
        jw.tag(x * 2, "dropped")
        y = jw.tag(x * 3, "half")
        return jnp.sum(x) + jnp.sum(y[:1])

    points = jw.points(fun, X)
    assert [(p.name, p.unused) for p in points.values()] == [("dropped", True), ("half", False)]
    walk = jw.walk(fun)(X)
    np.testing.assert_array_equal(walk.deltas["dropped"], np.zeros(3))
    np.testing.assert_array_equal(walk.outputs["dropped"], X * 2)
    assert walk.points["dropped"].unused


def test_what_is_behind_stop_gradient_says_so():
    def fun(x):
        stopped = jw.tag(jnp.sin(x), "stopped")
        both = jw.tag(jnp.cos(x), "both")
        y, _ = lax.scan(lambda h, _: (h + lax.stop_gradient(jw.tag(2 * h, "in")), None), x, None, length=3)
        best = jnp.argmax(jw.tag(x * 2, "integer")).astype(x.dtype)
        jw.tag(lax.stop_gradient(x), "unused")
        return jnp.sum(lax.stop_gradient(stopped * both) * both) + jnp.sum(y) + best

    walk = jw.walk(fun)(X)
    assert [name for name, point in walk.points.items() if point.stopped] == ["stopped", "in", "integer"]
    assert repr(walk.points).count("stop_gradient or an integer ahead: delta is 0") == 3
    for name, delta in walk.deltas.items():
        assert np.any(delta) == (name == "both")


def test_what_only_the_aux_needs_is_unused():
    fun = lambda x: (jnp.sum(x), jw.tag(x * 2, "aux"))
    assert not jw.points(fun, X)["aux"].unused
    assert jw.walk(fun, has_aux=True)(X).points["aux"].unused


def test_integers_have_outputs_and_no_delta():
    fun = lambda x: jnp.sum(x * jw.tag(jnp.argmax(x), "best").astype(x.dtype))
    walk = jw.walk(fun)(X)
    assert walk.outputs["best"] == 2
    assert list(walk.deltas) == []
    with pytest.raises(KeyError, match="int32: it has an output and no δ"):
        walk.deltas["best"]
    assert "int32: no delta" in repr(walk.points)


def test_random_keys_have_outputs():
    def fun(key):
        key = jw.tag(jax.random.split(key)[0], "key")
        return jnp.sum(jw.tag(jax.random.normal(key, (2,)), "noise"))

    walk = jw.walk(fun)(jax.random.key(0))
    assert list(walk.outputs) == ["key", "noise"]
    assert list(walk.deltas) == ["noise"]


def test_a_random_key_in_a_branch_is_opaque():
    fun = lambda key: lax.cond(True, lambda k: jw.tag(jax.random.fold_in(k, 1), "key"), lambda k: k, key)
    assert "no zeros to give" in jw.points(fun, jax.random.key(0))["key"].opaque


def test_points_is_a_mapping_that_can_be_compared_and_hashed():
    fun = lambda x: jw.tag(jw.tag(x, "a") * 2, "b")
    one, other = jw.points(fun, X), jw.points(fun, X)
    assert one == other
    assert hash(one) == hash(other)
    assert one != jw.points(lambda x: jw.tag(x, "a"), X)
    assert list(one.where(lambda p: p.name == "b")) == ["b"]
    with pytest.raises(KeyError, match="There are: `a`, `b`"):
        one["c"]


def test_shows_itself_as_html():
    assert "<td" in jw.points(lambda x: jw.tag(x, "<a>"), X)._repr_html_()
    assert "&lt;a&gt;" in jw.points(lambda x: jw.tag(x, "<a>"), X)._repr_html_()


def test_the_scopes_around_do_not_matter():
    with jax.named_scope("outer"):
        assert names(lambda x: jw.tag(x, "a"), X) == ["a"]


@pytest.mark.parametrize("by", ["scope", "modules", 3])
def test_unknown_by(by):
    with pytest.raises(jw.ArgumentError, match="`by` is"):
        jw.points(lambda x: jw.tag(x, "a"), X, by=by)


def test_what_holds_no_names_is_not_entered_again_and_again():
    """A function that calls one twice, which calls one twice ...: 2⁴⁰ calls of the innermost.

    JAX's own checks do enter every one of them, so that with these on it is 2⁶.
    """
    fun = jax.jit(jnp.sin)
    for _ in range(6 if jax.config.jax_enable_checks else 40):
        fun = jax.jit(lambda x, inner=fun: inner(inner(x)))
    assert names(lambda x: jw.tag(fun(x), "after"), X) == ["after"]
