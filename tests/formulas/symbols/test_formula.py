"""What a formula says at random numbers is what JAX computes there, in float64, primitive by primitive."""

import re
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy
from jax import lax

import jaxwalk as jw
from helpers import evaluated
from jaxwalk._formulas.entries.exact import _OPERATIONS
from jaxwalk._formulas.entries.index_maps import MOVES
from jaxwalk._formulas.entries.interpreter import CALLS
from jaxwalk._formulas.entries.rules import RULES
from jaxwalk._formulas.symbols.sympy_arithmetic import symbolic
from jaxwalk._jax.jaxpr import kinds, primitives

pytestmark = pytest.mark.usefixtures("float64")


def drawn(*shape, low=-1.5, high=1.5):
    return np.random.default_rng(sum(shape) + len(shape)).uniform(low, high, shape)


def numbers_of(args, names):
    numbers = {}
    for name, arg in zip(names, args, strict=True):
        for index in np.ndindex(np.shape(arg)):
            entry = "_".join([name, *(str(i + 1) for i in index)])
            numbers[entry] = sympy.Float(float(arg[index]), 17) if np.shape(arg) else sympy.Float(float(arg), 17)
    return numbers


def check(fun, *args, rtol=1e-9):
    """The formula at the arguments against JAX at the arguments."""
    args = [np.asarray(a) for a in args]
    names = [f"v{i}" for i in range(len(args))]
    found = jw.formula(fun, *args, names=names)
    expected = jax.jit(fun)(*args)
    assert jax.tree.structure(expected) == jax.tree.structure(found)
    for f, e in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert np.shape(evaluated(f, numbers_of(args, names))) == e.shape
        np.testing.assert_allclose(evaluated(f, numbers_of(args, names)), np.asarray(e), rtol=rtol, atol=1e-12)


POSITIVE = {"log", "sqrt", "rsqrt", "lgamma", "digamma"}
INSIDE = {"asin", "acos", "atanh", "erf_inv", "log1p"}
SKIPPED = {"stop_gradient", "optimization_barrier", "acosh"}


@pytest.mark.parametrize("name", [n for n in primitives.UNARY if n not in SKIPPED])
def test_unary(name):
    x = drawn(3, low=0.2, high=2.5) if name in POSITIVE else drawn(3) * (0.6 if name in INSIDE else 1)
    if name == "is_finite":
        assert list(jw.formula(lax.is_finite, x)) == [True] * 3
    else:
        check(getattr(lax, name), x)


@pytest.mark.parametrize(
    "name", [n for n in primitives.BINARY if n not in ("nextafter", "complex", "polygamma", "zeta")]
)
def test_binary(name):
    x, y = drawn(3, low=0.3, high=2.0), np.array([0.7, 1.9, 1.2])
    x[1] = y[1] if name in ("eq", "ne", "le", "ge", "max", "min") else x[1]
    check(getattr(lax, name), x, y)
    if name in ("rem", "sub", "max", "atan2"):
        check(getattr(lax, name), drawn(3), y)


