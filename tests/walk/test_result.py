import copy

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jaxwalk as jw

X = np.array([0.3, -0.7, 1.1], np.float32)


def fun(x):
    a = jw.tag(x * x, "a")
    b = jw.tag(jnp.cumsum(a), "b")
    return jnp.sum(b * b)


# predict --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("float64")
def test_predict_is_the_first_order_change():
    x = X.astype(np.float64)
    walk = jw.walk(fun)(x)
    for name in ("a", "b"):
        move = np.array([1.0, -2.0, 0.5])
        change = lambda t, name=name, move=move: jw.intervene(fun, {name: lambda v: v + t * move})(x)
        slope = (change(1e-6) - change(-1e-6)) / 2e-6
        np.testing.assert_allclose(walk.predict({name: move}), slope, rtol=1e-8)


def test_predict_adds_the_moves_of_several_points():
    walk = jw.walk(fun)(X)
    both = walk.predict({"a": X, "b": X})
    np.testing.assert_allclose(both, walk.predict({"a": X}) + walk.predict({"b": X}), rtol=1e-6)


def test_predict_of_many_walks_is_one_number_each():
    xs = np.stack([X, 2 * X])
    walk = jax.vmap(jw.walk(fun))(xs)
    predicted = jax.jit(lambda walk: walk.predict({"a": xs}))(walk)
    assert predicted.shape == (2,)
    np.testing.assert_allclose(predicted[1], jw.walk(fun)(2 * X).predict({"a": 2 * X}), rtol=1e-6)
    with pytest.raises(jw.ArgumentError, match="shape"):
        walk.predict({"a": X})  # one move for many walks is not broadcast


def test_predict_sums_bfloat16_in_float32():
    walk = jw.walk(lambda x: jnp.sum(jw.tag(x, "a")))(jnp.ones(1000, jnp.bfloat16))
    assert walk.predict({"a": jnp.ones(1000, jnp.bfloat16)}) == 1000


# culprits -------------------------------------------------------------------------------------------------


def test_culprits_are_the_largest_deltas():
    walk = jw.walk(fun)(X)
    entries = [(name, i, d[i], walk.outputs[name][i]) for name, d in walk.deltas.items() for i in range(3)]
    expected = sorted(entries, key=lambda e: -abs(float(e[2])))
    for k in (1, 3, 6, 100):
        found = [(c.point, *c.index, c.delta, c.value) for c in walk.culprits(k)]
        assert found == expected[:k]


def test_equal_culprits_stay_in_forward_order():
    walk = jw.walk(lambda x: jnp.sum(jw.tag(jw.tag(x, "a") * 1, "b")))(np.ones(4, np.float32))
    assert [(c.point, c.index) for c in walk.culprits(5)] == [("a", (i,)) for i in range(4)] + [("b", (0,))]
    assert [c.index for c in walk.culprits(2)] == [(0,), (1,)]


def test_culprits_of_many_walks_carry_the_datum_first():
    walk = jax.vmap(jw.walk(fun))(np.stack([X, 10 * X]))
    assert walk.culprits(1)[0].index[0] == 1


def test_nan_is_the_first_culprit():
    walk = jw.walk(lambda x: jnp.sum(jw.tag(jnp.sqrt(jw.tag(x, "x")), "root")))(np.array([4, 0, -1], np.float32))
    first, second = walk.culprits(2)
    assert (first.point, first.index) == ("x", (1,))  # 1/√0: Inf
    assert (second.point, second.index) == ("x", (2,))  # NaN
    assert np.isinf(first.delta)
    assert np.isnan(second.delta)


def test_culprits_of_every_kind_of_value():
    walk = jw.walk(lambda x: jnp.sum(jnp.abs(jw.tag(x.astype(jnp.complex64), "z"))).astype(jnp.bfloat16))(X)
    assert len(walk.culprits(3)) == 3
    empty = jw.walk(lambda x: jnp.sum(jw.tag(x, "empty")))(np.zeros((0, 3), np.float32))
    assert empty.culprits(3) == []
    scalar = jw.walk(lambda x: jw.tag(x, "scalar") * 2)(np.float32(1))
    assert scalar.culprits(1)[0].index == ()


# first_nonfinite ------------------------------------------------------------------------------------------


def test_all_finite():
    assert jw.walk(fun)(X).first_nonfinite() is None


def test_forward_comes_before_backward():
    walk = jw.walk(lambda x: jnp.sum(jw.tag(jnp.log(jw.tag(x, "x")), "log")))(np.array([1, 0, -1], np.float32))
    found = walk.first_nonfinite()
    assert (found.point, found.array, found.index) == ("log", "output", (1,))
    assert np.isneginf(found.value)


def test_backward_runs_from_the_loss():
    """√ at 0: every output is finite, every δ from there back is not; the last point is the first met."""

    def fun(x):
        x = jw.tag(x, "far")
        x = jw.tag(x * 2, "near")
        return jw.tag(jnp.sum(jnp.sqrt(x)), "after")

    found = jw.walk(fun)(np.array([1, 0], np.float32)).first_nonfinite()
    assert (found.point, found.array, found.index) == ("near", "delta", (1,))


