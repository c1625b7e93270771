"""`jw.watch`: it trains as the plain step does, and what it has seen is what hand-written JAX says."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxwalk as jw

pytestmark = pytest.mark.usefixtures("relaxed")

random = np.random.default_rng(0)
PARAMS = {"up": jnp.float32(random.normal(size=(3, 4))), "down": jnp.float32(random.normal(size=(4, 2)))}
X, Y = jnp.float32(random.normal(size=(8, 3))), jnp.float32(random.normal(size=(8, 2)))
ADAM = optax.adam(1e-2)


@pytest.fixture
def relaxed():
    """Optax multiplies floats by integers without a word."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def fun(params, x, y):
    hidden = jw.tag(jax.nn.relu(x @ params["up"]), "hidden")
    return jnp.mean((jw.tag(hidden @ params["down"], "result") - y) ** 2)


def plain(optimizer, fun=fun):
    def watch_fun(params, opt_state, *batch):
        loss, grads = jax.value_and_grad(fun)(params, *batch)
        extra = {"value": loss, "grad": grads, "value_fn": lambda params: fun(params, *batch)}
        update = optax.with_extra_args_support(optimizer).update
        updates, opt_state = update(grads, opt_state, params, **extra)
        return optax.apply_updates(params, updates), opt_state, loss

    return watch_fun


def run(step, optimizer, steps, params=PARAMS):
    state, results = optimizer.init(params), []
    for _ in range(steps):
        params, state, seen = step(params, state, X, Y)
        results.append(seen)
    return params, results


def close(tree, other, rtol=1e-5):
    for a, b in zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-7)


# Training ------------------------------------------------------------------------------------------------


def test_op_by_op_the_params_are_the_same_bit_for_bit():
    mine, _ = run(jw.watch(fun, ADAM), ADAM, 2)
    other, _ = run(plain(ADAM), ADAM, 2)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), mine, other))