FUNCTIONS = {
    "acosh": (lambda x: jnp.arccosh(x + 3), drawn(2)),
    "polygamma": (lambda x: lax.polygamma(1.0, x), np.float64(1.3)),
    "integer_pow": (lambda x: x**3 + x**-2, drawn(3)),
    "clamp": (lambda x: jnp.clip(x, -0.5, 0.5), drawn(5)),
    "round": (lambda x: lax.round(x), drawn(4)),
    "truncate": (lambda x: (3 * x).astype(int).astype(float), drawn(4)),
    "select": (lambda x: jnp.where(x > 0, jnp.sin(x), x * 2), drawn(4)),
    "logic": (lambda x: jnp.where((x > 0) & ~(x > 1) | (x < -1) ^ (x < 0.5), 1.0, x), drawn(6)),
    "truth": (lambda x: (jnp.all(x > -2), jnp.any(x > 1.4)), drawn(4)),
    "nested where": (lambda x: jnp.where(x > 0, jnp.where(x > 1, 1.0, x), jnp.where(x > 0, 7.0, -x)), drawn(5)),
    "sum": (lambda x: (x.sum(), x.sum(0), x.sum((0, 2)), x.prod(1)), drawn(2, 3, 2)),
    "max": (lambda x: (x.max(), x.min(0), jnp.max(x, 1, initial=0.5)), drawn(2, 3)),
    "cumulative": (lambda x: (jnp.cumsum(x, 1), jnp.cumprod(x, 0), lax.cummax(x, 1), lax.cummin(x, 0)), drawn(2, 3)),
    "cumlogsumexp": (lambda x: lax.cumlogsumexp(x, 0, True), drawn(3)),
    "mean": (lambda x: (x.mean(), jnp.var(x), jnp.std(x, 0)), drawn(2, 3)),
    "shapes": (lambda x: (x.T.reshape(3, 2), x[None, :, ::-1], jnp.squeeze(x[:1]), jnp.stack([x, x], 1)), drawn(2, 3)),
    "parts": (lambda x: (x[1:, ::2], x[-1], jnp.split(x, 3, 1), x[jnp.array([1, 0, 1])], x[0, 2]), drawn(2, 3)),
    "take": (lambda x: jnp.take(x, jnp.array([0, 7]), fill_value=0.25, mode="fill"), drawn(3)),
    "pad": (lambda x: jnp.pad(x, ((1, 0), (0, 2)), constant_values=0.5), drawn(2, 2)),
    "negative pad": (lambda x: lax.pad(x, 0.0, [(-1, 2, 1)]), drawn(4)),
    "set": (lambda x: x.at[jnp.array([0, 2])].set(x[:2] * 2), drawn(4)),
    "add at": (lambda x: x.at[jnp.array([0, 2, 0, 9])].add(x * 2), drawn(4)),
    "dynamic": (lambda x: (lax.dynamic_slice(x, (2,), (2,)), lax.dynamic_update_slice(x, x[:2], (1,))), drawn(4)),
    "tile": (lambda x: (jnp.tile(x, 2), jnp.repeat(x, 2), jnp.roll(x, 1)), drawn(3)),
    "reshape": (lambda x: lax.reshape(x, (3, 2), (1, 0)), drawn(2, 3)),
    "iota": (lambda x: x * jnp.arange(3.0) + jnp.eye(3)[1], drawn(3)),
    "tril": (lambda x: jnp.tril(x) + jnp.linspace(0, 1, 3)[None], drawn(3, 3)),
    "trace": (lambda x: (jnp.trace(x), jnp.diag(x), jnp.outer(x[0], x[1])), drawn(3, 3)),
    "logsumexp": (lambda x: jax.nn.logsumexp(x, axis=1), drawn(2, 2)),
    "softmax": (lambda x: (jax.nn.softmax(x), jax.nn.log_softmax(x)), drawn(3)),
    "layer norm": (lambda x: (x - x.mean()) * lax.rsqrt(x.var() + 1e-5), drawn(3)),
    "activations": (lambda x: [f(x) for f in (jax.nn.gelu, jax.nn.silu, jax.nn.elu, jax.nn.softplus)], drawn(3)),
    "scan": (lambda x: lax.scan(lambda c, a: (c * a + 1, c - a), 0.5, x, reverse=True), drawn(3)),
    "associative": (lambda x: lax.associative_scan(jnp.multiply, x), drawn(4)),
    "fori": (lambda x: lax.fori_loop(0, 3, lambda i, c: c * x[i] + i, 1.0), drawn(3)),
    "cond": (lambda x: lax.cond(x[0] > x[1], lambda x: (x[0], 1.0), lambda x: (x[1] ** 2, 2.0), x), drawn(2)),
    "switch": (lambda x: lax.switch(2, [jnp.sin, jnp.cos, jnp.exp], x), drawn(2)),
    "checkpoint": (jax.checkpoint(lambda x: jnp.sin(x) * x), drawn(2)),
    "vmap": (jax.vmap(lambda x: x @ x), drawn(2, 3)),
    "jvp": (lambda x: jax.jvp(jnp.tanh, (x,), (x * 2,)), drawn(2)),
    "hessian": (jax.hessian(lambda x: jnp.sum(x[0] * jnp.sin(x[1]))), drawn(2)),
    "barrier": (lambda x: lax.optimization_barrier(lax.stop_gradient(x)) * jax.device_put(jnp.copy(x)), drawn(2)),
    "erf": (jax.grad(lambda x: jnp.sum(jax.nn.gelu(x, approximate=False))), drawn(2)),
    "log2": (lambda x: jnp.log2(x**2 + 1), drawn(2)),
    "pool": (lambda x: lax.reduce_window(x, 0.0, lax.add, (2, 2), (1, 2), "SAME"), drawn(3, 3)),
    "max pool": (lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (2, 3), (2, 1), ((1, 0), (0, 1))), drawn(4, 3)),
    "random mask": (lambda x: jnp.where(jax.random.bernoulli(jax.random.key(0), 0.5, (4,)), x / 0.5, 0), drawn(4)),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name):
    check(*FUNCTIONS[name])


