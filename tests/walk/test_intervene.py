import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jaxwalk as jw

X = np.array([0.3, -0.7, 1.1], np.float32)


def fun(x):
    a = jw.tag(jnp.sin(x), "a")
    return jnp.sum(jw.tag(a * x, "b"))


def test_a_replacement_and_a_function():
    np.testing.assert_allclose(jw.intervene(fun, {"a": np.ones(3, np.float32)})(X), X.sum(), rtol=1e-6)
    np.testing.assert_allclose(jw.intervene(fun, {"a": lambda a: -a})(X), -fun(X), rtol=1e-6)
    np.testing.assert_allclose(jw.intervene(fun, {"a": lambda a: -a, "b": lambda b: 2 * b})(X), -2 * fun(X), rtol=1e-6)


def test_only_the_named_occurrence_is_edited():
    twice = lambda x: jw.tag(jw.tag(x, "x") + 1, "x")
    assert jw.intervene(twice, {"x": 5.0})(1.0) == 6
    assert jw.intervene(twice, {"x#2": 5.0})(1.0) == 5


def scanned(x):
    return lax.scan(lambda c, _: (jw.tag(c * 2, "c"), None), x, None, length=3)[0]


def test_inside_a_scan_a_function_runs_at_every_step():
    np.testing.assert_allclose(jw.intervene(scanned, {"c": lambda c: c + 1})(X), 8 * X + 7, rtol=1e-5)


def test_inside_a_scan_a_replacement_has_a_row_per_step():
    rows = np.arange(9, dtype=np.float32).reshape(3, 3)
    np.testing.assert_array_equal(jw.intervene(scanned, {"c": rows})(X), rows[2])
    with pytest.raises(jw.ArgumentError, match=r"shape \(3,\); the value there has shape \(3, 3\)"):
        jw.intervene(scanned, {"c": X})(X)


def test_inside_a_branch_the_edit_happens_if_the_branch_does():
    branch = lambda x: lax.cond(x[0] > 0, lambda x: jw.tag(x, "yes"), lambda x: jw.tag(2 * x, "no"), x)
    edited = jw.intervene(branch, {"yes": np.zeros(3, np.float32)})
    np.testing.assert_array_equal(edited(X), np.zeros(3))
    np.testing.assert_array_equal(edited(-X), -2 * X)


def test_integers_can_be_replaced():
    pick = lambda x: x[jw.tag(jnp.argmax(x), "i")]
    assert jw.intervene(pick, {"i": 0})(X) == X[0]
    with pytest.raises(jw.ArgumentError, match="dtype float32; the value there has dtype int32"):
        jw.intervene(pick, {"i": 0.0})(X)


@pytest.mark.parametrize(("number", "dtype"), [(1, "bfloat16"), (1.5, "bfloat16"), (True, "bool"), (2, "uint8")])
def test_a_python_number_takes_the_dtype_of_the_point(number, dtype):
    value = jw.intervene(lambda x: jw.tag(x, "x"), {"x": number})(jnp.zeros((), dtype))
    assert value.dtype == jnp.dtype(dtype)
    assert value == number


def test_composes():
    edited = jw.intervene(fun, {"a": lambda a: 2 * a})
    again = jw.intervene(edited, {"a": lambda a: 3 * a, "b": lambda b: b + 1})
    np.testing.assert_allclose(again(X), 6 * fun(X) + 3, rtol=1e-6)
    np.testing.assert_allclose(jax.jit(again)(X), again(X), rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(again)(X[None])[0], again(X), rtol=1e-6)
    np.testing.assert_allclose(jax.grad(edited)(X), 2 * jax.grad(fun)(X), rtol=1e-6)


def test_a_gradient_reaches_the_replacement():
    gradient = jax.grad(lambda v: jw.intervene(fun, {"a": v})(X))(jnp.ones(3))
    np.testing.assert_array_equal(gradient, X)


def test_the_result_may_be_anything():
    both = jw.intervene(lambda x: {"x": x, "y": [jw.tag(x, "a")]}, {"a": lambda a: a + 1})(X)
    np.testing.assert_array_equal(both["y"][0], X + 1)


def test_an_edit_may_name_points_of_its_own():
    edited = jw.intervene(fun, {"a": lambda a: jw.tag(a * 2, "inside")})
    assert list(jw.points(edited, X)) == ["inside", "a", "b"]
