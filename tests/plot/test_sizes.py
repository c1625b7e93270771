"""The sizes that pictures draw, against NumPy: of a walk, of walks by vmap, of what was kept, of an evaluation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk.plot._sizes import sizes_of

pytestmark = pytest.mark.once


def loss(weights, x):
    def layer(x, w):
        return jw.tag(jax.nn.relu(x @ w), "relu"), None

    return jnp.sum(jax.lax.scan(layer, x, weights)[0] ** 2)


WEIGHTS, X = jnp.stack([2 * jnp.eye(3)] * 4), jnp.array([[1.0, -1.0, 2.0], [3.0, 0.0, 0.0]])


def check(side, values, over):
    np.testing.assert_allclose(side.rms, np.sqrt(np.mean(np.square(values, dtype=np.float64), over)), rtol=1e-6)
    np.testing.assert_allclose(side.max, np.max(np.abs(values), over), rtol=1e-6)
    np.testing.assert_allclose(side.zeros, np.mean(values == 0, over), rtol=1e-6)
    np.testing.assert_array_equal(side.nonfinite, 0)


def test_sizes_are_those_of_numpy():
    walks = jax.vmap(jw.walk(loss), (None, 0))(WEIGHTS, X)
    (size,) = sizes_of(walks)
    check(size.output, walks.outputs["relu"], (0, 2))
    check(size.delta, walks.deltas["relu"], (0, 2))
    assert size.data == 2
    assert size.marks() == ()
    (one,) = sizes_of(jw.walk(loss)(WEIGHTS, X[0]))
    check(one.output, walks.outputs["relu"][0], 1)


def test_what_was_kept_tells_the_same():
    (held,) = sizes_of(jax.vmap(jw.walk(loss), (None, 0))(WEIGHTS, X))
    (kept,) = sizes_of(jax.vmap(jw.walk(loss, keep=jw.stats.summary), (None, 0))(WEIGHTS, X))
    batches = [(np.asarray(X), np.zeros(2, np.float32))]
    keep = jw.stats.combine(jw.stats.summary, jw.stats.dead)
    (data,) = sizes_of(jw.evaluate(lambda w, x, y: loss(w, x), WEIGHTS, batches, keep=keep))
    for size in (kept, data):
        for side, other in ((size.output, held.output), (size.delta, held.delta)):
            for field in ("rms", "max", "zeros", "nonfinite"):
                np.testing.assert_allclose(getattr(side, field), getattr(other, field), rtol=1e-6)
    assert data.data == 2
    assert data.dead == pytest.approx(1 / 3)


def test_marks():
    def fun(x):
        jw.tag(x * 3, "unused")
        dead = jw.tag(jax.nn.relu(jw.tag(-x, "blocked")), "dead")
        return jnp.sum(dead) + jnp.sum(jw.tag(jnp.log(x - 1), "log"))

    marks = {size.point.name: size.marks() for size in sizes_of(jw.walk(fun)(jnp.array([1.0, 3.0])))}
    assert marks == {"unused": ("unused",), "blocked": ("blocked",), "dead": ("dead",), "log": ("non-finite",)}


def test_what_is_zero_and_not_dead():
    def fun(b, x):
        return jw.tag(x @ b, "lora") + jnp.sum(x[jw.tag(jnp.argmin(x), "label")])

    walk = jw.walk(fun)(jnp.zeros(3), jnp.array([-1.0, 2.0, 3.0]))
    assert {size.point.name: size.marks() for size in sizes_of(walk)} == {"lora": ("dead",), "label": ()}
    (blocked,) = sizes_of(jw.walk(fun, "lora", keep=jw.stats.blocked)(jnp.zeros(3), jnp.ones(3)))
    assert blocked.marks() == ()
    none = sizes_of(jax.vmap(jw.walk(lambda x: jnp.sum(jw.tag(2 * x, "a"))))(jnp.zeros((0, 2))))
    assert [size.marks() for size in none] == [()]


@pytest.mark.parametrize("keep", [jw.stats.norms, None])
def test_empty_integer_and_nan(keep):
    def fun(x, n):
        return jnp.sum(jw.tag(x[:0], "empty")) + jw.tag(n, "integer") * jnp.mean(jw.tag(x, "x"))

    with jax.numpy_dtype_promotion("standard"):
        sizes = {s.point.name: s for s in sizes_of(jw.walk(fun, keep=keep)(jnp.array([jnp.nan, jnp.nan]), 2))}
    assert np.isnan(sizes["empty"].output.rms)
    assert not sizes["empty"].output.is_zero
    assert "blocked" not in sizes["empty"].marks()
    if keep is None:
        assert sizes["integer"].delta is None
        assert sizes["integer"].output.max == 2
    assert sizes["x"].output.nonfinite == (0 if keep else 2)
    assert np.isnan(sizes["x"].output.rms)


def test_what_is_refused():
    with pytest.raises(jw.ArgumentError, match="`result` is 3; give the `Walk` or the `Evaluation`"):
        sizes_of(3)
    with pytest.raises(jw.PointError, match=r"tells no sizes; keep `jw\.stats\.norms`"):
        sizes_of(jw.walk(loss, keep=lambda output, delta: delta.sum())(WEIGHTS, X[0]))
    with pytest.raises(jw.ArgumentError, match="being traced"):
        jax.jit(lambda x: sizes_of(jw.walk(loss)(WEIGHTS, x)))(X[0])
