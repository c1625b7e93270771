"""A small model and its data, evaluated quickly, and what must be the same of two evaluations."""

import jax
import jax.numpy as jnp
import numpy as np

import jaxwalk as jw

random = np.random.default_rng(0)
PARAMS = {"in": random.normal(size=(3, 4)).astype(np.float32), "out": random.normal(size=(4,)).astype(np.float32)}
X, Y = random.normal(size=(23, 3)).astype(np.float32), random.normal(size=23).astype(np.float32)
POINTS = ("hidden", "act", "result")


def fun(params, x, y):
    hidden = jw.tag(x @ params["in"], "hidden")
    result = jw.tag(jw.tag(jax.nn.relu(hidden), "act") @ params["out"], "result")
    return 0.5 * (result - y) ** 2


def batches(size=5, x=X, y=Y):
    return [(x[i : i + size], y[i : i + size]) for i in range(0, len(x), size)]


def product(output, delta):
    """Quick to compile: most tests here are of how data are gone through, not of what is kept."""
    return jnp.sum(output * delta)


def evaluate(data=None, fun=fun, params=PARAMS, keep=product, **options):
    return jw.evaluate(fun, params, batches() if data is None else data, keep=keep, progress=False, **options)


def assert_same(a, b, rtol=1e-5):
    assert (a.count, a.nonfinite, [d.index for d in a.culprits]) == (
        b.count,
        b.nonfinite,
        [d.index for d in b.culprits],
    )
    np.testing.assert_allclose(a.loss, b.loss, rtol=rtol)
    assert list(a.kept) == list(b.kept)
    jax.tree.map(np.testing.assert_array_equal, dict(a.seen), dict(b.seen))
    for name in a.kept:
        assert list(a.kept[name]) == list(b.kept[name])
        for key, value in a.kept[name].items():
            np.testing.assert_allclose(value, b.kept[name][key], rtol=rtol, atol=1e-6, err_msg=f"{name} {key}")