DERIVED = (
    "select sum max cumulative take set softmax activations scan cond logsumexp clamp".split()  # noqa: SIM905
    + ["shapes", "reshape", "parts", "pad", "pool", "add at", "layer norm", "max pool"]
)


@pytest.mark.parametrize("name", DERIVED)
def test_derivatives(name):
    fun, x = FUNCTIONS[name]
    total = lambda x: sum(jnp.sum(jnp.sin(leaf) * (i + 1)) for i, leaf in enumerate(jax.tree.leaves(fun(x))))
    check(jax.grad(total), x)


@pytest.mark.parametrize(
    ("dimensions", "a", "b"),
    [
        ((((1,), (0,)), ((), ())), (2, 3), (3, 2)),
        ((((0,), (1,)), ((), ())), (2, 3), (3, 2)),
        ((((2,), (1,)), ((0,), (0,))), (2, 3, 2), (2, 2, 1)),
        ((((0, 2), (2, 0)), ((1,), (1,))), (2, 3, 2), (2, 3, 2)),
        ((((), ()), ((), ())), (2,), (3,)),
    ],
)
def test_dot_general(dimensions, a, b):
    check(lambda a, b: lax.dot_general(a, b, dimensions), drawn(*a), drawn(*b))


@pytest.mark.parametrize(
    "options",
    [
        {"window_strides": (1, 1), "padding": "SAME"},
        {"window_strides": (2, 1), "padding": "VALID", "rhs_dilation": (1, 2)},
        {"window_strides": (1, 1), "padding": ((1, 0), (0, 2)), "lhs_dilation": (2, 1)},
        {"window_strides": (1, 1), "padding": "SAME", "feature_group_count": 2},
    ],
)
def test_convolutions(options):
    kernel = (2, 1, 2, 2) if "feature_group_count" in options else (2, 2, 2, 2)
    conv = lambda x, k: lax.conv_general_dilated(x, k, **options)
    check(conv, drawn(1, 2, 3, 3), drawn(*kernel))
    check(jax.grad(lambda x, k: jnp.sum(jnp.sin(conv(x, k))), 1), drawn(1, 2, 3, 3), drawn(*kernel))


def test_the_derivative_of_a_loss():
    X4, Y = sympy.symbols("X4 Y")
    assert jw.formula(jax.grad(lambda X4, Y: 0.5 * (X4 - Y) ** 2), jnp.zeros(()), jnp.zeros(())) == X4 - Y


def test_derivatives_where_there_is_none_are_those_of_jax():
    x, s = sympy.Symbol("x"), jax.ShapeDtypeStruct((), float)
    for fun, at_zero in ((jax.nn.relu, 0), (lambda x: jnp.maximum(x, 0), 0.5), (lambda x: jnp.where(x >= 0, x, 0), 1)):
        found = jw.formula(jax.grad(fun), s, names=["x"])
        for at in (-1.0, 0.0, 2.0):
            assert float(found.subs(x, at)) == float(jax.grad(fun)(at))
        assert float(found.subs(x, 0)) == at_zero
        assert isinstance(found, sympy.Piecewise)


def test_custom_rules_are_those_of_the_function():
    double = jax.custom_vjp(lambda x: 2 * x)
    double.defvjp(lambda x: (2 * x, None), lambda _, ct: (5 * ct,))
    s = jax.ShapeDtypeStruct((), float)
    assert str(jw.formula(double, s, names=["x"])) == "2*x"
    assert jw.formula(jax.grad(double), s) == 5


