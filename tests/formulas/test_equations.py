"""What is printed, read back by Python with its own precedence, is what JAX computes, on both sides of every case."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from formula_text import read_back
from jax import lax

import jaxwalk as jw

pytestmark = pytest.mark.usefixtures("float64")
POINTS = (-2.5, -1.0, -0.5, 0.5, 1.5, 2.5)

SCALARS = {
    "residual": lambda x: x + jax.nn.relu(x),
    "residual where": lambda x: x + jnp.where(x > 0, x, 0.0),
    "minus a condition": lambda x: x - (x > 0).astype(x.dtype),
    "sum of cases": lambda x: jnp.where(x > 0, x, 1.0) + jnp.where(x > 1, x, 3.0),
    "product of cases": lambda x: jnp.where(x > 0, x, 1.0) * jnp.where(x > 1, x, 3.0),
    "quotient of cases": lambda x: -jnp.where(x > 0, x, 1.0) / jnp.where(x > 1, x, 3.0),
    "cases in a condition": lambda x: jnp.where(jnp.where(x > 0, x, x * x) > 2.0, 1.0, x),
    "cases in cases": lambda x: jnp.where(x > 0, jnp.where(x > 1, 1.0, x), jnp.where(x > -1, 7.0, -x)),
    "cases under a root": lambda x: jnp.exp(jnp.where(x > 0, x, 1.0)) - jnp.sqrt(jnp.where(x > 0, x, 2.0)),
    "power of cases": lambda x: jnp.where(x > 0, x, 3.0) ** 2 + jnp.where(x > 0, x, 3.0) ** 1.5,
    "conditions": lambda x: jnp.where((x > 0) & ~(x > 1) | (x < -1), x, 2.0 * x),
    "either": lambda x: jnp.where((x > 0) ^ (x < 1), x, 2.0 * x),
    "negative powers": lambda x: 1 / (x * x) - (x - 1.5) ** -3,
    "broken powers": lambda x: (x + 3) ** 1.5 - (x + 3) ** -2.5 + 2.0**x,
    "quotients": lambda x: x / (x * x + 1) / (2 * x) - 3 / x / 4,
    "signs": lambda x: -x - (-x) * 2 - (x - (1 - x)) + (-x) ** 2 - x**2,
    "roots": lambda x: jnp.sqrt(x * x + 1) * lax.rsqrt(x * x + 2),
    "absolute": lambda x: jnp.abs(x) - 2 * jnp.abs(x - 1),
    "clipped": lambda x: jnp.clip(x, -1.5, 0.7) * x,
    "maximum": lambda x: jnp.maximum(x, 1 - x) - jnp.minimum(x, 2.0),
    "decimals": lambda x: x * 1.0000005 - x * 3.14159265358979 * 1e-30 + 1234567.89,
    "root in a case": lambda x: jnp.where(x > 0, jnp.sqrt(x), 0.0) + x,
    "guarded derivative": lambda x: jnp.where(x > 0, jnp.log(x), x),
    "sigmoid": lambda x: jax.nn.sigmoid(x) * x - jax.nn.softplus(x),
}


def read(equation, values):
    """Return what an equation says at numbers, by the names that are printed."""
    known = dict(values)
    for name, text, _ in equation.where:
        known[name] = read_back(text, known)
    return read_back(equation.text, known)


@pytest.mark.parametrize("grain", ["entries", "tensors"])
@pytest.mark.parametrize("name", SCALARS)
def test_scalars_are_read_as_they_are_computed(name, grain):
    fun, scalar = SCALARS[name], jnp.zeros(())
    found = jw.formulas(jw.chain(fun), lambda o, y: o * y, {}, scalar, scalar, grain=grain)
    derivative = jax.grad(fun)
    for x in POINTS:
        np.testing.assert_allclose(read(found["X²"], {"X¹": x}), fun(jnp.asarray(x)), rtol=1e-9, atol=1e-12)
        delta = read(found["δ¹"], {"X¹": x, "δ²": 5.0})
        np.testing.assert_allclose(delta, 5.0 * derivative(x), rtol=1e-9, atol=1e-12)


TENSORS = {
    "centred": lambda x: x - x.mean(1, keepdims=True),
    "centred the other way": lambda x: x - x.mean(1)[None],
    "by the largest": lambda x: x / x.max(1, keepdims=True),
    "by the largest the other way": lambda x: x / x.max(1)[None],
    "normed": lambda x: x / jnp.sqrt((x * x).sum(1, keepdims=True)),
    "normed the other way": lambda x: x / jnp.sqrt((x * x).sum(1))[None],
    "all kept": lambda x: x - x.sum(keepdims=True) * x.min(0, keepdims=True),
    "cases": lambda x: x + jnp.where(x > 0, x, 1.0) * jnp.where(x.sum() > 0, x, 2.0),
    "roots in cases": lambda x: jnp.where(x > 0, jnp.sqrt(x), 0.0) - jnp.where(x > 0, 1 / x, 0.0),
    "products": lambda x: (x @ x.T) @ x / 2 - x * (x[0] @ x[1]),
    "logarithm": lambda x: 0.0 * jnp.log(x) + x,
}


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_are_read_as_they_are_computed(name):
    fun, x = TENSORS[name], np.random.default_rng(3).normal(size=(3, 3))
    found = jw.formulas(jw.chain(fun), lambda o, y: jnp.sum(o * y), {}, x, np.ones((3, 3)), grain="tensors")
    np.testing.assert_allclose(read(found["X²"], {"X¹": x}), fun(x), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.evaluate({}, x, np.ones((3, 3)))["X²"], fun(x), rtol=1e-9, atol=1e-12)


def test_what_differs_is_printed_differently():
    texts = [tensors(fun, np.ones((3, 3)))["X²"].text for fun in TENSORS.values()]
    assert len(set(texts)) == len(texts)
    assert texts[:2] == ["X¹ − Σ₁(X¹)[:, None] / 3", "X¹ − Σ₁(X¹) / 3"]


def tensors(fun, x):
    return jw.formulas(jw.chain(fun), lambda o, y: jnp.sum(o.astype(float)), {}, x, 0.0, grain="tensors")


@pytest.mark.parametrize(
    ("fun", "text"),
    [
        (lambda x: x.astype(np.float32) - np.float32(128), "float32(X¹) − 128"),
        (lambda x: x.astype(np.float32) ** 2, "(float32(X¹))²"),
        (lambda x: -x.astype(np.float32), "−float32(X¹)"),
        (lambda x: jnp.maximum(x.astype(np.float32), np.float32(60)) - 100, "max(float32(X¹), 60) − 100"),
        (lambda x: jnp.power(x.astype(np.float32), -1.0), "pow(float32(X¹), −1)"),
        (lambda x: (x - 128).astype(np.float32), "float32(uint8(X¹ − 128))"),
        (lambda x: x * 3 + x, "uint8(uint8(3 · X¹) + X¹)"),
    ],
)
def test_integers_are_converted_and_wrap(fun, text):
    x = np.array([[52, 180, 231]], np.uint8)
    found = tensors(fun, x)
    assert found["X²"].text == text
    np.testing.assert_allclose(found.evaluate({}, x, 0.0)["X²"], fun(jnp.asarray(x)), rtol=1e-6)
    np.testing.assert_allclose(read(found["X²"], {"X¹": x}), fun(jnp.asarray(x)), rtol=1e-6)
    assert "float32(…)" in repr(found) or "modulo" in repr(found)


def test_roundings_that_are_part_of_the_function():
    x = np.float32([1.001, 0.3])
    through = lambda x: x.astype(jnp.bfloat16).astype(np.float32) * 2
    found = tensors(through, x)
    assert found["X²"].text == "2 · bfloat16(X¹)"
    assert "as the nearest number that this type has" in repr(found)
    np.testing.assert_array_equal(found.evaluate({}, x, 0.0)["X²"], through(x))
    assert str(jw.formula(through, jnp.zeros((), np.float32))) == "2*bfloat16(x)"
    assert tensors(lambda x: lax.reduce_precision(x, 8, 2), x)["X²"].text.startswith("reduce_precision(X¹; ")
    low = jax.ShapeDtypeStruct((2,), jnp.bfloat16)  # all of it is rounded to bfloat16
    assert "bfloat16" not in tensors(lambda x: jax.nn.softmax(x) * x.sum(), low)["X²"].text
    kept = jax.checkpoint(lambda x: jnp.sin(jnp.sin(x)))
    assert "reduce_precision" not in repr(tensors(jax.grad(lambda x: kept(x).sum()), x))


def test_constants_have_all_their_digits():
    for number in (1.0000005, 3.1415927, 1e-30, 3.4e38, 0.1234567, 1e10):
        text = tensors(lambda x: x * np.float32(number), np.ones(2, np.float32))["X²"].text  # noqa: B023
        assert np.float32(read_back(text, {"X¹": 1.0})) == np.float32(number)
        assert len(text) < 22
    low = tensors(lambda x: x * jnp.bfloat16(0.3), jax.ShapeDtypeStruct((2,), jnp.bfloat16))
    assert low["X²"].text == "0.3 · X¹"


def test_comparisons_and_cases_that_have_a_name_stand_in_parentheses():
    def twice(x):
        condition = x + 1 >= 2 * x * x
        return jnp.where(condition, x, 1.0) * jnp.where(condition, 2.0, x)

    assert ("a", "(X¹ + 1 ≥ 2 · X¹ ⊙ X¹)") in [part[:2] for part in tensors(twice, np.ones(3))["X²"].where]
    found = jw.formulas(jw.chain(lambda x: x > 0, lambda c: c.astype(float)), lambda o, y: o, {}, 1.0, 0.0)
    assert str(found["X²"]) == "X² = (X¹ > 0)"


def test_cases_in_latex_are_in_brackets():
    scalar = jnp.zeros(())
    for grain in ("entries", "tensors"):
        fun = lambda x: jnp.where(x > 0, x, 1.0) + x
        latex = jw.formulas(jw.chain(fun), lambda o, y: o * y, {}, scalar, scalar, grain=grain)["X²"].latex
        assert r"\left(" in latex
        assert r"\right)" in latex


@pytest.mark.once
@pytest.mark.parametrize("grain", ["entries", "tensors"])
def test_names_are_no_part_of_what_tex_or_a_terminal_reads(grain):
    name = r"_&%#$ {h}^~i\j<b>" + "\x1b[2J"
    model = jw.chain(**{name: lambda w, x: w["$&"] * x})
    found = jw.formulas(model, lambda o, y: o * y, {name: {"$&": 2.0}}, 1.0, 1.0, grain=grain)
    assert all(line.isprintable() for line in repr(found).split("\n"))
    latex = found._repr_latex_().removeprefix("$$\\begin{aligned}\n").removesuffix("\n\\end{aligned}$$")
    assert re.sub(r"\\[\\_&%#${}]", "", latex).count("&") == len(found)
    assert not re.search(r"(?<!\\)[%#$~]", latex)
    assert latex.isprintable() or all(line.isprintable() for line in latex.split("\n"))
    assert r"\_\&\%\#\$\ \{h\}\hat{\ }\sim i\backslash j{<}b{>}\backslash x1b[2J" in latex


def test_axes_are_spoken_of_where_there_are_some():
    args = {"L1": jnp.ones((3, 4))}, jnp.ones((2, 3)), jnp.ones((2, 4))
    model, loss = jw.chain(lambda w, x: x @ w, lambda x: x.sum(0)), lambda o, y: jnp.sum(o * y[0])
    said = {grain: repr(jw.formulas(model, loss, *args, grain=grain)) for grain in ("entries", "tensors")}
    assert {grain: "axes are counted from 0" in text for grain, text in said.items()} == {
        "entries": False,
        "tensors": True,
    }
