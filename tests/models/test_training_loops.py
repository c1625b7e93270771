"""A watched step in the loops of other libraries, and over a mesh: the params are those of the library's own step."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jaxwalk as jw
from oracle import importing

with importing():
    import flax.linen as nn
    from flax import nnx
    from flax.training.train_state import TrainState

pytestmark = pytest.mark.usefixtures("relaxed")

random = np.random.default_rng(0)
X, Y = np.float32(random.normal(size=(8, 3))), np.float32(random.normal(size=(8, 1)))
OPTIMIZER = optax.adam(1e-2)


def close(tree, other):
    for a, b in zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_linen_train_state():
    model = nn.Sequential([nn.Dense(4), nn.relu, nn.Dense(1)])
    params = model.init(jax.random.key(0), X)["params"]
    state = TrainState.create(apply_fn=model.apply, params=params, tx=OPTIMIZER)
    loss = lambda params, x, y: jnp.mean((state.apply_fn({"params": params}, x) - y) ** 2)
    other = state.apply_gradients(grads=jax.grad(loss)(state.params, X, Y))
    walk = jax.jit(jw.walk(loss, argnums=0, keep=jw.stats.health))(state.params, X, Y)
    close(state.apply_gradients(grads=walk.grads).params, other.params)
    params, opt_state, seen = jax.jit(jw.watch(loss, state.tx))(state.params, state.opt_state, X, Y)
    close((params, opt_state), (other.params, other.opt_state))
    assert list(seen.weights) == ["layers_0/bias", "layers_0/kernel", "layers_2/bias", "layers_2/kernel"]


def test_nnx_split_and_merged():
    model = nnx.Sequential(nnx.Linear(3, 4, rngs=nnx.Rngs(0)), nnx.relu, nnx.Linear(4, 1, rngs=nnx.Rngs(1)))
    graph, weights, rest = nnx.split(jw.scoped(model), nnx.Param, ...)
    loss = lambda weights, x, y: jnp.mean((nnx.merge(graph, weights, rest)(x) - y) ** 2)
    moved, _, seen = jax.jit(jw.watch(loss, OPTIMIZER))(weights, OPTIMIZER.init(weights), X, Y)
    own = nnx.Optimizer(model, OPTIMIZER, wrt=nnx.Param)
    own.update(model, nnx.grad(lambda model: jnp.mean((model(X) - Y) ** 2))(model))
    close(moved, nnx.state(model, nnx.Param))
    assert "layers/0/kernel" in seen.weights


def fun(params, x, y):
    hidden = jw.tag(jax.nn.relu(x @ params["up"]), "hidden")
    return jnp.mean((jw.tag(hidden @ params["down"], "result") - y) ** 2)


@pytest.mark.parametrize("spec", [PartitionSpec(), PartitionSpec("data")], ids=["replicated", "divided"])
def test_over_a_mesh(spec):
    """Data divided over four devices; params on each, or divided too."""
    params = {"up": np.float32(random.normal(size=(3, 4))).T.copy().T, "down": np.float32(random.normal(size=(4, 1)))}
    x = np.concatenate([X, X[:, :1]], 1)
    params["up"] = np.concatenate([params["up"], params["up"][:1]])
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    place = lambda tree, spec: jax.device_put(tree, NamedSharding(mesh, spec))
    whole, data = place(params, spec), place((x, Y), PartitionSpec("data"))
    step = jax.jit(jw.watch(fun, OPTIMIZER))
    found, alone = step(whole, OPTIMIZER.init(whole), *data), step(params, OPTIMIZER.init(params), x, Y)
    close(found, alone)
