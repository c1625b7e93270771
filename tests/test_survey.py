"""The survey's figures, against NumPy."""

import jax.numpy as jnp
import numpy as np
from jax import lax

import jaxwalk as jw
from jaxwalk._survey import survey

X = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)


def test_sizes_over_the_data_and_the_steps():
    def fun(params, x, y):
        step = lambda c, _: (jw.tag(c * 2, "step"), None)
        return jnp.sum(lax.scan(step, x, None, length=4)[0])

    (line,) = survey(fun, None, X, X).lines
    outputs = np.stack([X * 2**i for i in range(1, 5)])
    np.testing.assert_allclose(line.output.mean, np.abs(outputs).mean(), rtol=1e-5)
    np.testing.assert_allclose(line.output.max, np.abs(outputs).max(), rtol=1e-6)
    np.testing.assert_allclose((line.delta.mean, line.delta.max), (15 / 4, 8))
    assert line.output.nonfinite is None


def test_only_integers():
    fun = lambda params, x, y: jnp.sum(x) + 0 * jw.tag(jnp.argmax(x), "i").astype(jnp.float32)
    (line,) = survey(fun, None, X, X).lines
    assert line.delta is None
    np.testing.assert_allclose(line.output.mean, X.argmax(1).mean())


def test_the_first_datum_that_is_not_finite_and_the_largest_losses():
    x = np.float32([[1.0], [0.0], [-1.0], [4.0]])
    surveyed = survey(lambda params, x, y: jnp.sum(jw.tag(jnp.log(jw.tag(x, "x")), "log")), None, x, x)
    lines = {line.point.name: line for line in surveyed.lines}
    assert lines["log"].output.nonfinite == 1
    assert lines["x"].output.nonfinite is None
    assert lines["x"].delta.nonfinite == 1
    assert [i for i, _ in surveyed.largest(2)] == [2, 3]  # NaN first


def test_opaque_points_and_empty_values():
    def fun(params, x, y):
        jw.tag(x[:0], "empty")
        return jnp.sum(lax.while_loop(lambda c: c[0] < 0, lambda c: jw.tag(c + 1, "loop"), lax.stop_gradient(x)))

    empty, loop = survey(fun, None, X, X).lines
    assert (empty.output.mean, empty.output.max) == (0, 0)
    assert (loop.output, loop.delta) == (None, None)
