"""Measures of truth of bfloat16 and complex numbers, of what is divided among devices, and of nothing at all."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk import attribute

RANDOM = np.random.default_rng(0)
KEY = jax.random.key(0)


def fun(x):
    """Of real numbers and of complex ones; what follows "h" is linear in its square."""
    return jnp.sum(jnp.abs(jw.tag(x * jnp.asarray(3, x.dtype), "h")) ** 2)


def infidelity(found, fun, x):
    return attribute.infidelity(found, fun, key=KEY, samples=6, batch_size=3)(x)


def test_bfloat16_adds_up_in_float32():
    """Conductance of a sum of squares from zero is their part: Φ of a subset is what goes with it."""
    x = jnp.asarray([1.0, 2.0, -0.5], jnp.bfloat16)
    found = attribute.conductance(fun, steps=9)(x)
    assert found.gap.dtype == jnp.float32
    np.testing.assert_allclose(found.inputs.astype(jnp.float32), [9, 36, 2.25], rtol=0.02)
    complete = attribute.completeness(found, fun)(x)
    assert complete.by_point["h"].dtype == jnp.float32
    assert abs(complete.by_point["h"]) < 0.5  # of 47
    measured = infidelity(found, fun, x)
    assert measured.inputs < 0.5**2
    assert measured.by_point["h"] < 0.5**2
    assert attribute.faithfulness(found, fun, at="h")(x).pearson > 0.999
    curve = attribute.deletion(found, fun, steps=3)(x)
    np.testing.assert_allclose(curve.values, [47.25, 11.25, 2.25, 0], rtol=0.01)


def test_complex_numbers_move_a_result_by_the_real_part(float64):
    x = jnp.asarray(RANDOM.normal(size=3) + 1j * RANDOM.normal(size=3))
    found = attribute.conductance(fun, steps=9)(x)
    np.testing.assert_allclose(found.inputs, 9 * np.abs(x) ** 2, rtol=1e-9)
    assert abs(found.gap) < 1e-12
    assert abs(attribute.completeness(found, fun)(x).by_point["h"]) < 1e-12
    measured = infidelity(found, fun, x)
    assert measured.inputs < 1e-24
    assert measured.by_point["h"] < 1e-24
    slopes = attribute.internal_influence(fun, steps=1, rule="right")(x)
    little = lambda key, value: 1e-6 * jax.random.normal(key, value.shape, value.dtype)
    measured = attribute.infidelity(slopes, fun, key=KEY, samples=3, perturb=little)(x)
    assert 0 < measured.inputs < 1e-18
    assert 0 < measured.by_point["h"] < 1e-18


def test_what_is_divided_among_devices(float64):
    mesh = jax.make_mesh((4,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    spec, x = jax.sharding.PartitionSpec("d"), jnp.asarray(RANDOM.normal(size=4))

    def divided(x):
        # Summed outside: jax 0.8 cannot vmap a psum in a shard_map.
        return jnp.sum(jax.shard_map(lambda x: fun(x)[None], mesh=mesh, in_specs=spec, out_specs=spec)(x))

    found, alone = (attribute.gradient_times_output(of)(x) for of in (divided, fun))
    for measure in (attribute.deletion, lambda *args: attribute.infidelity(*args, key=KEY, samples=6)):
        a, b = measure(found, divided)(x), measure(alone, fun)(x)
        for of in ("values", "inputs"):
            if hasattr(a, of):
                np.testing.assert_allclose(getattr(a, of), getattr(b, of), rtol=1e-9)
    each = attribute.faithfulness(found, divided, at="h")(x)
    np.testing.assert_allclose(each.changes, 9 * x**2, rtol=1e-9)  # each device's share is a step of its own


@pytest.mark.once
def test_of_nothing_there_is_no_number():
    empty = jnp.zeros((0, 3))
    found = attribute.gradient_times_output(fun)(empty)
    measured = infidelity(found, fun, empty)
    assert np.isnan([measured.inputs, measured.by_point["h"]]).all()
    assert "NaN: no sample moved anything there" in repr(measured)
    assert attribute.completeness(found, fun)(empty).by_point["h"] == 0
    assert np.isnan(attribute.faithfulness(found, fun)(empty).pearson)
    with pytest.raises(jw.ArgumentError, match=r"`attribution` has no entry there; a correlation is of at least 2."):
        attribute.faithfulness(found, fun, at="h")(empty)
    with pytest.raises(jw.ArgumentError, match=r"`attribution` has no entry there; an order is one of at least 1."):
        attribute.deletion(found, fun, at="h")(empty)
