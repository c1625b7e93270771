"""A walk over data divided among four (virtual) devices: the same figures, and each delta divided as its value is."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jaxwalk as jw

random = np.random.default_rng(0)
WEIGHTS, X = random.normal(size=(3, 3)).astype(np.float32), random.normal(size=(8, 3)).astype(np.float32)


def fun(weights, x):
    h = jw.tag(jnp.tanh(x @ weights), "dense")
    h, _ = lax.scan(lambda c, _: (jw.tag(jnp.sin(c), "step"), None), h, None, length=3)
    h = jax.jit(lambda h: jw.tag(h * 2, "jit"))(h)
    h = lax.cond(jnp.sum(weights) < 99, lambda h: jw.tag(h + 1, "yes"), lambda h: jw.tag(-h, "no"), h)
    return jnp.sum(h**2)


@contextlib.contextmanager
def over_four_devices(axis_type):
    mesh = jax.make_mesh((4,), ("data",), axis_types=(axis_type,))
    with jax.set_mesh(mesh):
        place = lambda value, *spec: jax.device_put(value, NamedSharding(mesh, PartitionSpec(*spec)))
        yield place(WEIGHTS), place(X, "data")


@pytest.fixture(params=[AxisType.Auto, AxisType.Explicit], ids=["auto", "explicit"])
def divided(request):
    with over_four_devices(request.param) as arguments:
        yield arguments


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_the_figures_are_those_of_one_device(divided, wrap):
    walk, alone = wrap(jw.walk(fun, argnums=0))(*divided), jw.walk(fun, argnums=0)(WEIGHTS, X)
    for mine, other in zip(jax.tree.leaves(walk), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6)


def test_an_explicit_sharding_reaches_the_deltas():
    with over_four_devices(AxisType.Explicit) as arguments:
        walk = jax.jit(jw.walk(fun))(*arguments)
        for name, delta in walk.deltas.items():
            lead = (None,) * len(walk.points[name].axes)
            assert delta.sharding.spec == PartitionSpec(*lead, "data", None), name


def test_keep_and_vjp_and_intervene(divided):
    keep = lambda output, delta: jnp.sum(output * delta)
    kept, alone = jax.jit(jw.walk(fun, keep=keep))(*divided).kept, jw.walk(fun, keep=keep)(WEIGHTS, X).kept
    rows = jw.walk(fun, keep=lambda output, delta: (jnp.max(delta, 1), jnp.sum(delta > 0, 1)))(*divided).kept
    for name, value in kept.items():
        np.testing.assert_allclose(value, alone[name], rtol=1e-4)
        assert [r.shape[-1] for r in rows[name]] == [8, 8]
    deltas, _ = jw.vjp(fun, *divided)[2](jnp.float32(1))
    np.testing.assert_allclose(deltas["dense"], jw.walk(fun)(WEIGHTS, X).deltas["dense"], rtol=1e-5, atol=1e-6)
    edited = jw.intervene(fun, {"yes": lambda h: h * 0})
    assert jax.jit(edited)(*divided) == 0


@pytest.mark.parametrize("check_vma", [True, False])
def test_inside_shard_map(check_vma):
    """One walk per device, over its share of the data: its deltas are those shares of the whole."""
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    divided = (PartitionSpec("data"), PartitionSpec(None, "data"), PartitionSpec("data"))
    shared = lambda f: jax.jit(
        jax.shard_map(f, mesh=mesh, in_specs=(PartitionSpec(), divided[0]), out_specs=divided, check_vma=check_vma)
    )

    def deltas(weights, x):
        walk = jw.walk(fun)(weights, x)
        return walk.deltas["dense"], walk.deltas["step"], walk.outputs["no"]

    def kept(weights, x):
        kept = jw.walk(fun, keep=lambda output, delta: (jnp.sum(delta), jnp.sum(output > 0)))(weights, x).kept
        return kept["dense"][0][None], kept["step"][1][:, None], kept["no"][1][None]

    alone = jw.walk(fun)(WEIGHTS, X)
    dense, step, no = shared(deltas)(WEIGHTS, X)
    np.testing.assert_allclose(dense, alone.deltas["dense"], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(step, alone.deltas["step"], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(no, np.zeros((8, 3)))
    sums, positive, _ = shared(kept)(WEIGHTS, X)
    np.testing.assert_allclose(sums, alone.deltas["dense"].reshape(4, -1).sum(1), rtol=1e-4)
    np.testing.assert_array_equal(positive, (alone.outputs["step"].reshape(3, 4, -1) > 0).sum(-1))
