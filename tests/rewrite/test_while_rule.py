"""Points in `lax.while_loop`: checked against a loop of Python's that keeps what it computed last."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import PartitionSpec as P

import jaxwalk as jw

pytestmark = pytest.mark.usefixtures("float64")

X = np.array([0.3, -0.7])
ROWS = np.array([1.0, 0.5, -2.0])
BODY = ("wave", "inner", "even", "rest", "x")


def looped(x, n):
    """A loop of n passes, with points in its test, and in its body in a scan, a cond and a loop of its own."""

    def body(state):
        i, x = state
        wave = jw.tag(jnp.sin(x + i), "wave")
        total, _ = lax.scan(lambda c, row: (jw.tag(jnp.cos(c) * row, "inner"), None), jnp.sum(wave), ROWS)
        x = lax.cond(i % 2 == 0, lambda w: jw.tag(w * 2, "even"), lambda w: w, wave)
        rest = lax.while_loop(lambda r: r < i, lambda r: jw.tag(r + 0.75, "rest"), 0.0)
        return i + 1, jw.tag(x + total + rest, "x")

    return jnp.sum(lax.while_loop(lambda state: jw.tag(state[0], "count") < n, body, (0, x))[1])


def by_hand(x, n, wave_edit=lambda wave: wave):
    """Its result and what is at its points, without JAX."""
    found = {"count": 0, **dict.fromkeys(BODY, np.zeros(2)), "inner": np.zeros(3), "rest": 0.0}
    for i in range(n):
        wave = wave_edit(np.sin(x + i))
        inner, total = [], wave.sum()
        for row in ROWS:
            total = np.cos(total) * row
            inner.append(total)
        even = wave * 2 if i % 2 == 0 else np.zeros(2)
        x, rest = wave * 2 if i % 2 == 0 else wave, 0.0
        while rest < i:
            rest += 0.75
        x = x + total + rest
        found = {"count": i + 1, "wave": wave, "inner": inner, "even": even, "rest": rest, "x": x}
    return np.sum(x), found


def assert_as_by_hand(found, expected):
    (value, outputs), (expected_value, expected_outputs) = found, expected
    np.testing.assert_allclose(value, expected_value, rtol=1e-12)
    assert list(outputs) == ["count", *BODY]
    for name, output in outputs.items():
        np.testing.assert_allclose(output, expected_outputs[name], rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("n", range(5))
def test_outputs_are_those_of_the_last_pass(n):
    assert_as_by_hand(jw.outputs(looped)(X, n), by_hand(X, n))


def test_under_jit_and_vmap_each_datum_has_its_own_last_pass():
    numbers = np.arange(5)
    rows = np.arange(10.0).reshape(5, 2) / 7
    value, outputs = jax.jit(jax.vmap(jw.outputs(looped)))(rows, numbers)
    for i, n in enumerate(numbers):
        assert_as_by_hand((value[i], {k: v[i] for k, v in outputs.items()}), by_hand(rows[i], n))


def test_in_what_a_walk_enters_there_is_a_last_pass_each_time():
    def fun(x):
        step = lambda c, n: (c + lax.cond(n < 3, jax.checkpoint(jax.jit(looped)), lambda x, n: 0.0, x, n), None)
        return lax.scan(step, 0.0, jnp.arange(5))[0]

    value, outputs = jw.outputs(fun)(X)
    expected = [by_hand(X, n if n < 3 else 0) for n in range(5)]
    np.testing.assert_allclose(value, sum(each for each, _ in expected[:3]), rtol=1e-12)
    for name in BODY:
        np.testing.assert_allclose(outputs[name], [values[name] for _, values in expected], rtol=1e-12, err_msg=name)
    assert (outputs["count"] == np.array([0, 1, 2, 0, 0])).all()
    point = jw.points(fun, X)["inner"]
    assert [axis.length for axis in point.axes] == [5, 3]


def test_a_fori_loop_whose_bounds_are_arguments():
    fun = lambda n: lax.fori_loop(0, n, lambda i, c: jw.tag(c + i**2, "c"), 0)
    assert jw.outputs(fun)(jnp.asarray(4))[1]["c"] == 14


def test_on_shards():
    def fun(x):
        body = lambda c: jw.tag(c * 2, "doubled")
        return lax.while_loop(lambda c: lax.pmax(jnp.max(c), "a") < 9, body, x)

    mesh = jax.make_mesh((4,), ("a",), axis_types=(jax.sharding.AxisType.Auto,))
    x = np.array([1.0, 2, 3, 4])
    value, outputs = jax.jit(jw.outputs(jax.shard_map(fun, mesh=mesh, in_specs=P("a"), out_specs=P("a"))))(x)
    np.testing.assert_array_equal(value, 4 * x)
    np.testing.assert_array_equal(outputs["doubled"], (4 * x)[:, None])


def test_edits_are_made_at_every_pass():
    edited = jw.intervene(looped, {"wave": lambda wave: wave * wave})
    for n in range(4):
        np.testing.assert_allclose(edited(X, n), by_hand(X, n, np.square)[0], rtol=1e-12)
    assert_as_by_hand(jw.outputs(edited)(X, 3), by_hand(X, 3, np.square))
    replaced = jw.intervene(looped, {"wave": np.ones(2)})
    np.testing.assert_allclose(jax.jit(replaced)(X, 3), by_hand(X, 3, np.ones_like)[0], rtol=1e-12)
    once = jw.intervene(looped, {"count": lambda count: count + 2})  # read by the test alone: two passes fewer
    np.testing.assert_allclose(once(X, 3), by_hand(X, 1)[0], rtol=1e-12)


def test_a_jacobian_forward_goes_through():
    to_wave = lambda x: jw.outputs(looped)(x, 3)[1]["wave"]
    step = 1e-6 * np.eye(2)
    expected = [(by_hand(X + e, 3)[1]["wave"] - by_hand(X - e, 3)[1]["wave"]) / 2e-6 for e in step]
    np.testing.assert_allclose(jax.jacfwd(to_wave)(X), np.transpose(expected), rtol=1e-6)


def test_delta_is_refused_with_the_reason_and_that_of_the_others_is_there():
    def fun(x):
        x = jw.tag(x * 3, "before")
        count = lax.stop_gradient(looped(x, 3))
        return jnp.sum(jw.tag(x**2, "square") * count)

    walk = jax.jit(jw.walk(fun))(X)
    assert list(walk.deltas) == ["before", "square"]
    count = by_hand(3 * X, 3)[0]
    np.testing.assert_allclose(walk.deltas["before"], 2 * 3 * X * count, rtol=1e-12)
    np.testing.assert_allclose(walk.outputs["wave"], by_hand(3 * X, 3)[1]["wave"], rtol=1e-12)
    why = "There is no `wave` here. It has an output, that of the last pass, and no δ: it is inside a `while_loop`"
    with pytest.raises(jw.PointError, match=why):
        walk.deltas["wave"]
    with pytest.raises(
        jw.PointError, match=r"no value at `wave` has a δ to keep; .*`wave` has none: .*inside a `while_loop`"
    ):
        jw.walk(fun, "wave", keep=lambda output, delta: delta)(X)
    with pytest.raises(jw.PointError, match=r"`deltas` names `wave`, which has no δ to change. .* a `while_loop`"):
        jw.intervene(fun, deltas={"wave": lambda output, delta: delta})(X)


def test_the_point_says_so():
    points = jw.points(looped, X, 3)
    assert {name: point.in_while for name, point in points.items()} == {"count": "test", **dict.fromkeys(BODY, "pass")}
    assert points["wave"].note() == "last pass of a while_loop (zeros if none): no delta"
    assert not points["wave"].has_delta
    assert points["count"].note() == "last test of a while_loop (zeros if none): no delta"


def test_what_is_used_in_a_loop():
    def fun(x):
        def body(c):
            jw.tag(c[1] * 2, "dropped")
            return c[0] + 1, c[1] * 2, jw.tag(c[1], "next"), jw.tag(c[0] * 3, "ignored")

        return lax.while_loop(lambda c: c[0] < 3, body, (0, x, x, 0))[2]

    assert {name: point.unused for name, point in jw.points(fun, X).items()} == {
        "dropped": True, "next": False, "ignored": True,
    }  # fmt: skip


def test_the_first_that_is_not_finite():
    def fun(x):
        body = lambda c: (c[0] + 1, jw.tag(jnp.log(jw.tag(-jnp.abs(c[1]), "negative")), "log"))
        return jnp.sum(lax.while_loop(lambda c: jw.tag(c[1], "tested")[0] < 9, body, (0, x))[1])

    assert jw.walk(fun)(X).first_nonfinite().point == "log"  # and not `tested`, which is met after it


def test_a_loop_batched_inside_of_the_function_is_opaque():
    many = lambda xs, ns: jnp.sum(jax.vmap(looped)(xs, ns))
    point = jw.points(many, np.ones((3, 2)), np.arange(3))["wave"]
    assert point.opaque.startswith("inside a `while_loop` under `vmap`, which computes on with data that are done")
    same = jw.points(lambda xs: jnp.sum(jax.vmap(looped, (0, None))(xs, 3)), np.ones((3, 2)))["wave"]
    assert (same.opaque, same.shape) == (None, (3, 2))