def test_names():
    fun = lambda params, x: (params["w"] @ x + params["b"][0], x[1] * 2)
    params = {"w": np.ones((2, 2)), "b": [np.float64(0.5)]}
    first, second = jw.formula(fun, params, np.ones(2))
    assert str(first) == "[params_w_1_1*x_1 + params_w_1_2*x_2 + 1/2, params_w_2_1*x_1 + params_w_2_2*x_2 + 1/2]"
    assert str(second) == "2*x_2"
    assert str(jw.formula(lambda x, n: x * n, jnp.zeros(()), 3)) == "3*x"
    assert str(jw.formula(jnp.dot, np.ones(2), np.ones(2), names=["X__2", "b"])) == "X__2_1*b_1 + X__2_2*b_2"
    assert sympy.latex(sympy.Symbol("X__2_1")) == "X^{2}_{1}"
    assert sympy.pretty(sympy.Symbol("X__2_1")) == "X²₁"


def test_floats_that_are_short_fractions():
    w = np.float32([1 / 200, -3000 / 11600000, 1 / 5800, 0.8371236])
    found = jw.formula(lambda x: x @ w, jax.ShapeDtypeStruct((4,), "float32"))
    assert str(found) == "x_1/200 - 3*x_2/11600 + x_3/5800 + 0.8371236*x_4"


def test_a_chain_of_twenty_layers():
    def chain(x, w):
        for _ in range(20):
            x = jnp.tanh(w * x)
        return x

    start = time.perf_counter()
    found = jw.formula(jax.grad(chain), jnp.zeros(()), jnp.zeros(()))
    assert time.perf_counter() - start < 5
    numbers = {"x": sympy.Float(0.7, 17), "w": sympy.Float(1.1, 17)}
    np.testing.assert_allclose(evaluated(found, numbers), jax.grad(chain)(0.7, 1.1), rtol=1e-9)


def test_too_many_symbols_are_refused_at_once():
    start = time.perf_counter()
    with pytest.raises(jw.FormulaError, match=re.escape("2,500 numbers, and formulas of more than 2,000 symbols")):
        jw.formula(jnp.sum, jnp.zeros((50, 50)))
    with pytest.raises(jw.FormulaError, match=re.escape("more than 200,000 operations on single entries")):
        jw.formula(lambda x: (x[:, None] * x[None]).sum() + (x[:, None] / x[None]).max(), jnp.zeros(500))
    assert time.perf_counter() - start < 5


def test_a_derivative_too_long_to_print_is_refused():
    def chain(x):
        for _ in range(30):
            x = jax.nn.silu(x)
        return x

    with pytest.raises(jw.FormulaError, match="because it repeats what it uses twice"):
        jw.formula(chain, jnp.zeros(()))


