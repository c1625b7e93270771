"""Nodes of a path, and samples, several at a time: what comes out is what one at a time gives, to rounding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk import attribute
from jaxwalk.attribute._along.batches import Batches, each, weighted_sum

pytestmark = pytest.mark.usefixtures("float64")

RANDOM = np.random.default_rng(0)
X, B, LAYERS = RANDOM.normal(size=4), RANDOM.normal(size=4), RANDOM.normal(size=(3, 4, 4))
KEY = jax.random.key(3)
CLOSE = {"rtol": 1e-12, "atol": 1e-13}


def fun(args):
    """A loop, a branch that differs on the path, a loop with an end of its own, and what is called by names."""
    x = jw.tag(jnp.tanh(args["x"]), "first")
    times = jax.lax.while_loop(lambda n: n < 3, lambda n: n + 1, jnp.int32(jnp.sum(args["x"]) > 0))
    x, _ = jax.lax.scan(lambda h, w: (jw.tag(jnp.sin(w @ h), "layer"), None), x, LAYERS)
    x = jax.lax.cond(x[0] > 0, lambda x: jw.tag(2 * x, "taken"), lambda x: x, x)
    return jnp.sum(x**2) * times.astype(x.dtype)


def tokens(ids):
    return jnp.sum(jw.tag(jnp.asarray(LAYERS[0])[ids], "embed") ** 2)


BASELINE = {"baseline": {"x": B}, "steps": 7}
DATA = {"x": np.stack([B, -B, X / 2])}
METHODS = {
    "trapezoid": lambda n: attribute.conductance(fun, **BASELINE, batch_size=n),
    "gauss-legendre": lambda n: attribute.conductance(fun, **BASELINE, rule="gauss-legendre", batch_size=n),
    "influence": lambda n: attribute.internal_influence(fun, **BASELINE, batch_size=n),
    "integrated": lambda n: attribute.integrated_gradients(fun, **BASELINE, batch_size=n),
    "own": lambda n: attribute.integrated_gradients(fun, "first", **BASELINE, along="own", batch_size=n),
    "expected": lambda n: attribute.expected_gradients(fun, baselines=DATA, key=KEY, samples=7, batch_size=n),
    "smooth": lambda n: attribute.smooth_grad(fun, key=KEY, samples=7, noise=0.3, batch_size=n),
    "patching": lambda n: attribute.patching(fun, other={"x": B}, steps=7, batch_size=n),
}


def close(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, b in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
        np.testing.assert_allclose(a, b, **CLOSE)


@pytest.mark.parametrize("method", METHODS)
def test_three_of_seven_at_a_time_are_what_one_is(method):
    """Seven in batches of three: three of 3, of which two rows only fill up. Random ones have the same keys."""
    one, three = (jax.jit(METHODS[method](n))({"x": X}) for n in (1, 3))
    close(three, one)


def test_edges_and_tokens_and_data():
    def blocks(x):
        for name in ("a", "b"):
            with jax.named_scope(name):
                wrote = jnp.tanh(x)
            x = x + wrote
        with jax.named_scope("last"):
            return jnp.sum(x**2)

    edges = lambda n: attribute.edges(blocks, writers=["a", "b"], other=B, steps=5, batch_size=n)(X)
    close(jax.tree.leaves(edges(2)), jax.tree.leaves(edges(1)))
    ids, others = jnp.array([0, 1]), jnp.array([0, 3])
    own = lambda n: attribute.integrated_gradients(tokens, baseline=others, along="own", steps=5, batch_size=n)(ids)
    close(own(5).scores["embed"], own(1).scores["embed"])
    rows = {"x": np.stack([X, B])}
    conductance = lambda n: jax.jit(jax.vmap(attribute.conductance(fun, steps=5, batch_size=n)))(rows)
    close(conductance(2), conductance(1))


def test_what_is_divided_among_devices():
    mesh = jax.make_mesh((4,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = jax.sharding.PartitionSpec("d")

    def divided(x):
        # Summed outside: jax 0.8 cannot vmap a psum in a shard_map.
        local = lambda x: jnp.sum(jw.tag(jnp.tanh(x), "local") ** 2)[None]
        return jnp.sum(jax.shard_map(local, mesh=mesh, in_specs=spec, out_specs=spec)(x))

    conductance = lambda n: jax.jit(attribute.conductance(divided, baseline=B, steps=5, batch_size=n))(X)
    close(conductance(2), conductance(1))


@pytest.mark.once
def test_each_row_is_in_one_batch_and_none_is_larger_than_asked_for():
    for count in range(1, 30):
        for size in range(1, 32):
            batches = Batches.of(count, size)
            assert batches.rows[batches.is_there].tolist() == list(range(count))
            assert batches.rows.shape == (-(-count // size), batches.rows.shape[1])
            assert batches.rows.shape[1] <= size
            assert batches.is_there.any(1).all()


@pytest.mark.once
def test_what_fills_up_a_batch_counts_for_nothing():
    """Twice Inf, or Inf less itself, would be something else."""
    rows = jnp.array([1.0, 2.0, -jnp.inf])
    assert weighted_sum(lambda x: x, rows, jnp.ones(3), 2) == -jnp.inf
    assert each(lambda x: 2 * x, rows, 2).tolist() == [2, 4, -jnp.inf]
    steep = lambda x: jnp.sum(1 / (jw.tag(x, "x") - 1))
    one, two = (attribute.conductance(steep, steps=3, batch_size=n)(jnp.ones(1)) for n in (1, 2))
    np.testing.assert_array_equal(two.scores["x"], one.scores["x"])
    assert np.isinf(one.scores["x"])


@pytest.mark.once
@pytest.mark.parametrize("size", [0, True, 2.5, "all"])
def test_refused(size):
    for method in (METHODS["trapezoid"], METHODS["smooth"], METHODS["patching"]):
        with pytest.raises(jw.ArgumentError, match=f"`batch_size` is {size!r}; it must be an integer of at least 1."):
            method(size)