def test_inside_a_scan_the_steps_are_in_order():
    """a of step 2 comes after b of step 1; and on the way back, before it."""

    def step(c, _):
        a = jw.tag(c * 1.0, "a")
        return jw.tag(jnp.log(a - 0.5), "b"), None

    forward = jw.walk(lambda x: lax.scan(step, x, None, length=4)[0])(np.float32(1)).first_nonfinite()
    assert (forward.point, forward.array, forward.index) == ("b", "output", (1,))

    def root(c, x):
        a = jw.tag(c * x, "a")
        return jw.tag(jnp.sqrt(a), "b"), None

    for reverse, last in ((False, 3), (True, 0)):  # √ at 0, in the step that runs last
        xs = np.float32([1, 1, 0, 1] if reverse else [1, 0, 1, 1])
        walk = jw.walk(lambda x, xs=xs, r=reverse: lax.scan(root, x, xs, reverse=r)[0])(np.float32(1))
        found = walk.first_nonfinite()
        assert (found.point, found.array, found.index) == ("a", "delta", (last,))


def test_the_loss_and_the_gradients_count():
    loss = jw.walk(lambda x: jnp.log(jw.tag(x, "a").sum() - 100))(X).first_nonfinite()
    assert (loss.point, loss.array, loss.index) == (None, "loss", ())
    fun = lambda p, x: jnp.sum(p * jw.tag(x, "a")) + jnp.sqrt(p) * 0
    grads = jw.walk(fun, argnums=0)(jnp.float32(0), X).first_nonfinite()
    assert (grads.point, grads.array) == (None, "grads")


def test_of_many_walks_the_axis_of_a_scan_is_not_the_first():
    fun = lambda x: jnp.sum(lax.scan(lambda c, _: (jw.tag(c * 2, "h"), None), x, None, length=4)[0])
    walk = jax.vmap(jw.walk(fun))(np.stack([X, X]))
    assert "axis 1: scan of 4" in repr(walk)
    bad = jax.vmap(jw.walk(lambda x: jnp.sum(jnp.log(jw.tag(x, "x")))))(np.float32([[1, 1], [1, 0]]))
    assert bad.first_nonfinite().array == "loss"


def test_integers_are_finite():
    walk = jw.walk(lambda x: x[jw.tag(jnp.argmax(x), "i")])(X)
    assert walk.first_nonfinite() is None


# how it shows ---------------------------------------------------------------------------------------------


def test_repr_of_a_walk():
    lines = repr(jw.walk(fun)(np.array([1, 2], np.float32))).splitlines()
    assert lines[0] == "Walk through 2 points, loss 26"
    assert lines[1].split("  ")[1:3] == ["X", "point"]
    assert lines[2].split() == ["1", "a", "(2,)", "float32", "2.5", "4", "11", "12"]
    assert lines[3].split() == ["2", "b", "(2,)", "float32", "3", "5", "6", "10"]


def test_repr_of_many_walks_and_of_kept():
    walk = jax.vmap(jw.walk(fun))(np.stack([X, X]))
    assert repr(walk).startswith("2 walks through 2 points, mean loss ")
    kept = jw.walk(fun, keep=lambda o, d: jnp.sum(d))(X)
    assert "kept" in repr(kept)
    assert "<td" in kept._repr_html_()


def test_repr_while_traced_and_of_shapes():
    seen = []

    @jax.jit
    def traced(x):
        walk = jw.walk(fun)(x)
        seen.append(repr(walk) + walk._repr_html_() + repr(walk.outputs))
        return walk

    assert "(3,)" in repr(jax.eval_shape(traced, X))
    assert "Walk through 2 points" in seen[0]


def test_what_others_call_it_is_told():
    walk = jw.walk(fun)(X)
    assert not hasattr(walk, "loss")
    with pytest.raises(AttributeError, match=r"^A `Walk` has no `loss`; it is `walk.value`\.$"):
        _ = walk.loss
    with pytest.raises(AttributeError, match=r"^A `Walk` has no `other`\.$"):
        _ = walk.other
    assert copy.copy(walk).value is walk.value


# kinks ----------------------------------------------------------------------------------------------------


def choosing(x):
    a = jw.tag(jax.nn.relu(x), "a")
    b = jw.tag(jnp.maximum(jax.nn.relu(a - 0.1), jw.tag(2 * x, "2x")), "b")
    return jnp.sum(jw.tag(b * b, "smooth"))


ON = np.float32([0.0, np.nextafter(np.float32(0.1), np.float32(1)), 1.0, 0.0])


