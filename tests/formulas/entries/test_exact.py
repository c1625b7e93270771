"""Exact numbers: the worked example as the textbook has it; and rational arithmetic against Python's own."""

import re
from fractions import Fraction as F

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

import jaxwalk as jw
from helpers import examples
from jaxwalk._cli.example.walkthrough import PATIENTS, params, patient_loss
from jaxwalk._formulas.entries.fractions import is_short, shortest_decimal, simplest

W2 = [F(1, 200), F(-3, 11600), F(1, 5800)]
fractions = st.fractions(min_value=-100, max_value=100, max_denominator=50)


def array(*numbers):
    return np.array(numbers, object)


@pytest.mark.parametrize("x", PATIENTS.x.tolist())
def test_the_worked_example(x):
    patient = [x == row for row in PATIENTS.x.tolist()].index(True)
    y = int(PATIENTS.y[patient])
    walk = jw.exact(jw.walk(patient_loss, argnums=0))(params, array(*map(int, x)), y)
    o2 = [0, 1, 0][patient]
    assert (walk.outputs["L2"], walk.outputs["L3"], walk.value) == (o2, o2, [0, 0, F(1, 2)][patient])
    delta = [0, 0, -1][patient]
    assert (walk.deltas["L3"], walk.deltas["L2"]) == (delta, delta)
    assert list(walk.deltas["L1"]) == list(walk.deltas["input"]) == [delta * w for w in W2]
    assert list(walk.grads["L2"]) == [delta * int(o) for o in x]
    assert list(walk.deltas) == ["input", "L1", "L2", "L3"]
    assert jw.exact(jax.grad(patient_loss))(params, array(*map(int, x)), y)["L2"][1] == delta * x[1]
    repr(walk), walk._repr_html_(), repr(walk.deltas)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_the_simplest_fraction_rounds_to_the_float(value):
    found = simplest(value, np.dtype("float32"))
    with np.errstate(over="ignore", under="ignore"):
        neighbours = [np.nextafter(np.float32(value), np.float32(end)) for end in (-np.inf, np.inf)]
    for other in neighbours:
        assert not np.isfinite(other) or abs(found - F(value)) <= abs(found - F(float(other)))
    assert np.float32(shortest_decimal(value, np.dtype("float32"))) == np.float32(value)


@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from(["float16", "float32", "float64", "bfloat16"]))
def test_the_simplest_fraction_is_the_simplest(numerator, denominator, name):
    dtype = np.dtype(getattr(ml_dtypes, name, name))
    value = float(dtype.type(numerator / denominator))
    found = simplest(value, dtype)
    assert float(dtype.type(float(found))) == value
    smaller = [q for q in range(1, found.denominator) if float(dtype.type(round(value * q) / q)) == value]
    # At an end of the interval two floats are as near; such a fraction is not taken.
    assert all(abs(F(round(value * q), q) - F(value)) >= abs(found - F(value)) for q in smaller)
    if name in ("float32", "float64"):
        assert found == F(numerator, denominator)
        assert is_short(found, value, dtype)


def test_floats_of_no_simple_fraction_are_not_short():
    values = np.random.default_rng(0).uniform(0, 2, 300).astype(np.float32)
    assert sum(is_short(simplest(float(v), v.dtype), float(v), v.dtype) for v in values) < 6


@settings(max_examples=examples(25), deadline=None)
@given(st.lists(fractions, min_size=3, max_size=3), st.lists(fractions, min_size=3, max_size=3))
def test_against_python_s_fractions(a, b):
    fun = lambda a, b: (a @ b, a * b - a, jnp.max(a), jnp.where(a > b, a, b), jnp.cumsum(a), a**3, jnp.floor(b))
    dot, product, largest, larger, sums, cubes, floors = jw.exact(fun)(array(*a), array(*b))
    assert dot == sum(x * y for x, y in zip(a, b, strict=True))
    assert list(product) == [x * y - x for x, y in zip(a, b, strict=True)]
    assert largest == max(a)
    assert list(larger) == [max(x, y) for x, y in zip(a, b, strict=True)]
    assert list(sums) == [a[0], a[0] + a[1], sum(a)]
    assert list(cubes) == [x**3 for x in a]
    assert list(floors) == [x.__floor__() for x in b]


def test_leaves_and_results():
    fun = lambda p, n: {"a": p["x"] * 2, "i": jnp.argmax(p["y"]), "b": p["y"] > 1, "n": n + 1}
    found = jw.exact(fun)({"x": F(1, 3), "y": array(1, F(5, 2))}, np.array([1, 2], np.int32))
    assert (found["a"], found["i"], list(found["b"]), list(found["n"])) == (F(2, 3), 1, [False, True], [2, 3])
    assert all(isinstance(found[k], t) for k, t in {"a": F, "i": int, "b": np.ndarray}.items())
    assert jw.exact(lambda x: x / 3)(2) == F(2, 3)
    assert jw.exact(lambda x: x / 3)(0.1) == F(1, 30)
    assert list(jw.exact(lambda x: x / 3)(jnp.float32([0.1, 0.5]))) == [F(1, 30), F(1, 6)]


def test_what_is_rational_is_computed():
    fun = lambda x: (jnp.sqrt(x), lax.rsqrt(x), x**-1.5, jnp.cbrt(x * 1.5), jnp.exp(x - x), jnp.mod(x, 2))
    assert jw.exact(fun)(F(9, 4)) == (F(3, 2), F(2, 3), F(8, 27), F(3, 2), 1, F(1, 4))


