import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw

X = np.array([0.3, -0.7, 1.1], np.float32)
W = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)


def dense(w, x):
    return x @ w


def test_a_key_that_is_no_string():
    model = jw.chain(dense)
    with pytest.raises(jw.ArgumentError, match=r"`params` has weights for `1`, which is no layer\. Near it: `L1`"):
        jw.walk(jw.objective(model, lambda o, y: jnp.sum(o - y)))({1: W}, X, X)
    with pytest.raises(
        jw.ArgumentError, match="An argument has a dict with the keys 1 and 'L1', which JAX cannot sort"
    ):
        jw.walk(jw.objective(model, lambda o, y: jnp.sum(o - y)))({1: W, "L1": W}, X, X)


class Layer:
    def __call__(self, weights, x):
        return x * weights


@pytest.mark.parametrize(
    ("layer", "weighted"),
    [
        (lambda x: x, False),
        (dense, True),
        (jax.nn.relu, False),
        (jax.nn.gelu, False),
        (jax.nn.softmax, False),
        (jnp.tanh, False),
        (jnp.dot, True),
        (jax.jit(dense), True),
        (functools.partial(dense, W), False),
        (lambda w, x, train=False: x, True),
        (lambda x, *rest: x, False),
        (Layer(), True),
        (Layer().__call__, True),
        (jax.vmap(dense, (None, 0)), True),
        (jax.checkpoint(dense), True),
    ],
)
def test_a_layer_takes_weights_or_not(layer, weighted):
    assert jw.chain(layer).takes_weights == weighted


def test_names_and_order():
    model = jw.chain(dense, jnp.tanh, head=dense)
    assert list(model.layers) == ["L1", "L2", "head"]
    assert repr(model) == "Chain(L1(weights, x) → L2(x) → head(weights, x))"
    with pytest.raises(TypeError):
        model.layers["L1"] = dense
    points = jw.points(model, {"L1": W, "head": W}, X)
    assert list(points) == ["input", "L1", "L2", "head"]
    assert [p.number for p in points.values()] == [1, 2, 3, 4]


def test_the_value_is_that_of_the_layers_one_after_the_other():
    model = jw.chain(dense, jnp.tanh, dense)
    np.testing.assert_array_equal(model({"L1": W, "L3": W.T}, X), jnp.tanh(X @ W) @ W.T)


def test_a_chain_in_a_chain():
    inner = jw.chain(dense=dense, act=jnp.tanh)
    model = jw.chain(enc=inner, mid=jw.chain(jnp.sin), dec=inner)
    params = {"enc": {"dense": W}, "dec": {"dense": W.T}}
    expected = ["input", "enc/dense", "enc/act", "enc", "mid/L1", "mid", "dec/dense", "dec/act", "dec"]
    assert list(jw.points(model, params, X)) == expected
    np.testing.assert_array_equal(model(params, X), jnp.tanh(jnp.sin(jnp.tanh(X @ W)) @ W.T))


def test_a_model_used_twice_is_two_walks_apart():
    model = jw.chain(jnp.sin)
    points = jw.points(lambda x: model({}, model({}, x)), X)
    assert list(points) == ["input", "L1", "input#2", "L1#2"]


def test_values_that_are_pytrees():
    model = jw.chain(split=lambda x: {"a": x, "b": [2 * x]}, join=lambda t: t["a"] + t["b"][0])
    assert list(jw.points(model, {}, X)) == ["input", "split/a", "split/b/0", "join"]


def test_a_chain_goes_through_jit_grad_and_vmap():
    model = jw.chain(dense, jnp.tanh)
    params = {"L1": W}
    np.testing.assert_allclose(jax.jit(model)(params, X), model(params, X), rtol=1e-6)
    assert jax.vmap(model, (None, 0))(params, np.stack([X, X])).shape == (2, 3)
    assert jax.grad(lambda p: model(p, X).sum())(params)["L1"].shape == (3, 3)


def test_objective_takes_any_model():
    fun = jw.objective(lambda params, x: jw.tag(params * x, "o"), lambda o, y: jnp.sum((o - y) ** 2))
    walk = jw.walk(fun, argnums=0)(jnp.float32(2), X, X)
    np.testing.assert_allclose(walk.deltas["o"], 2 * X, rtol=1e-6)


def test_tag_is_the_identity_and_stays_under_every_transform():
    tree = {"a": X, "b": (1, 2.0, np.float32(3), True, None)}
    tagged = jw.tag(tree, "t")
    assert jax.tree.structure(tagged) == jax.tree.structure(tree)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(tagged))
    f = lambda x: jnp.sum(jw.tag(x, "x") ** 2)
    np.testing.assert_array_equal(jax.jit(jax.grad(f))(X), 2 * X)
    np.testing.assert_allclose(jax.hessian(f)(X), 2 * np.eye(3))
    np.testing.assert_array_equal(jax.jvp(f, (X,), (X,))[1], 2 * jnp.sum(X * X))
    np.testing.assert_array_equal(jax.vmap(lambda x: jw.tag(x, "x"))(X), X)


def test_tag_of_a_dataclass_is_named_by_its_fields():
    @jax.tree_util.register_dataclass
    @__import__("dataclasses").dataclass
    class Pair:
        mean: jax.Array
        scale: jax.Array

    assert list(jw.points(lambda x: jw.tag(Pair(x, 2 * x), "pair"), X)) == ["pair/mean", "pair/scale"]
