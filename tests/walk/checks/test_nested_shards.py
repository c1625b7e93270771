"""A `shard_map` in a `shard_map`: walked where JAX has a derivative, and refused in a sentence where it has none."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

import jaxwalk as jw

X = np.arange(16, dtype=np.float32).reshape(8, 2) / 7


def nested(checked):
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(jax.sharding.AxisType.Auto,) * 2)

    def outer(x):
        divided = jax.shard_map(
            lambda x: jw.tag(jnp.sin(x) * 2, "inner"), axis_names={"b"}, in_specs=P("b"), out_specs=P("b")
        )
        return divided(jw.tag(3 * x, "outer"))

    shared = jax.shard_map(outer, mesh=mesh, axis_names={"a"}, in_specs=P("a"), out_specs=P("a"), check_vma=checked)
    return lambda x: jnp.sum(shared(x) ** 2)


def test_where_jax_has_a_derivative_it_is_right():
    walk = jax.jit(jw.walk(nested(checked=False)))(X)
    np.testing.assert_allclose(walk.deltas["inner"].reshape(8, 2), 4 * np.sin(3 * X), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        walk.deltas["outer"].reshape(8, 2), 8 * np.sin(3 * X) * np.cos(3 * X), rtol=1e-4, atol=1e-5
    )
    walk = jax.jit(jw.walk(nested(checked=True), "inner"))(X)  # δ that does not come through the inner one
    np.testing.assert_allclose(walk.deltas["inner"].reshape(8, 2), 4 * np.sin(3 * X), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("transform", [lambda f: f, jax.jit], ids=["op by op", "jit"])
def test_where_it_has_none_a_sentence_says_so(transform):
    fun = nested(checked=True)
    with pytest.raises(Exception, match=r"[Ss]pec|sdy"):  # if this one is gone, so can be the refusal
        transform(jax.grad(fun))(X)
    refused = (
        r"`fun` has a `jax\.shard_map` inside one with `check_vma=True`, and JAX .*; give the outer one `check_vma=F"
    )
    with pytest.raises(jw.ArgumentError, match=refused):
        transform(jw.walk(fun))(X)
    with pytest.raises(jw.ArgumentError, match=refused):
        transform(lambda x: jw.vjp(fun, x)[:2])(X)
    value, _ = jax.jit(jw.outputs(fun))(X)
    np.testing.assert_allclose(value, np.sum((2 * np.sin(3 * X)) ** 2), rtol=1e-5)