GUARDS = {
    "nan_to_num": (lambda x: jnp.nan_to_num(jnp.log(x)), "Piecewise((-1.7976931348623157e+308, Eq(x, 0)), "),
    "isnan": (lambda x: jnp.where(jnp.isnan(jnp.log(x)), 0.0, jnp.log(x)), "Piecewise((0, x < 0), (log(x), True))"),
    "isfinite": (lambda x: jnp.where(jnp.isfinite(1 / x), 1.0, 2.0), "Piecewise((1, Ne(x, 0)), (2, True))"),
    "isinf": (lambda x: jnp.where(jnp.isinf(1 / x), 7.0, 1 / x), "Piecewise((7, Eq(x, 0)), (1/x, True))"),
    "nansum": (lambda x: jnp.nansum(jnp.log(jnp.stack([x, 1.0]))), "Piecewise((0, x < 0), (log(x), True))"),
    "neither": (lambda x: jnp.where(jnp.isnan(jnp.sqrt(x)) | jnp.isinf(1 / x), 3.0, x), "Piecewise((3, "),
    "√ where": (
        jax.grad(lambda x: jnp.where(x > 0, jnp.sqrt(x), 0.0)), "Piecewise((1/(2*sqrt(x)), x > 0), (nan, True))"),
    "log where": (
        jax.grad(lambda x: jnp.where(x > 0, jnp.log(x), 0.0)), "Piecewise((nan, Eq(x, 0)), (1/x, x > 0), (0, True))"),
    "1/x where": (
        jax.grad(lambda x: jnp.where(x > 0, 1 / x, 0.0)), "Piecewise((nan, Eq(x, 0)), (-1/x**2, x > 0), (0, True))"),
    "exp log": (lambda x: jnp.exp(jnp.log(x)), "Piecewise((x, x >= 0), (nan, True))"),
    "exp 2 log": (lambda x: jnp.exp(2 * jnp.log(x)), "Piecewise((x**2, x >= 0), (nan, True))"),
    "√ squared": (lambda x: jnp.sqrt(x) ** 2, "Piecewise((x, x >= 0), (nan, True))"),
    "√ √": (lambda x: jnp.sqrt(x) * jnp.sqrt(x), "Piecewise((x, x >= 0), (nan, True))"),
    "0 log": (lambda x: 0.0 * jnp.log(x), "Piecewise((0, x > 0), (nan, True))"),
    "x / x": (lambda x: x / x, "Piecewise((1, Ne(x, 0)), (nan, True))"),
    "0 / x": (lambda x: 0 / x, "Piecewise((0, Ne(x, 0)), (nan, True))"),
    "one over one over": (lambda x: 1 / (1 / x), "x"),
    "shown": (lambda x: jnp.log(x) / (x - 1), "log(x)/(x - 1)"),
    "never": (lambda x: jnp.log(1 - jnp.tanh(x) ** 2) + jnp.log(jax.nn.sigmoid(x)) + 1 / (x**2 + 1), None),
}  # fmt: skip


@pytest.mark.parametrize("name", GUARDS)
def test_where_jax_gives_no_number_the_formula_says_so(name):
    """Wherever the formula is a number, JAX gives it; and where JAX gives one, the formula does."""
    fun, text = GUARDS[name]
    found, compiled = jw.formula(fun, jnp.zeros(()), names=["x"]), jax.jit(fun)
    assert text is None or str(found).startswith(text)
    assert not found.has(sympy.Symbol("undefined"))
    for x in (-2.0, -1.0, 0.0, 0.5, 1.0, 2.0):
        at = sympy.N(found.subs(sympy.Symbol("x"), sympy.Float(x) if x else 0).doit(), 17)
        is_number = at.is_real and at.is_finite
        expected = float(compiled(jnp.asarray(x)))
        assert bool(is_number) == bool(np.isfinite(expected)), (x, at, expected)
        if is_number:
            np.testing.assert_allclose(float(at), expected, rtol=1e-9, atol=1e-12)


def test_what_becomes_of_an_infinity_may_be_undefined():
    s = jnp.zeros(())
    found = jw.formula(lambda x, y: jnp.nan_to_num(y / x), s, s)
    x, y, undefined = sympy.symbols("x y undefined")
    assert [found.subs({x: a, y: b}) for a, b in ((2, 4), (0, 0), (0, 1))] == [2, 0, undefined]
    found = jw.formula(lambda x, y: jnp.where(jnp.isfinite(y / x), y / x, 0.0), s, s)
    assert str(found) == "Piecewise((y/x, Ne(x, 0)), (0, True))"


def test_a_domain_in_a_domain():
    found = jw.formula(lambda x: jnp.exp(jnp.log(jnp.log(x))), jnp.zeros(()))
    assert str(found) == "Piecewise((log(x), log(x) >= 0), (nan, True))"


def test_which_is_the_largest_of_several_is_never_none():
    found = jw.formula(jax.grad(jnp.max), np.ones(4))
    assert not found.has(sympy.nan, sympy.Symbol("undefined"))


@pytest.mark.parametrize(
    ("fun", "dtype", "numbers"),
    [
        (lambda x: (x - 128).astype(float) / 255, np.uint8, (0, 52, 127, 128, 255)),
        (lambda x: (-x * x).astype(float), np.int8, (-128, -12, 0, 11, 127)),
        (lambda x: (x + x).astype(np.uint8), np.int32, (-3, 0, 127, 128, 300)),
        (lambda x: (x - 1).astype(float), np.uint32, (0, 1, 7)),
    ],
)
def test_integers_wrap(fun, dtype, numbers):
    found = jw.formula(fun, jnp.zeros((), dtype), names=["x"])
    for x in numbers:
        np.testing.assert_allclose(float(found.subs("x", x)), fun(jnp.asarray(x, dtype)), rtol=1e-12)


