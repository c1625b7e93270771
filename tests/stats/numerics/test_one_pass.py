"""What one pass over an array tells, as devices other than CPUs look at it: against NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxwalk.stats._health import _finish_delta, _finish_output
from jaxwalk.stats._numerics.looks import opened
from jaxwalk.stats._numerics.one_pass import one_look, one_norm

pytestmark = pytest.mark.once
normal = np.random.default_rng(0).normal(size=(5, 300))


def with_bad(x):
    x = x.copy()
    x[1, 2], x[2, 3], x[2, 150], x[4, 299] = np.nan, np.inf, np.nan, -np.inf
    return x


CASES = {
    **{f"of 1e{power}": normal * 10.0**power for power in (-30, -21, -13, -12, 0, 13, 15, 20, 30, 36)},
    "far from zero": 1000 + normal * 1e-3,
    "with what is not finite": with_bad(normal),
    "far from zero, not finite": with_bad(1000 + normal),
    "nothing finite": normal * np.nan,
    "of a relu": np.maximum(normal, 0),
    "zeros": normal * 0,
    "the ends of the range": np.where(normal > 0, 3.4e38, -3.4e38),
    "one beside many": np.where(np.arange(300) == 7, 1e18, normal),
}


@jax.jit
def looked_at(x):
    output, counts = one_look(x, True, {"above": x > 0.5})
    delta, _ = one_look(x, False, {})
    return _finish_output(opened(output)) | _finish_delta(opened(delta)) | counts


def expected(x, maximum):
    """The results, from float64; a sum beyond the range is infinite."""
    fine = x[np.isfinite(x)]
    size = lambda value: np.inf if value > maximum else value
    mean = lambda values: values.mean() if values.size else np.nan
    both = {
        "max": np.abs(fine).max() if fine.size else np.nan,
        "rms": np.sqrt(mean(fine**2)),
        "zeros": mean(fine == 0),
        "nan": np.isnan(x).sum(),
        "inf": np.isinf(x).sum(),
    }
    found = {f"{side}_{key}": value for side in ("output", "delta") for key, value in both.items()}
    found["delta_l2"] = size(np.sqrt((fine**2).sum())) if fine.size == x.size else np.nan
    found["above"] = (x > 0.5).sum()
    return found | {"output_mean": mean(fine), "output_std": np.sqrt(mean((fine - mean(fine)) ** 2))}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_one_look_is_right_whatever_the_size_of_the_numbers(case):
    x = case.astype(np.float32)
    found = looked_at(x)
    assert found["above"].dtype == jnp.int32
    wanted = expected(x.astype(np.float64), np.finfo(np.float32).max)
    spread = np.nan_to_num(wanted["output_std"])
    for key, value in wanted.items():
        atol = 1e-6 * spread if key == "output_mean" else 0
        np.testing.assert_allclose(found[key], value, rtol=2e-5, atol=atol, err_msg=key)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_one_norm_is_that_of_numpy(case):
    x = case.astype(np.float32)
    norm = np.linalg.norm(x.astype(np.float64))
    norm = np.inf if norm > np.finfo(np.float32).max else norm
    found = jax.jit(one_norm)(x)
    np.testing.assert_allclose(found, np.nan if np.isnan(x).any() else norm, rtol=1e-6)


@pytest.mark.parametrize("shape", [(), (1,), (700,), (2, 1, 3, 1), (0, 3)])
def test_shapes_and_vmap_and_float64(shape):
    x = np.random.default_rng(1).normal(size=(2, *shape)) * 1e-200
    with jax.enable_x64(True):
        vectors, _ = jax.vmap(lambda x: one_look(x, True, {}))(jnp.asarray(x))
        norms = jax.vmap(one_norm)(jnp.asarray(x))
        stds = _finish_output(opened(vectors))["output_std"]
    assert vectors.dtype == np.float64
    flat = x.reshape(2, -1)
    np.testing.assert_allclose(norms, np.sqrt(((flat / 1e-200) ** 2).sum(1)) * 1e-200, rtol=1e-12)
    wanted = np.std(flat / 1e-200, axis=1) * 1e-200 if flat.size else [np.nan] * 2
    np.testing.assert_allclose(stds, wanted, rtol=1e-12, atol=1e-220)


def test_more_entries_than_floats_count_are_counted():
    x = jnp.ones((5, 1 << 22), jnp.bfloat16)
    vector, _ = jax.jit(lambda x: one_look(x.astype(jnp.float32), False, {}))(x.at[0, 0].set(0))
    state = opened(vector)
    assert (int(state["count"]), int(state["zeros"])) == (5 << 22, 1)
