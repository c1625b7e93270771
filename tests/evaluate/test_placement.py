"""An evaluation over four (virtual) devices: the same figures, whatever is divided among them, and how."""

import jax
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jaxwalk as jw
from dataset import PARAMS, assert_same, batches, evaluate
from jaxwalk._evaluate.placement import placement

KEEP = jw.stats.combine(jw.stats.of_delta(jw.stats.norms), jw.stats.dead)


@pytest.fixture(scope="module")
def alone():
    return evaluate(batches(8), keep=KEEP)


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit])
def test_a_batch_divided_among_four(alone, axis_type):
    mesh = jax.make_mesh((4,), ("data",), axis_types=(axis_type,))
    assert_same(evaluate(batches(8), keep=KEEP, mesh=mesh), alone)


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit])
def test_params_that_are_divided_stay_so(alone, axis_type):
    mesh = jax.make_mesh((2, 2), ("data", "model"), axis_types=(axis_type,) * 2)
    place = lambda value, *spec: jax.device_put(value, NamedSharding(mesh, PartitionSpec(*spec)))
    params = {"in": place(PARAMS["in"], None, "model"), "out": place(PARAMS["out"], "model")}
    for leaf in placement(mesh, 8).params(jax.tree.leaves(params)):
        assert not leaf.sharding.is_fully_replicated
        assert leaf.addressable_shards[0].data.size == leaf.size // 2
    assert_same(evaluate(batches(8), params=params, keep=KEEP, mesh=mesh), alone)


def test_within_another_mesh(alone):
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        assert_same(evaluate(batches(8), keep=KEEP, mesh=mesh), alone)


def test_batches_are_really_divided():
    placed = placement(jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,)), 8)
    (leaf,) = placed.batch([np.arange(16.0).reshape(8, 2)])
    assert [shard.data.shape for shard in leaf.addressable_shards] == [(2, 2)] * 4
    np.testing.assert_array_equal(leaf, np.arange(16.0).reshape(8, 2))


def test_a_mesh_that_does_not_divide_a_batch():
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    with pytest.raises(jw.ArgumentError, match="4 devices along its axis `data`, but batches have 5 rows"):
        evaluate(batches(5), mesh=mesh)


def test_a_mesh_of_some_of_the_processes(monkeypatch):
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    monkeypatch.setattr("jaxwalk._evaluate.placement.count_processes", lambda mesh: 2)
    monkeypatch.setattr(jax, "process_count", lambda: 3)
    with pytest.raises(jw.ArgumentError, match="`mesh` has devices of 2 of the 3 processes; give one of all of them"):
        placement(mesh, 8)


def place(value, *where):
    """On the device of this number; or divided so among four, or copied to them."""
    if where and isinstance(where[0], int):
        return jax.device_put(value, jax.devices()[where[0]])
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Explicit,))
    return jax.device_put(value, NamedSharding(mesh, PartitionSpec(*where)))


ON_A_MESH = "is on a mesh of 4 devices; give it as `mesh=`."
ON_ONE = "; put all on one device by `jax.device_put`, or give `mesh=`."
ELSEWHERE = {
    f"An array in `params` {ON_A_MESH}": lambda x, y: {"params": place(PARAMS)},
    f"An array in batch 0 of `batches` {ON_A_MESH}": lambda x, y: {"data": [(place(x, "data"), place(y, "data"))]},
    f"An array in a batch of `batches` {ON_A_MESH}": lambda x, y: {"data": [(x, y), (place(x, "data"), y)]},
    f"An array in batch 0 of `batches` is on cpu:2, and another in batch 0 of `batches` on cpu:1{ON_ONE}": (
        lambda x, y: {"data": [(place(x, 1), place(y, 2))]}
    ),
    f"An array in batch 0 of `batches` is on cpu:2, and another in `params` on cpu:1{ON_ONE}": (
        lambda x, y: {"params": place(PARAMS, 1), "data": [(x, place(y, 2))]}
    ),
    f"An array in a batch of `batches` is on cpu:0, and another in batch 0 of `batches` on cpu:1{ON_ONE}": (
        lambda x, y: {"data": [(place(x, 1), place(y, 1)), (place(x, 0), y)]}
    ),
}


@pytest.mark.parametrize("said", ELSEWHERE, ids=range(len(ELSEWHERE)))
def test_arrays_that_are_elsewhere_and_no_mesh(said):
    (batch,) = batches(8)[:1]
    with pytest.raises(jw.ArgumentError) as caught:
        evaluate(**({"data": [batch]} | ELSEWHERE[said](*batch)))
    assert str(caught.value) == said


def test_all_on_another_device(alone):
    elsewhere = [jax.tree.map(lambda leaf: place(leaf, 3), batch) for batch in batches(8)]
    assert_same(evaluate(elsewhere, params=place(PARAMS, 3), keep=KEEP), alone)


def test_what_is_no_mesh():
    with pytest.raises(jw.ArgumentError, match=r"`mesh` is 4; give a `jax\.sharding\.Mesh`"):
        evaluate(mesh=4)