def test_rounding_is_a_function_named_by_the_dtype():
    through = lambda x: x.astype(jnp.bfloat16).astype(np.float32) * 3
    found = jw.formula(through, jnp.zeros((), np.float32), names=["x"])
    assert str(found) == "3*bfloat16(x)"
    np.testing.assert_allclose(float(found.subs("x", 1.001).doit()), through(np.float32(1.001)))
    assert str(jw.formula(lambda x: lax.reduce_precision(x, 8, 2), jnp.zeros(()))) == "reduce_precision(x, 8, 2)"


REFUSED = {
    "logarithm": (lambda x: x * jnp.log(-1.0), "no number, such as a division by zero"),
    "constant": (lambda x: jnp.where(x > 0, 1j, 2.0).real, "it holds complex numbers"),
    "sort": (lambda x: lax.sort(x), "`sort` (test_formula.py:"),
    "argmax": (lambda x: jnp.argmax(x), "the order of symbols is not known"),
    "index": (lambda x: x[x[0].astype(int)], "where it reads depends on a symbol; give indices as constants"),
    "while": (lambda x: lax.while_loop(lambda c: c < 9, lambda c: c * 2, x[0]), "how often it runs depends on a"),
    "bits": (lambda x: lax.bitcast_convert_type(x, "int64"), "no rule is known for it"),
    "complex": (lambda x: jnp.fft.fft(x), "it is of complex numbers"),
    "solve": (lambda x: jnp.linalg.cholesky(x[:, None] * x[None]), "no rule is known for it"),
    "zero": (lambda x: x / 0.0, "no number, such as a division by zero"),
    "rounding": (lambda x: jnp.round(x), "no rounding of halves to even numbers"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_formula_is_refused(name):
    fun, text = REFUSED[name]
    with pytest.raises(jw.FormulaError, match=re.escape(text)) as caught:
        jw.formula(fun, np.ones(3))
    assert "\n" not in str(caught.value)


def test_arguments_that_do_not_fit():
    for attempt, text in (
        (lambda: jw.formula(3), "`fun` is 3, which cannot be called"),
        (lambda: jw.formula(jnp.sum, np.ones(2), names="x"), "must hold a name for each of the 1 arguments"),
        (lambda: jw.formula(jnp.dot, np.ones(2), np.ones(2), names=["x", "x"]), "would both be the symbol `x_1`"),
    ):
        with pytest.raises(jw.ArgumentError, match=re.escape(text)):
            attempt()


class Told(NamedTuple):
    primitive: Any


def test_jax_calls_them_so_too():
    """Where JAX's own public list of primitives has the name."""
    from jax.extend.core import primitives as named_by_jax

    found = {name: getattr(named_by_jax, f"{name}_p", None) for name in primitives.primitives()}
    found = {name: primitive for name, primitive in found.items() if primitive is not None}
    newer = {"stack", "unstack", "tile"}  # not yet primitives in jax 0.8
    assert len(found) > 80
    assert {name for name, primitive in found.items() if primitives.primitive(name) is not primitive} <= newer


def test_every_primitive_is_told_and_every_rule_has_one():
    """What is called here by a name is a primitive that this JAX has; and no two names are one primitive."""
    table = primitives.one_liners()
    found = {primitives.names()(Told(primitive)) for primitive in primitives.primitives().values()}
    newer = {"stack", "unstack", "tile", "log2", "one_minus_square"}  # not yet primitives in jax 0.8
    assert found | newer == set(table) | newer
    assert set(RULES) | MOVES <= found | newer
    assert set(CALLS) <= set(kinds.KINDS)
    inner = {"sum", "prod", "and", "or", "truncate", "logsumexp", "integer_pow", "round", "bell", "rounded", "wrapped"}
    for operations in (symbolic().operations, _OPERATIONS):
        assert set(operations) - inner <= found | newer