def test_the_table_has_a_column_of_kinks_if_they_are_given(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    walk, kinks = jw.walk(choosing)(ON), jw.kinks(choosing, ON)
    assert "kinks" not in repr(walk)
    assert walk.kinks is None
    known = walk.with_kinks(kinks)
    assert known.kinks is kinks
    _, columns, *rows = [line.split("  ") for line in repr(known).splitlines()]
    assert columns[-1] == "kinks"
    assert [row[-1].strip() for row in rows[:4]] == ["2 ties, 1 near", "4", "2 ties", "1"]
    assert "3 kinks: there δ is one of two; see `Walk.kinks`." in repr(known)
    assert ">2 ties, 1 near</td>" in known._repr_html_()


def test_kinks_that_are_at_no_point_of_the_walk_are_counted_below():
    known = jw.walk(choosing, "a")(ON).with_kinks(jw.kinks(choosing, ON))
    assert repr(known).endswith("\nAt no point of this walk: 2 ties.")
    nowhere = lambda x: jnp.abs(jnp.sum(jw.tag(x, "x")) * 0)
    assert "At no point" not in repr(jw.walk(nowhere)(ON).with_kinks(jw.kinks(nowhere, ON)))  # after x: it is at x


def test_that_there_are_none_is_said():
    x = np.float32([1, 2, 3])
    known = jw.walk(fun)(x).with_kinks(jw.kinks(fun, x))
    assert repr(known).endswith("\nNo kinks: nothing here chooses.")


def test_what_could_not_be_judged_is_said_below_the_table():
    bad = lambda x: jnp.sum(jw.tag(jax.nn.relu(x), "a"))
    x = np.float32([np.nan])
    assert "NaN: nothing is decided there." in repr(jw.walk(bad)(x).with_kinks(jw.kinks(bad, x)))


def test_kinks_tell_of_these_numbers_and_of_no_others():
    known = jw.walk(choosing)(ON).with_kinks(jw.kinks(choosing, ON))
    assert jax.tree.map(lambda v: v, known).kinks is None
    assert jax.jit(lambda walk: walk)(known).kinks is None
    assert jax.tree.structure(known) == jax.tree.structure(jw.walk(choosing)(ON))


def test_with_kinks_refuses_what_does_not_fit():
    walk, kinks = jw.walk(choosing)(ON), jw.kinks(choosing, ON)
    with pytest.raises(jw.ArgumentError, match=r"`kinks` is \[\], which is no `Kinks`; give what `jw.kinks"):
        walk.with_kinks([])
    with pytest.raises(jw.ArgumentError, match=r"without the points `2x`, `smooth`; give `jw.kinks` the function"):
        walk.with_kinks(jw.kinks(fun, X))
    with pytest.raises(jw.ArgumentError, match="being traced, and `kinks` would not leave `jit`"):
        jax.jit(lambda x: jw.walk(choosing)(x).with_kinks(kinks))(ON)


# health ---------------------------------------------------------------------------------------------------


HEALTH = jw.Health(
    [
        jw.Finding("dead", "a", 1.0, 0.9, "", "", points=("a", "b")),
        jw.Finding("blocked", "b", 1.0, 0.0, "", ""),
        jw.Finding("update", None, 20.0, 10.0, "", "", weights=("kernel",)),
    ]
)


def test_the_table_has_a_column_of_health_if_it_is_given(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    walk = jw.walk(choosing)(ON)
    known = walk.with_health(HEALTH)
    assert known.health is HEALTH
    assert walk.health is None
    _, columns, *rows = [line.split() for line in repr(known).splitlines()]
    assert columns[-1] == "health"
    assert [row[-2:] if len(row) == len(rows[2]) else row[-1:] for row in rows[:4]][2] == ["dead,", "blocked"]
    assert rows[0][-1] == "dead"
    assert rows[3][-1] not in ("dead", "blocked")
    assert "3 findings; `Walk.health` says what each means, and what to try." in repr(known)
    assert "At none of these points: update." in repr(known)
    assert ">dead, blocked</td>" in known._repr_html_()
    assert "Healthy: `jw.health` found nothing." in repr(walk.with_health(jw.Health()))
    assert "health" not in repr(walk)
    assert "dead, blocked" in repr(jw.listing(known))


def test_health_is_no_part_of_the_pytree():
    known = jw.walk(choosing)(ON).with_health(HEALTH)
    assert jax.tree.map(lambda v: v, known).health is None
    assert jax.tree.structure(known) == jax.tree.structure(jw.walk(choosing)(ON))


def test_with_health_refuses_what_does_not_fit():
    with pytest.raises(jw.ArgumentError, match=r"`health` is \[\], which is no `Health`; give what `jw.health` ret"):
        jw.walk(choosing)(ON).with_health([])
    with pytest.raises(jw.ArgumentError, match="being traced, and `health` would not leave `jit`"):
        jax.jit(lambda x: jw.walk(choosing)(x).with_health(HEALTH))(ON)


def test_the_mean_of_large_numbers_is_finite():
    large = np.full(4, 1e38, np.float32)
    walk = jw.walk(lambda x: jnp.sum(jw.tag(x, "p") * np.float32(0.1)))
    assert "1e+38" in repr(walk(large))
    assert "inf" not in repr(walk(large)) + repr(jax.vmap(walk)(np.stack([large * 2] * 3)))
