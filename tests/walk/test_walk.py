"""What `walk`, `outputs` and `vjp` do beyond the matrix: arguments, dtypes, keep, pytrees, effects."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jaxwalk as jw
from helpers import assert_trees_equal

X = np.array([0.3, -0.7, 1.1], np.float32)


def squares(x):
    return jnp.sum(jw.tag(2 * x, "hidden") ** 2)


# Arguments ------------------------------------------------------------------------------------------------


def test_pytree_and_keyword_arguments():
    def fun(params, x, *, scale, flip=False):
        hidden = jw.tag(params["w"] * x[0], "hidden")
        return jnp.sum(-hidden if flip else hidden) * scale["s"]

    args = ({"w": X, "unused": X},), ({"scale": {"s": jnp.float32(3.0)}, "flip": True})
    walk = jw.walk(fun, argnums=(0, 1))({"w": X, "unused": X}, (X,), **args[1])
    np.testing.assert_array_equal(walk.deltas["hidden"], np.full(3, -3, np.float32))
    grads = jax.grad(fun, (0, 1))({"w": X, "unused": X}, (X,), **args[1])
    assert_trees_equal(walk.grads, grads)


def test_what_grad_leaves_alone_is_left_alone():
    """Python numbers, strings, functions and None outside argnums reach the function as they are."""
    seen = []

    def fun(x, depth, mode, act, nothing):
        seen.append((depth, mode, act, nothing))
        for _ in range(depth):
            x = jw.tag(act(x), mode)
        return jnp.sum(x)

    walk = jw.walk(fun)(X, 2, "layer", jnp.tanh, None)
    assert list(walk.deltas) == ["layer", "layer#2"]
    assert seen == [(2, "layer", jnp.tanh, None)]


@pytest.mark.parametrize("argnums", [0, -1, (0,), (1, 0), (0, 1), [1]])
def test_grads_are_shaped_as_those_of_grad(argnums):
    fun = lambda x, w: jnp.sum(jw.tag(x * w["w"], "h") ** 2)
    assert_trees_equal(jw.walk(fun, argnums=argnums)(X, {"w": X}).grads, jax.grad(fun, argnums)(X, {"w": X}))


def test_a_python_number_can_be_differentiated():
    walk = jw.walk(lambda x: jw.tag(x * 2, "h") ** 2, argnums=0)(3.0)
    assert (float(walk.value), float(walk.grads), float(walk.deltas["h"])) == (36.0, 24.0, 12.0)


def test_no_grads_without_argnums():
    assert jw.walk(squares)(X).grads is None
    assert jw.walk(squares)(X).aux is None


def test_aux():
    fun = lambda x: (squares(x), {"twice": 2 * x, "list": [x.sum()]})
    walk = jw.walk(fun, has_aux=True, argnums=0)(X)
    (value, aux), grads = jax.value_and_grad(fun, has_aux=True)(X)
    assert_trees_equal((walk.value, walk.aux, walk.grads), (value, aux, grads))


def test_integer_inputs():
    fun = lambda table, i: jnp.sum(jw.tag(table[i], "row") ** 2)
    walk = jw.walk(fun, argnums=0)(np.eye(3, dtype=np.float32), np.array([0, 2, 2]))
    np.testing.assert_array_equal(walk.deltas["row"], 2 * np.eye(3)[[0, 2, 2]])
    np.testing.assert_array_equal(walk.grads, jax.grad(fun)(np.eye(3, dtype=np.float32), np.array([0, 2, 2])))


def test_closing_over_a_tracer():
    outer = jax.grad(lambda s: jnp.sum(jw.walk(lambda x: s**2 * squares(x))(X).deltas["hidden"]))
    np.testing.assert_allclose(outer(jnp.float32(3.0)), 2 * 3 * 2 * 2 * X.sum(), rtol=1e-5)


def test_a_loss_that_is_a_constant():
    walk = jw.walk(lambda x: (jw.tag(x, "a"), jnp.float32(1.0))[1], argnums=0)(X)
    assert (walk.value, walk.points["a"].unused) == (1.0, True)
    np.testing.assert_array_equal(walk.deltas["a"], np.zeros(3))
    np.testing.assert_array_equal(walk.grads, np.zeros(3))


def test_a_constant_can_be_tagged():
    walk = jw.walk(lambda x: jnp.sum(x) * jw.tag(2.0, "two") + jw.tag(np.float32(1), "one"))(X)
    np.testing.assert_allclose(walk.deltas["two"], X.sum())
    assert walk.deltas["one"] == 1


def test_the_input_itself_can_be_the_result():
    value, outputs = jw.outputs(lambda x, y: (jw.tag(x, "x"), y, 3.0))(X, X)
    assert_trees_equal(value[1], jnp.asarray(X))
    assert list(outputs) == ["x"]


# Dtypes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_deltas_have_the_dtype_of_the_value(dtype):
    fun = lambda x: jnp.sum(jw.tag(jnp.sin(x), "sin").astype("float32") ** 2)
    x = X.astype(dtype)
    walk = jw.walk(fun, argnums=0)(x)
    assert walk.deltas["sin"].dtype == walk.outputs["sin"].dtype == jnp.dtype(dtype)
    assert_trees_equal(walk.grads, jax.grad(fun)(x))


def test_a_bfloat16_loss():
    fun = lambda x: jnp.sum(jw.tag(x * 2, "h"))
    walk = jw.walk(fun)(X.astype(jnp.bfloat16))
    assert walk.value.dtype == walk.deltas["h"].dtype == jnp.bfloat16


def test_complex_values_have_the_delta_of_jax():
    fun = lambda z: jnp.sum(jnp.abs(jw.tag(z * np.complex64(1 + 2j), "h")) ** 2)
    z = X.astype(np.complex64)
    walk = jw.walk(fun, argnums=0)(z)
    h = z * np.complex64(1 + 2j)
    np.testing.assert_allclose(walk.deltas["h"], 2 * np.conj(h), rtol=1e-6)
    assert_trees_equal(walk.grads, jax.grad(fun)(z))
    move = np.array([1e-3, 1e-3j, 0], np.complex64)
    actual = fun(z + move / np.complex64(1 + 2j)) - fun(z)
    np.testing.assert_allclose(walk.predict({"h": move}), actual, rtol=2e-3)


# Keep -----------------------------------------------------------------------------------------------------


def layered(x, weights):
    """Points of every kind: straight, in a scan, in a branch taken and not, unused, behind a comparison."""

    def step(c, w):
        c = jw.tag(jnp.tanh(c * w), "step")
        jw.tag(c + 1, "dropped")
        return c, None

    c, _ = lax.scan(jax.checkpoint(step), jw.tag(x, "x"), weights)
    c = lax.cond(c[0] < 9, lambda c: jw.tag(c * 2, "taken"), lambda c: jw.tag(-c, "not taken"), c)
    sign = jw.tag(x + 1, "compared") > 0
    return jnp.sum(jnp.where(sign, c, 0.0) ** 2)


WEIGHTS = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)


def summary(output, delta):
    return {
        "dot": jnp.vdot(output, delta),
        "outputs": [jnp.sum(output), jnp.sum(output > 0)],
        "any": jnp.any(delta != 0),
    }


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_kept_is_what_keep_makes_of_output_and_delta(wrap):
    """Also where no delta arrives: the statistics of the output are there all the same."""
    kept = wrap(jw.walk(layered, keep=summary))(X, WEIGHTS).kept
    walk = jw.walk(layered)(X, WEIGHTS)
    assert list(kept) == list(walk.deltas)
    for name, value in kept.items():
        over_steps = functools.reduce(lambda f, _: jax.vmap(f), walk.points[name].axes, summary)
        expected = over_steps(walk.outputs[name], walk.deltas[name])
        if name == "not taken":  # the branch did not run, and nor did keep
            expected = jax.tree.map(jnp.zeros_like, expected)
        assert jax.tree.structure(value) == jax.tree.structure(expected)
        for a, b in zip(jax.tree.leaves(value), jax.tree.leaves(expected), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=1e-5, err_msg=name)


def test_keep_per_datum():
    xs = np.stack([X, 2 * X, -X])
    kept = jax.vmap(jw.walk(layered, keep=summary), in_axes=(0, None))(xs, WEIGHTS).kept
    for i, x in enumerate(xs):
        alone = jw.walk(layered, keep=summary)(x, WEIGHTS).kept
        np.testing.assert_allclose(kept["step"]["dot"][i], alone["step"]["dot"], rtol=1e-4, atol=1e-6)


def with_delta(info, delta):
    """The same, but not without δ."""
    return jnp.where(jnp.isfinite(jnp.sum(delta)), info, jnp.zeros_like(info))


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int32", "uint32", "bool"])
def test_kept_integers_are_exact(dtype):
    """A cotangent is a float; 2³¹ − 1 and −2³¹ do not fit one of 32 bits."""
    info = (
        jnp.array([True, False]) if dtype == "bool" else jnp.array([jnp.iinfo(dtype).max, jnp.iinfo(dtype).min], dtype)
    )
    kept = jw.walk(squares, keep=lambda o, d: (info, with_delta(info, d)))(X).kept["hidden"]
    assert_trees_equal(kept, (info, info))


def test_kept_integers_are_exact_in_64_bits():
    with jax.enable_x64(True):
        info = jnp.array([2**63 - 1, -(2**63), 12345678901234567], jnp.int64)
        kept = jw.walk(squares, keep=lambda o, d: (info, with_delta(info, d)))(X).kept["hidden"]
        assert_trees_equal(kept, (info, info))


def test_keep_may_close_over_what_is_being_traced():
    double = jax.vmap(lambda s: jw.walk(squares, keep=lambda o, d: jnp.sum(d) * s)(X).kept["hidden"])
    np.testing.assert_allclose(double(jnp.array([1.0, 3.0])), [4 * 2 * X.sum() / 2, 12 * 2 * X.sum() / 2], rtol=1e-6)


def test_what_is_kept_can_be_differentiated():
    kept = lambda x: jw.walk(squares, keep=lambda o, d: jnp.sum(d**2))(x).kept["hidden"]
    np.testing.assert_allclose(jax.grad(kept)(X), 2 * 16 * X, rtol=1e-5)  # δ = 2·2x


def test_keep_and_grads_together():
    walk = jw.walk(layered, argnums=(0, 1), keep=summary)(X, WEIGHTS)
    assert_trees_equal(walk.grads, jax.grad(layered, (0, 1))(X, WEIGHTS))
    assert walk.value == layered(X, WEIGHTS)
    assert not walk.outputs
    assert not walk.deltas


# The order ------------------------------------------------------------------------------------------------


def zebra(x):
    for name in ("zebra", "mule", "ant"):
        x = jw.tag(x * 2, name)
    return jnp.sum(x)


def test_forward_order_survives_every_transform():
    order = ["zebra", "mule", "ant"]
    walks = {
        "plain": jw.walk(zebra)(X),
        "jit": jax.jit(jw.walk(zebra))(X),
        "vmap": jax.vmap(jw.walk(zebra))(X[None]),
        "scan": lax.scan(lambda c, x: (c, jw.walk(zebra)(x)), 0, X[None])[1],
        "tree map": jax.tree.map(lambda x: x, jw.walk(zebra)(X)),
    }
    for walk in walks.values():
        assert list(walk.outputs) == list(walk.deltas) == list(walk.points) == order
    assert list(jax.jit(jw.walk(zebra, keep=lambda o, d: d.sum()))(X).kept) == order
    assert list(jax.jit(jw.outputs(zebra))(X)[1]) == order
    assert list(jw.vjp(zebra, X)[1]) == list(jw.vjp(zebra, X)[2](jnp.float32(1))[0]) == order


# vjp, outputs ---------------------------------------------------------------------------------------------


def test_vjp_of_a_vector():
    fun = lambda x, i: {"y": jw.tag(x**2, "square") * 3, "i": i}
    value, outputs, pullback = jw.vjp(fun, X, np.array([1, 2]))
    expected, pull = jax.vjp(fun, X, np.array([1, 2]))
    assert_trees_equal(value, expected)
    for ct in np.eye(3, dtype=np.float32):
        cotangent = {"y": ct, "i": np.zeros(2, jax.dtypes.float0)}
        deltas, (dx, di) = pullback(cotangent)
        np.testing.assert_array_equal(deltas["square"], 3 * ct)
        np.testing.assert_array_equal(dx, pull(cotangent)[0])
        assert di.dtype == jax.dtypes.float0
    np.testing.assert_array_equal(outputs["square"], X**2)


def test_jacobian_from_one_point_to_another():
    def fun(x):
        a = jw.tag(jnp.sin(x), "a")
        return jnp.sum(jw.tag(jnp.cumsum(a**2), "b"))

    _, found = jw.outputs(fun)(X)
    to_b = lambda a: jw.outputs(jw.intervene(fun, {"a": a}), "b")(X)[1]["b"]
    expected = np.tril(np.ones((3, 3))) * 2 * np.sin(X)
    for jacobian in (jax.jacobian, jax.jacfwd, jax.jacrev):
        np.testing.assert_allclose(jacobian(to_b)(found["a"]), expected, rtol=1e-5)


# What must not change -------------------------------------------------------------------------------------


def test_effects_happen_once_and_in_order(capfd):
    def fun(x):
        jax.debug.print("before {}", x[0], ordered=True)

        def step(c, _):
            c = jw.tag(c * 2, "h")
            jax.debug.print("step {}", c[0], ordered=True)
            return c, None

        c, _ = lax.scan(step, x, None, length=2)
        return jnp.sum(c)

    jw.walk(fun)(np.ones(3, np.float32))
    jax.effects_barrier()
    assert capfd.readouterr().out.split("\n")[:-1] == ["before 1.0", "step 2.0", "step 4.0"]


def test_jit_keeps_its_name_and_options():
    layer = jax.jit(lambda x, unused: jw.tag(x * 2, "h"), keep_unused=True)
    jaxpr = jax.make_jaxpr(lambda x: jw.outputs(lambda x: layer(x, x))(x)[0])(X)
    (eqn,) = [eqn for eqn in jaxpr.jaxpr.eqns if "jaxpr" in eqn.params]
    assert eqn.params["name"] == "<lambda>"
    assert eqn.params["keep_unused"]


def test_shardings_of_an_inner_jit_are_kept():
    mesh = jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    layer = jax.jit(lambda x: jw.tag(x * 2, "h"), in_shardings=sharding, out_shardings=sharding)
    walk = jw.walk(lambda x: jnp.sum(layer(x)))(X)
    np.testing.assert_array_equal(walk.deltas["h"], np.ones(3))


def test_an_array_given_away_by_an_inner_jit_is_still_there():
    layer = jax.jit(lambda x: jw.tag(x * 2, "h"), donate_argnums=0)
    walk = jw.walk(lambda x: jnp.sum(layer(jw.tag(x + 1, "before"))))(X)
    np.testing.assert_array_equal(walk.outputs["before"], X + 1)


def test_checkpoint_policies_still_know_the_names():
    policy = jax.checkpoint_policies.save_only_these_names("saved")
    block = jax.checkpoint(lambda x: jnp.sin(jw.tag(jnp.sin(x), "saved")), policy=policy)
    fun = lambda x: jnp.sum(block(x))
    sines = lambda f: str(jax.make_jaxpr(f)(X)).count("= sin")
    assert sines(lambda x: jw.walk(fun, argnums=0)(x).grads) <= sines(jax.grad(fun)) + 1
    np.testing.assert_array_equal(jw.walk(fun, argnums=0)(X).grads, jax.grad(fun)(X))


def test_debug_nans_stays_on():
    fun = lambda x: jnp.sum(jw.tag(jnp.log(x), "log"))
    with jax.debug_nans(True), pytest.raises(FloatingPointError):
        jw.walk(fun)(X)


def test_under_disable_jit():
    fun = lambda x: jax.jit(squares)(x)
    with jax.disable_jit():
        np.testing.assert_array_equal(jw.walk(fun)(X).deltas["hidden"], 4 * X)


def test_the_transformed_function_has_a_name():
    assert jw.walk(squares).__name__ == "walk_squares"
    assert "squares" in jw.outputs(squares).__doc__
    assert jw.intervene(functools.partial(squares), {"hidden": X}).__name__ == "intervene_partial"


def test_a_walk_of_a_walk():
    """The points inside a walk are points of what computes with it, first as they are run forward."""
    outer = lambda x: jnp.sum(jw.walk(squares)(x).deltas["hidden"] ** 2)
    walk = jw.walk(outer, "hidden")(X)
    np.testing.assert_allclose(walk.deltas["hidden"], 2 * (2 * 2 * X) * 2, rtol=1e-6)


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Checked:
    """A container that looks at what it is made of."""

    weights: jax.Array
    rate: float

    def __post_init__(self):
        if isinstance(self.rate, float) and self.rate <= 0:
            raise ValueError("no rate")
        if self.rate is None:
            raise TypeError("no placeholder")


def test_containers_are_not_made_of_placeholders():
    walk = jw.walk(lambda p, x: jnp.sum(jw.tag(p.weights * x * p.rate, "h")), argnums=0)(Checked(X, 2.0), X)
    np.testing.assert_allclose(walk.outputs["h"], 2 * X**2, rtol=1e-6)
    np.testing.assert_allclose(walk.grads.weights, 2 * X, rtol=1e-6)
    np.testing.assert_allclose(jw.outputs(lambda p: jw.tag(p.weights * p.rate, "h"))(Checked(X, 2.0))[0], 2 * X)


def test_a_python_number_that_is_named_is_an_array():
    walk = jw.walk(lambda x: jw.tag(x, "a") * 2)(1.0)
    assert isinstance(walk.outputs["a"], jax.Array)
    assert walk.outputs["a"] == 1