OPTIMIZERS = {
    "adam": ADAM,
    "sgd": optax.sgd(0.1),
    "plateau": optax.chain(optax.adam(0.1), optax.contrib.reduce_on_plateau(patience=1)),
    "lbfgs": optax.lbfgs(),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_compiled_they_are_the_same_to_rounding(name):
    optimizer = OPTIMIZERS[name]
    mine, seen = run(jax.jit(jw.watch(fun, optimizer)), optimizer, 4)
    other, losses = run(jax.jit(plain(optimizer)), optimizer, 4)
    close(mine, other, 1e-4)
    close([one.loss for one in seen], losses, 1e-4)


def test_keeping_nothing_is_the_same_program():
    args = PARAMS, ADAM.init(PARAMS), X, Y
    mine, other = (jax.jit(step).lower(*args) for step in (jw.watch(fun, ADAM, keep=None), plain(ADAM)))
    results = lambda lowered: re.sub(r" *\{jax.result_info = [^}]*\}", "", lowered.as_text())
    assert results(mine) == results(other)
    assert mine.compile().cost_analysis() == other.compile().cost_analysis()
    assert jw.watch(fun, ADAM, keep=None)(*args)[2].is_seen is None


# What is seen --------------------------------------------------------------------------------------------


def test_the_numbers_at_a_point_and_the_sizes_of_weights():
    params, _, seen = jax.jit(jw.watch(fun, ADAM))(PARAMS, ADAM.init(PARAMS), X, Y)
    grads = jax.grad(fun)(PARAMS, X, Y)
    result = np.maximum(X @ PARAMS["up"], 0) @ PARAMS["down"]
    delta = 2 * (np.float64(result) - Y) / Y.size
    np.testing.assert_allclose(seen.kept["result"]["delta_l2"], np.linalg.norm(delta), rtol=1e-5)
    np.testing.assert_allclose(seen.kept["result"]["output_std"], np.std(result), rtol=1e-5)
    active = np.mean(np.asarray(X @ PARAMS["up"]) > 0, 0)
    np.testing.assert_allclose(seen.kept["hidden"]["active_share"], active, rtol=1e-6)
    for name in PARAMS:
        np.testing.assert_allclose(seen.weights[name]["weight_l2"], np.linalg.norm(PARAMS[name]), rtol=1e-5)
        np.testing.assert_allclose(seen.weights[name]["gradient_l2"], np.linalg.norm(grads[name]), rtol=1e-5)
        moved = np.linalg.norm(params[name] - PARAMS[name])
        np.testing.assert_allclose(seen.weights[name]["update_l2"], moved, rtol=1e-5)


def test_complex_weights_have_sizes():
    weights, rate = jnp.array([3 + 4j, -1 + 2j], jnp.complex64), optax.sgd(0.1)
    loss = lambda w, x: jnp.sum(jnp.abs(jw.tag(w * x, "product")) ** 2)
    moved, _, seen = jax.jit(jw.watch(loss, rate))(weights, rate.init(weights), jnp.float32(2.0))
    sizes = seen.weights["params"]
    np.testing.assert_allclose(sizes["weight_l2"], np.linalg.norm(weights), rtol=1e-6)
    np.testing.assert_allclose(sizes["gradient_l2"], np.linalg.norm(8 * weights), rtol=1e-6)  # |dL/dw| of 4|w|²
    np.testing.assert_allclose(sizes["update_l2"], np.linalg.norm(moved - weights), rtol=1e-5)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_sizes_beyond_the_squares_of_float32(scale):
    """The norms of weights and moves are right; of a gradient there is the largest entry."""
    weights, rate = jnp.float32([3.0, 4.0]) * np.float32(scale), optax.sgd(1.0)
    loss = lambda w: jnp.sum(jw.tag(w * jnp.float32([1.0, -2.0]) * np.float32(scale), "w"))
    _, _, seen = jax.jit(jw.watch(loss, rate))(weights, rate.init(weights))
    sizes = seen.weights["params"]
    np.testing.assert_allclose(sizes["weight_l2"], 5 * scale, rtol=1e-5)
    np.testing.assert_allclose(sizes["update_l2"], 5**0.5 * scale, rtol=1e-5)
    np.testing.assert_allclose(sizes["gradient_l2"], 2 * scale, rtol=1e-5)


def test_an_update_that_bfloat16_loses_is_none():
    weights, rate = jnp.ones(4, jnp.bfloat16), optax.sgd(1e-4)
    loss = lambda w: jnp.sum(jw.tag(w * 2, "w"))
    _, _, seen = jax.jit(jw.watch(loss, rate))(weights, rate.init(weights))
    sizes = seen.weights["params"]
    assert (float(sizes["update_l2"]), float(sizes["gradient_l2"])) == (0, 4)


def test_aux_and_a_keep_of_ones_own():
    own = lambda output, delta: {"out": jnp.max(output), "both": jnp.sum(output * delta)}
    step = jw.watch(lambda *args: (fun(*args), {"n": jnp.int32(8)}), ADAM, at="result", keep=own, has_aux=True, every=2)
    kept = run(jax.jit(step), ADAM, 2)[1]
    assert [int(one.aux["n"]) for one in kept] == [8, 8]
    result = np.maximum(X @ PARAMS["up"], 0) @ PARAMS["down"]
    np.testing.assert_allclose(kept[0].kept["result"]["out"], np.max(result), rtol=1e-5)
    np.testing.assert_allclose(kept[0].kept["result"]["both"], np.sum(2 * (result - Y) / Y.size * result), rtol=1e-4)
    assert {name: float(one["both"]) for name, one in kept[1].kept.items()} == {"result": 0}


@pytest.mark.parametrize("optimizer", [ADAM, optax.MultiSteps(ADAM, 2)], ids=["adam", "multi"])
def test_each_second_step(optimizer):
    params, some = run(jax.jit(jw.watch(fun, optimizer, every=2)), optimizer, 5)
    all_params, each = run(jax.jit(jw.watch(fun, optimizer)), optimizer, 5)
    looked = [True, False, True, False, True] if optimizer is ADAM else [True, True, False, False, True]
    assert [bool(one.is_seen) for one in some] == looked
    close(params, all_params)
    for one, other, is_seen in zip(some, each, looked, strict=True):
        np.testing.assert_allclose(one.loss, other.loss, rtol=1e-5)
        if is_seen:
            close((one.kept, one.weights), (other.kept, other.weights), 1e-4)
        else:
            assert not any(np.any(leaf) for leaf in jax.tree.leaves((one.kept, one.weights)))


def test_each_second_step_as_other_devices_have_it(monkeypatch):
    """Elsewhere than on CPUs there is one condition, around the loss and its gradient: the same is seen."""
    with_aux = lambda *args: (fun(*args), {"n": jnp.int32(8)})
    step = lambda: jax.jit(jw.watch(with_aux, ADAM, every=2, has_aux=True))
    params, some = run(step(), ADAM, 3)
    monkeypatch.setattr(jax.lax, "platform_dependent", lambda *args, default, **_: default(*args))
    other_params, others = run(step(), ADAM, 3)
    assert [bool(one.is_seen) for one in others] == [True, False, True]
    close(params, other_params)
    for one, other in zip(some, others, strict=True):
        assert int(other.aux["n"]) == 8
        close((one.loss, one.kept, one.weights), (other.loss, other.kept, other.weights), 1e-4)


def test_stacked_by_a_scan_and_shown(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    step = jw.watch(fun, ADAM, every=2)
    one = lambda carry, _: (lambda params, state, seen: ((params, state), seen))(*step(*carry, X, Y))
    _, many = jax.jit(lambda carry: jax.lax.scan(one, carry, length=4))((PARAMS, ADAM.init(PARAMS)))
    assert repr(many).startswith("4 steps seen at 2 points, loss ")
    assert "2 of these steps were not looked at (`every`)" in repr(many)
    assert "hidden" in many._repr_html_()
    assert many[::2].is_seen.tolist() == [True, True]
    assert many[-1].loss.shape == ()
    assert "This step was not looked at" in repr(many[1])
    assert all(len(line) <= 80 for line in repr(many).splitlines())
    with pytest.raises(jw.ArgumentError, match="`Seen` is of 4 steps, and has none at 4"):
        many[4]
    with pytest.raises(jw.ArgumentError, match="`Seen` is of one step, which has no number"):
        many[0][0]


def test_an_ensemble_by_vmap():
    both = jax.tree.map(lambda leaf: jnp.stack([leaf, 2 * leaf]), PARAMS)
    step = jax.vmap(jw.watch(fun, ADAM), (0, 0, None, None))
    _, _, seen = jax.jit(step)(both, jax.vmap(ADAM.init)(both), X, Y)
    twice = jax.tree.map(lambda leaf: 2 * leaf, PARAMS)
    _, _, alone = jax.jit(jw.watch(fun, ADAM))(twice, ADAM.init(twice), X, Y)
    close(seen[1], alone, 1e-4)


def test_what_is_no_array_passes_through():
    model = eqx.nn.MLP(3, 2, 4, 1, activation=jax.nn.relu, key=jax.random.key(0))
    loss = lambda model, x, y: jnp.mean((jw.tag(jax.vmap(model)(x), "result") - y) ** 2)
    state = ADAM.init(eqx.filter(model, eqx.is_inexact_array))
    moved, _, seen = eqx.filter_jit(jw.watch(loss, ADAM))(model, state, X, Y)
    assert moved.activation is model.activation
    assert list(seen.weights)[:2] == ["layers/0/weight", "layers/0/bias"]
    _, grads = eqx.filter_value_and_grad(loss)(model, X, Y)
    updates, _ = ADAM.update(grads, state)
    close(eqx.filter(moved, eqx.is_array), eqx.filter(eqx.apply_updates(model, updates), eqx.is_array))


# What is refused -----------------------------------------------------------------------------------------


def called(params=PARAMS, state=None, batch=(X, Y), fun=fun, optimizer=ADAM, **options):
    state = optimizer.init(PARAMS) if state is None else state
    return jw.watch(fun, optimizer, **options)(params, state, *batch)


FIT = "make it by `optimizer.init(params)`, of this optimizer and these params."
REFUSED = {
    "no optimizer": (
        lambda: jw.watch(fun, "adam"),
        "`optimizer` is 'adam', which is no gradient transformation of optax; give one, as `optax.adam(1e-3)`.",
    ),
    "every": (lambda: jw.watch(fun, ADAM, every=0), "`every` is 0; it must be an integer of at least 1."),
    "no count": (
        lambda: called(optimizer=optax.sgd(0.1), every=2),
        "`every` counts steps as `optimizer` does, but its state has no count; add one, as `optax.chain(optimizer,"
        " optax.scale_by_schedule(lambda count: 1.0))`, and make the state anew by its `init`.",
    ),
    "state of another": (
        lambda: called(state=optax.sgd(0.1).init(PARAMS)),
        "`opt_state` does not fit: at `0/count` it has nothing, and `optimizer` an array of shape (); " + FIT,
    ),
    "state of other params": (
        lambda: called(state=ADAM.init(PARAMS | {"up": jnp.ones((3, 5))})),
        "`opt_state` does not fit: at `0/mu/up` it has an array of shape (3, 5), and `optimizer` one of shape (3, 4); "
        + FIT,
    ),
    "integers": (
        lambda: called({"steps": jnp.arange(3)}),
        "`params` holds an array of int32, `steps`, which has no gradient; partition it out, and give it to `fun` as"
        " another argument or close over it.",
    ),
    "no array": (
        lambda: called({"name": "x"}),
        "`params` holds no floating array to train, but {'name': 'x'}; give the weights of the model.",
    ),
    "other arguments": (
        lambda: called(batch=(X,)),
        "`fun` takes (params, x, y), and was given 2 arguments; give it what it takes.",
    ),
    "no scalar": (
        lambda: called(fun=lambda params, x, y: x),
        "The loss must be a real scalar, but it has shape (8, 3); sum or mean it, or `jax.vmap` the walk for one walk"
        " per datum, or use `jw.vjp`.",
    ),
    "no scalar, nothing kept": (
        lambda: called(fun=lambda params, x, y: x, keep=None),
        "The loss must be a real scalar, but it has shape (8, 3); sum or mean it, or `jax.vmap` the walk for one walk"
        " per datum, or use `jw.vjp`.",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_one_sentence(name):
    attempt, sentence = REFUSED[name]
    with pytest.raises(jw.ArgumentError) as error:
        attempt()
    assert str(error.value) == sentence


def test_an_optimizer_with_the_count_that_the_error_names():
    optimizer = optax.chain(optax.sgd(0.1), optax.scale_by_schedule(lambda count: 1.0))
    params, seen = run(jax.jit(jw.watch(fun, optimizer, every=3)), optimizer, 4)
    assert [bool(one.is_seen) for one in seen] == [True, False, False, True]
    close(params, run(jax.jit(plain(optax.sgd(0.1))), optax.sgd(0.1), 4)[0])
