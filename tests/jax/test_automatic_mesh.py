"""On a mesh with explicit axes `kinks` finds what it finds on one device; what cannot be run there is told."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jaxwalk as jw

X = np.arange(32, dtype=np.float32).reshape(8, 4) - 3
W = np.eye(4, dtype=np.float32)
FUNS = {
    "rows": lambda w, x: jnp.sum(jax.nn.relu(jnp.tanh(x @ w) - x.mean(0, keepdims=True))),
    "contracted": lambda w, x: jnp.sum(
        jax.nn.relu(jnp.dot(jax.sharding.reshard(x, PartitionSpec(None, "d")), w, out_sharding=PartitionSpec()))
    ),
    "order": lambda w, x: jnp.sum(jnp.sort(jnp.abs(x @ w), -1)[:, 0]),
}


@pytest.mark.parametrize("name", FUNS)
def test_an_explicit_mesh(name):
    mesh = jax.make_mesh((4,), ("d",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        place = lambda value, *spec: jax.device_put(value, NamedSharding(mesh, PartitionSpec(*spec)))
        found = jw.kinks(FUNS[name], place(W, *(("d",) if name == "contracted" else ())), place(X, "d"))
    plain = FUNS[name] if name != "contracted" else lambda w, x: jnp.sum(jax.nn.relu(x @ w))
    expected = jw.kinks(plain, W, X)
    assert [(k.operation, k.kind, k.entries.tolist()) for k in found] == [
        (k.operation, k.kind, k.entries.tolist()) for k in expected
    ]
    assert found.notes == expected.notes


def test_what_cannot_be_run_there():
    mesh = jax.make_mesh((4,), ("d",), axis_types=(AxisType.Explicit,))
    x = jax.device_put(X, NamedSharding(mesh, PartitionSpec("d")))
    blocks = jax.shard_map(jax.nn.relu, mesh=mesh, in_specs=PartitionSpec("d"), out_specs=PartitionSpec("d"))
    with pytest.raises(jw.ArgumentError, match="`kinks` cannot run what `fun` does on a mesh with explicit axes, such"):
        jw.kinks(lambda x: jnp.sum(blocks(x)), x)
