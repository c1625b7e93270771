"""`jw.learn(mesh=...)`: batches divided among four (virtual) devices train the same params."""

import jax
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jaxwalk as jw

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(10, 4)).astype(np.float32), RNG.normal(size=10).astype(np.float32)
BATCHES = [(X[i : i + 4], Y[i : i + 4]) for i in range(0, 10, 4)]  # the last one is not divided
PARAMS = {"a": RNG.normal(size=(4, 4)).astype(np.float32), "b": RNG.normal(size=4).astype(np.float32)}
KEEP = jw.stats.of_delta(jw.stats.norms)


def fun(params, x, y):
    hidden = jw.tag(jax.numpy.tanh(x @ params["a"]), "hidden")
    return (jw.tag(hidden @ params["b"], "result") - y) ** 2


def learn(params=PARAMS, batches=BATCHES, **options):
    with jax.numpy_dtype_promotion("standard"):
        return jw.learn(fun, params, batches, optax.adam(0.01), keep=KEEP, progress=False, **options)


def mesh_of(axis_type=AxisType.Auto):
    return jax.make_mesh((4,), ("data",), axis_types=(axis_type,))


def arrays(found):
    history = found.history
    return jax.tree.leaves((found.params, found.opt_state, history.loss, history.kept, history.weights))


def assert_close(found, other):
    for one, another in zip(arrays(found), arrays(other), strict=True):
        np.testing.assert_allclose(one, another, rtol=1e-4, atol=1e-6)


@pytest.fixture(scope="module")
def alone():
    return learn(epochs=2, evaluate=BATCHES[:1])


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit], ids=["auto", "explicit"])
def test_a_batch_divided_among_four(alone, axis_type):
    found = learn(epochs=2, evaluate=BATCHES[:1], mesh=mesh_of(axis_type))
    assert_close(found, alone)
    np.testing.assert_allclose(found.history.evaluations[1].loss, alone.history.evaluations[1].loss, rtol=1e-5)
    assert all(len(leaf.sharding.device_set) == 4 for leaf in jax.tree.leaves((found.params, found.opt_state)))


def test_batches_are_really_divided(monkeypatch):
    from jaxwalk._learn.step.step import Step

    seen, call = [], Step.__call__
    note = lambda self, *args: seen.append([*map(shard, jax.tree.leaves(args[-1]))]) or call(self, *args)
    shard = lambda leaf: leaf.addressable_shards[0].data.shape
    monkeypatch.setattr(Step, "__call__", note)
    learn(mesh=mesh_of())
    assert seen == [[(1, 4), (1,)], [(1, 4), (1,)], [(2, 4), (2,)]]


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit], ids=["auto", "explicit"])
def test_params_that_are_divided_stay_so(alone, axis_type):
    mesh = jax.make_mesh((2, 2), ("data", "model"), axis_types=(axis_type,) * 2)
    spec = {"a": PartitionSpec(None, "model"), "b": PartitionSpec("model")}
    params = {name: jax.device_put(PARAMS[name], NamedSharding(mesh, spec[name])) for name in PARAMS}
    found = learn(params, epochs=2, mesh=mesh)
    for name in PARAMS:
        np.testing.assert_allclose(found.params[name], alone.params[name], rtol=1e-4, atol=1e-6)
        assert found.params[name].sharding.spec == spec[name]
        assert found.opt_state[0].mu[name].sharding.spec == spec[name]


def test_a_run_is_gone_on_with_on_a_mesh_and_without(tmp_path):
    pytest.importorskip("orbax.checkpoint")
    whole = learn(epochs=3, mesh=mesh_of())
    learn(mesh=mesh_of(), out=tmp_path)
    again = learn(epochs=3, mesh=mesh_of(), out=tmp_path, resume=True)
    for one, another in zip(arrays(again), arrays(whole), strict=True):
        np.testing.assert_array_equal(one, another)
    assert again.params["a"].sharding == whole.params["a"].sharding
    assert_close(learn(epochs=4, out=tmp_path, resume=True), learn(epochs=4))


def test_a_mesh_that_does_not_divide():
    said = "`mesh` divides a batch among 4 devices along its axis `data`, but "
    with pytest.raises(jw.ArgumentError, match=f"{said}batches have 2 rows, which 4 does not divide; give a multiple"):
        learn(batches=BATCHES[2:], mesh=mesh_of())
    with pytest.raises(jw.ArgumentError, match=f"{said}those of `evaluate` have 2 rows, which 4 does not divide"):
        learn(evaluate=BATCHES[2:], mesh=mesh_of())
    with pytest.raises(jw.ArgumentError, match=r"`mesh` is 4; give a `jax\.sharding\.Mesh`"):
        learn(mesh=4)