def test_roots_of_large_numbers_and_small_decimals():
    assert jw.exact(jnp.cbrt)(F(10**60)) == 10**20
    assert jw.exact(jnp.cbrt)(F(-(10**1200), 27)) == -F(10**400, 3)
    assert jw.exact(lambda x: x + 1e-8)(0) == F(1, 10**8)
    assert jw.exact(lambda x: x + np.float32(1 / 3))(0) == F(1, 3)


def test_an_error_of_the_function_names_the_function():
    def of_a_branch(x):
        return x if x > 0 else -x

    with pytest.raises(jax.errors.TracerBoolConversionError, match=r"of_a_branch at .*test_exact\.py.* argument x\b"):
        jw.exact(of_a_branch)(F(1, 3))


def test_a_branch_that_is_not_taken_may_leave_the_rationals():
    safe = lambda x: jnp.where(x > 0, 1 / x, 7.0) + jnp.where(x > 0, jnp.log(x), 0.0)
    assert jw.exact(safe)(0) == 7
    assert jw.exact(jax.grad(lambda x: jnp.where(x > 2, jnp.sqrt(x), x)))(1) == 1


def test_loops_sorting_and_derivatives():
    assert jw.exact(lambda x: lax.while_loop(lambda c: c < 10, lambda c: c * x, x))(F(3, 2)) == F(3, 2) ** 6
    assert jw.exact(lambda x: lax.fori_loop(0, 5, lambda i, c: c * x + i, 1.0))(F(1, 2)) == F(197, 32)
    assert list(jw.exact(jnp.sort)(array(3, F(1, 2), 2))) == [F(1, 2), 2, 3]
    assert jw.exact(jax.grad(lambda x: jnp.maximum(x, 0.0)))(0) == F(1, 2)
    assert jw.exact(jax.grad(jax.grad(lambda x: x**4 / 7)))(F(1, 2)) == F(3, 7)
    hessian = jw.exact(jax.hessian(lambda x: x[0] ** 2 * x[1]))(array(F(1, 3), 2))
    assert hessian.tolist() == [[4, F(2, 3)], [F(2, 3), 0]]
    assert list(jw.exact(jax.vmap(lambda x: x @ x))(np.full((2, 2), F(1, 3)))) == [F(2, 9)] * 2


REFUSED = {
    "exp": (lambda x: jnp.exp(x), F(1, 2), "`exp` (test_exact.py:"),
    "sqrt": (lambda x: jnp.sqrt(x), 2, "the root of 2 is not rational"),
    "zero": (lambda x: 1 / x, 0, "it divides by zero"),
    "zero times": (lambda x: 0 * (1 / x), 0, "it divides by zero"),
    "bitcast": (lambda x: lax.bitcast_convert_type(x, "int32"), 1, "no rule is known for it"),
    "infinity": (lambda x: x + jnp.inf, 1, "it meets an infinity"),
    "infinite": (lambda x: jnp.maximum(x, jnp.inf), 1, "it is among the results"),
    "nan": (lambda x: jnp.where(x > 0, jnp.nan, x), 1, "A NaN leaves the rational numbers"),
    "logsumexp": (lambda x: lax.cumlogsumexp(jnp.stack([x, x])), 1, "no rule is known for it"),
    "condition": (lambda x: jnp.where(jnp.exp(x) > 1, 1.0, 0.0), 1, "`exp`"),
}  # fmt: skip


REFUSED |= {
    "branch": (lambda x: lax.cond(jnp.sqrt(x) > 1, lambda: 1.0, lambda: 2.0), 2, "the root of 2 is not rational"),
    "loop": (lambda x: lax.while_loop(lambda c: jnp.sqrt(c) < 9, lambda c: c * 2, x), 2, "the root of 2 is not"),
    "unsigned": (lambda x: x.astype(jnp.uint8), F(-5, 2), "-2 is not among the numbers of uint8"),
    "eight bits": (lambda x: x.astype(jnp.int8), 1000, "1000 is not among the numbers of int8"),
    "long": (jnp.cbrt, F(10**60 + 1), "the root of a number of 61 digits is not rational"),
    "shortened": (lambda x: lax.reduce_precision(x, 8, 2), F(1, 3), "it rounds to 2 bits of mantissa"),
    "complex": (lambda x: jnp.where(x > 0, 1j, 2.0).real, 1, "it is of complex numbers"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_leaves_the_rationals_is_refused(name):
    fun, x, text = REFUSED[name]
    with pytest.raises(jw.FormulaError, match=re.escape(text)) as caught:
        jw.exact(fun)(x)
    assert "\n" not in str(caught.value)


def test_arguments_that_do_not_fit():
    for attempt, text in (
        (lambda: jw.exact(3), "`fun` is 3, which cannot be called"),
        (lambda: jw.exact(jnp.sum)(1 + 2j), "`args[0]` holds (1+2j); give fractions, integers, and object arrays"),
        (lambda: jw.exact(jnp.sum)(sympy.Rational(1, 3)), "`args[0]` holds 1/3; give fractions"),
        (lambda: jw.exact(jnp.sum)(np.ones(2, complex)), "`args[0]` is of complex numbers; give fractions"),
        (lambda: jw.exact(jnp.sum)(array(1, "a")), "`args[0]` holds 'a'; give fractions"),
        (
            lambda: jw.exact(jnp.sum)({"a": jax.ShapeDtypeStruct((2,), "float32")}),
            "`args[0]['a']` is a shape without",
        ),
    ):
        with pytest.raises(jw.ArgumentError, match=re.escape(text)):
            attempt()


def test_one_entry_taken_out_of_an_array():
    """Of which NumPy gives the entry, and not an array of none."""
    fun = lambda x: (x.at[1].set(x[0] * 2).at[0].add(3.0) ** 2).sum()
    assert list(jw.exact(jax.grad(fun))(array(F(1, 3), F(2), F(1, 2)))) == [F(28, 3), 0, 1]
