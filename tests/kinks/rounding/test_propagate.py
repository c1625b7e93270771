"""Bounds are bounds: what float32 computes is no further from what float64 computes; nor are they idle."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

import jaxwalk as jw
from helpers import examples
from jaxwalk._jax.jaxpr import jaxprs
from jaxwalk._kinks.flatten import flatten
from jaxwalk._kinks.interpreter import Analysis
from jaxwalk._kinks.rounding import sums_of_products
from jaxwalk._kinks.rounding.bounds import Rounded, bound
from jaxwalk._kinks.rounding.inputs import rounded_input
from programs import programs, tagged

R = np.random.default_rng(0)


def bounds(fun, *args, read=Rounded):
    """The result of `fun`, compiled, and the bound on its rounding error."""
    analysis = Analysis(flatten(jaxprs.trace(fun, *args)[0], jw.Points()))

    def run(*args):
        (result,), _ = analysis.run([read(a) for a in args])
        return result.value, bound(result)

    value, error = jax.jit(run)(*args)
    return np.asarray(value, np.float64), np.asarray(error, np.float64)


def exactly(fun, *args):
    with jax.enable_x64(True):
        return np.asarray(fun(*(jnp.asarray(np.asarray(a, np.float64)) for a in args)), np.float64)


def normal(*shape):
    return R.normal(size=shape).astype(np.float32)


MATRIX, SQUARE, IMAGE = normal(40, 60), normal(30, 30), normal(2, 8, 8, 3)
UNARY = {
    "exp": jnp.exp,
    "expm1": jnp.expm1,
    "tanh": jnp.tanh,
    "sin": jnp.sin,
    "cos": jnp.cos,
    "logistic": jax.nn.sigmoid,
    "gelu": jax.nn.gelu,
    "gelu exact": lambda x: jax.nn.gelu(x, approximate=False),
    "silu": jax.nn.silu,
    "softplus": jax.nn.softplus,
    "log1p": lambda x: jnp.log1p(jnp.abs(x)),
    "log": lambda x: jnp.log(x * x + 0.1),
    "sqrt": lambda x: jnp.sqrt(jnp.abs(x)),
    "rsqrt": lambda x: lax.rsqrt(x * x + 0.1),
    "cube": lambda x: x**3,
    "pow": lambda x: (x * x + 0.5) ** 1.7,
    "inverse": lambda x: 1 / (x * x + 0.01),
    "inverse square": lambda x: (x + 9) ** -2,
    "cancel": lambda x: (x + 100) - 100,
    "exp exp": lambda x: jnp.exp(-jnp.exp(x)),
    "erf": jax.scipy.special.erf,
    "relu": jax.nn.relu,
    "elu": jax.nn.elu,
    "clip": lambda x: jnp.clip(x * 3.3, -1, 1),
    "tan": jnp.tan,
    "atan2": lambda x: jnp.arctan2(x, x + 3),
    "cbrt": jnp.cbrt,
    "logaddexp": lambda x: jnp.logaddexp(x, 2 * x),
    "asinh": jnp.arcsinh,
    "lgamma": lambda x: lax.lgamma(jnp.abs(x) + 1),
}
if hasattr(lax, "polynomial"):  # since jax 0.12
    UNARY["polynomial"] = lambda x: lax.polynomial(jnp.sin(x), (0.3, -1.1, 0.7, 0.9))
WHOLE = {
    "dot": (lambda a: a @ a.T, MATRIX),
    "softmax": (jax.nn.softmax, MATRIX),
    "standardize": (jax.nn.standardize, MATRIX),
    "logsumexp": (lambda a: jax.nn.logsumexp(a, axis=1), MATRIX),
    "mean": (lambda a: a.mean(0), MATRIX),
    "var": (lambda a: a.var(1), MATRIX),
    "sum": (jnp.sum, MATRIX[:4]),
    "cumsum": (lambda a: jnp.cumsum(a, 1), MATRIX),
    "three products": (lambda a: jnp.tanh(jnp.tanh(a / 5 @ a / 5) @ a / 5) @ a, SQUARE),
    "sort": (lambda a: jnp.sort(jnp.sin(a)), MATRIX),
    "max": (lambda a: jnp.max(a * a, 1), MATRIX),
    "gather": (lambda a: (a * 1.1)[jnp.array([1, 1, 3])], MATRIX),
    "pad": (lambda a: jnp.pad(a * 1.1, 1), MATRIX),
    "scatter": (lambda a: a.at[jnp.array([1, 1, 3])].add(a[:3] * 0.3), MATRIX),
    "cummax": (lax.cummax, MATRIX),
    "conv": (
        lambda a: lax.conv_general_dilated(
            a, jnp.ones((3, 3, 3, 5), a.dtype) / 7, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        ),
        IMAGE,
    ),
    "avg pool": (
        lambda a: lax.reduce_window(a, jnp.zeros((), a.dtype), lax.add, (1, 2, 2, 1), (1, 2, 2, 1), "SAME"),
        IMAGE,
    ),
    "max pool": (
        lambda a: lax.reduce_window(a * a, jnp.array(-jnp.inf, a.dtype), lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "SAME"),
        IMAGE,
    ),
    "scan": (lambda a: lax.scan(lambda c, r: (jnp.tanh(c * 1.1 + r), c * r), a[0], a)[1], MATRIX),
    "while": (
        lambda a: lax.while_loop(lambda c: c[0] < 5, lambda c: (c[0] + 1, jnp.sin(c[1]) * 1.1), (0, a))[1],
        MATRIX,
    ),
    "cond": (lambda a: lax.cond(a.sum() > 0, jnp.sin, jnp.cos, a), MATRIX),
    "checkpoint": (jax.checkpoint(lambda a: jnp.sin(a @ a)), SQUARE),
    "prod": (lambda a: jnp.prod(a[:, :4], 1), MATRIX),
    "variance of a mean": (lambda a: jnp.sum((a.mean(0, keepdims=True) - a) ** 2), MATRIX),
    "norm": (jnp.linalg.norm, MATRIX),
    "einsum": (lambda a: jnp.einsum("ij,kj->ik", jnp.exp(a), jnp.sin(a)), MATRIX),
}


@pytest.mark.parametrize("name", [*UNARY, *WHOLE])
def test_a_bound_is_one(name):
    fun, x = (UNARY[name], normal(400)) if name in UNARY else WHOLE[name]
    value, error = bounds(fun, x)
    exact = exactly(fun, x)
    for computed in (value, fun(jnp.asarray(x)), jax.jit(fun)(x)):
        assert np.all(np.abs(np.asarray(computed, np.float64) - exact) <= error), name
    assert np.all(np.isfinite(error))
    # Not idle: of the size of many roundings, not of the value. (A GPU multiplies float32 with three digits.)
    assert jax.default_backend() != "cpu" or np.median(error) <= 3e-3 * np.median(np.abs(exact)) + 1e-5


@pytest.mark.parametrize("n", [10, 100])
def test_a_product_s_bound_is_near_its_error(n):
    """Within 100 times what independent roundings of the partial sums, which grow as √k, would come to."""
    _, error = bounds(jnp.dot, normal(n), normal(n, 200))
    typical = 6e-8 * np.sqrt(sum(k for k in range(1, n + 1)))
    assert jax.default_backend() != "cpu" or np.median(error) <= 100 * typical


HALVES = lax.DotAlgorithm(np.float16, np.float16, np.float32)


@pytest.mark.parametrize("precision", [None, "high", "highest", "F16_F16_F16", "F32_F32_F32", "BF16_BF16_F32", HALVES])
def test_a_product_with_fewer_digits(precision):
    """What shortens the operands or the sums is in the bound, whether this device shortens them or not."""
    a, b = normal(40, 40), normal(40, 40)
    fun = lambda a, b: jnp.dot(a, b, precision=precision)
    try:
        value, error = bounds(fun, a, b)
    except (ValueError, jax.errors.JaxRuntimeError) as problem:
        assert "supported" in str(problem)  # noqa: PT017
        return
    exact = a.astype(np.float64) @ b.astype(np.float64)
    for computed in (value, jax.jit(fun)(a, b)):
        assert np.all(np.abs(np.asarray(computed, np.float64) - exact) <= error)
    share = np.max(error / (np.abs(a) @ np.abs(b)))
    shortened = precision in ("F16_F16_F16", "BF16_BF16_F32", HALVES)
    assert 1e-3 < share < 1e-1 if shortened else share < 1e-4 or jax.default_backend() != "cpu"


def test_each_preset_has_its_units():
    for preset in set(lax.DotAlgorithmPreset) - {lax.DotAlgorithmPreset.DEFAULT}:
        operands, sums = sums_of_products._units(preset, np.float32, 6e-8)
        assert 0 <= operands <= 0.125
        assert 6e-8 <= sums < 0.01
        assert (operands < 1e-6) == (preset.name.startswith(("F32", "F64")) or preset.name.endswith("X6"))


def test_inputs_stand_for_real_numbers():
    """Off by half an ulp, unless they are integers."""
    x = np.float32([0.1, 3.0, 1 / 3])
    value, error = bounds(lambda x: x * 1, x, read=rounded_input)
    assert np.all(np.abs(value - [0.1, 3, 1 / 3]) <= error)
    with jax.enable_x64(True):
        _, exact = bounds(lambda x: x + 0, np.float64([3.0]), read=rounded_input)
    assert exact < 1e-15


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_narrow_floats(dtype):
    a, b = (R.normal(size=(8, 16)).astype(dtype) for _ in range(2))
    fun = lambda a, b: jnp.tanh(a @ b.T) + a[:, :8] * b[:, :8]
    value, error = bounds(fun, a, b)
    exact = exactly(fun, a, b)
    assert np.all(np.abs(value - exact) <= error)
    assert np.all(np.abs(np.asarray(jax.jit(fun)(a, b), np.float64) - exact) <= error)
    assert np.median(error) < 0.2


def test_division_by_what_may_be_zero_has_no_bound():
    _, error = bounds(lambda x: 1 / ((x + 1e8) - 1e8), np.float32([1.0]))
    assert np.isinf(error)


@settings(max_examples=examples(25), deadline=None)
@given(programs, st.lists(st.floats(-2, 2, width=32), min_size=3, max_size=3))
def test_random_programs(program, x):
    x = np.array(x, np.float32)
    fun = tagged(program)
    value, error = bounds(lambda x: fun(x), x)
    with jax.enable_x64(True):
        other = tagged(program)
        exact = np.asarray(jax.jit(lambda x: other(x))(jnp.asarray(x, jnp.float64)))
    if np.isfinite(error) and "cond" not in str(program):  # a branch may be rounding's choice
        assert np.abs(value - exact) <= error + 1e-37


def test_a_power_is_charged_its_products():
    """However it is multiplied out, n - 1 roundings; the worst of many is not far from that."""
    x = R.uniform(0.9, 1.1, 4000).astype(np.float32)
    value, error = bounds(lambda x: x**128, x)
    off = np.abs(value - x.astype(np.float64) ** 128)
    assert np.all(off <= error)
    assert np.max(off / error) > 0.5
    for power in (2, 3, -2, 7):
        value, error = bounds(lambda x, power=power: x**power, x)
        assert np.all(np.abs(value - x.astype(np.float64) ** power) <= error)


def test_a_product_that_comes_out_whole_is_not_exact():
    x, y = (jnp.asarray(R.uniform(7, 11, 400), jnp.bfloat16) for _ in range(2))
    value, error = bounds(lambda x, y: x * y, x, y)
    exact = np.asarray(x, np.float64) * np.asarray(y, np.float64)
    whole = value == np.round(value)
    assert np.any(whole & (value != exact))
    assert np.all(np.abs(value - exact) <= error)
    _, error = bounds(lambda x, y: x * y, np.float32([3, 0.1, 0.1, 1000]), np.float32([7, 0.5, 0, 1.5]))
    assert np.all(error == 0)  # few digits, or a power of 2


def test_a_conversion_that_comes_out_whole_is_not_exact():
    x = R.uniform(64, 128, 400).astype(np.float32)
    value, error = bounds(lambda x: x.astype(jnp.bfloat16), x, read=rounded_input)
    assert np.all(np.abs(value - x.astype(np.float64)) <= error)


COMPLEX = {
    "abs": lambda x: jnp.abs(jnp.exp(lax.complex(x, x))),
    "real": lambda x: jnp.real(jnp.exp(lax.complex(x, x)) * lax.complex(x, 2 * x)),
    "power": lambda x: jnp.imag(lax.complex(x, 2 * x) ** 9),
}


@pytest.mark.parametrize("name", COMPLEX)
def test_complex_numbers(name):
    x = normal(200)
    value, error = bounds(COMPLEX[name], x)
    assert np.all(np.abs(value - exactly(COMPLEX[name], x)) <= error)
    assert np.all(np.isfinite(error))


@pytest.mark.parametrize("fill", [-np.inf, -1e9, float(np.finfo(np.float32).min)])
def test_a_mask_makes_no_bound_worse(fill):
    x, mask = normal(4, 6), np.tri(4, 6) > 0
    fun = lambda x: jax.nn.softmax(jnp.where(mask, x * 0.3, jnp.asarray(fill, x.dtype)))
    value, error = bounds(fun, x, read=rounded_input)
    assert np.all(error[~mask] == 0)
    assert np.all(error[mask] < 1e-5)
    assert np.all(np.abs(value - exactly(fun, x)) <= error)
