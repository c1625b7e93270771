"""`jw.learn`: the trained params are those of a loop by hand; what it tells, where it stops, and bad input."""

import signal

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxwalk as jw

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(10, 3)).astype(np.float32), RNG.normal(size=(10, 2)).astype(np.float32)
BATCHES = [(X[i : i + 4], Y[i : i + 4]) for i in range(0, 10, 4)]  # the last one is shorter
PARAMS = {"a": RNG.normal(size=(3, 2)).astype(np.float32)}
SGD = optax.sgd(0.1)


@pytest.fixture(autouse=True)
def promotion_as_optax_needs_it():
    with jax.numpy_dtype_promotion("standard"):
        yield


def fun(params, x, y):
    with jax.named_scope("enc"):
        h = jnp.tanh(x @ params["a"])
    return jnp.mean((jw.tag(2 * h, "out") - y) ** 2)


def scanned(params, x, y):
    h, _ = jax.lax.scan(lambda h, w: (jw.tag(jnp.tanh(h @ w), "h"), None), x @ params["a"], params["s"])
    return jnp.mean((h - y) ** 2)


SCANNED = {**PARAMS, "s": RNG.normal(size=(2, 2, 2)).astype(np.float32)}


def sizes(output, delta):
    """A small `keep`, which compiles in no time."""
    counts = {"delta_nan": jnp.isnan(delta).sum(), "output_nan": jnp.isnan(output).sum()}
    return {"output_l2": jnp.linalg.norm(jnp.ravel(output)), "delta_l2": jnp.linalg.norm(jnp.ravel(delta)), **counts}


def learn(fun=fun, params=PARAMS, batches=BATCHES, optimizer=SGD, **options):
    return jw.learn(fun, params, batches, optimizer, **{"keep": sizes, "progress": False, **options})


def by_hand(optimizer, epochs, batches=BATCHES, fun=fun, params=PARAMS):
    @jax.jit
    def step(params, state, *batch):
        mean = lambda params: jnp.mean(jax.vmap(fun, (None, *[0] * len(batch)))(params, *batch))
        loss, grads = jax.value_and_grad(mean)(params)
        updates, state = optimizer.update(grads, state, params, value=loss)
        return optax.apply_updates(params, updates), state, loss

    optimizer = optax.with_extra_args_support(optimizer)
    state, losses = optimizer.init(params), []
    for _ in range(epochs):
        for batch in batches:
            params, state, loss = step(params, state, *batch)
            losses.append(float(loss))
    return params, state, losses


def close(a, b):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), a, b)


@pytest.mark.parametrize(
    "optimizer",
    [optax.adam(1e-2), optax.MultiSteps(SGD, 2), optax.chain(optax.ema(0.9), SGD)],
    ids=["adam", "MultiSteps", "ema"],
)
def test_params_state_and_losses_are_those_of_a_loop_by_hand(optimizer):
    params, state, losses = by_hand(optimizer, 2)
    found = learn(optimizer=optimizer, epochs=2)
    close(found.params, params)
    close(jax.tree.leaves(found.opt_state), jax.tree.leaves(state))
    assert jax.tree.structure(found.opt_state) == jax.tree.structure(state)
    close(found.history.loss, losses)
    assert found.history.total == 6


def test_without_watching_the_params_are_the_same():
    close(learn(epochs=2, keep=None).params, learn(epochs=2).params)


def test_what_is_kept_is_that_of_a_walk_of_the_whole_batch():
    """δ carries the 1/n of the mean, and the axis of the batch."""
    mean = lambda params, *batch: jnp.mean(jax.vmap(fun, (None, 0, 0))(params, *batch))
    walk = jw.walk(mean)(PARAMS, *BATCHES[0])
    history = learn(batches=BATCHES[:1]).history
    assert history.points["enc"].shape == (4, 2)
    for name in ("enc", "out"):
        close(history.kept[name]["delta_l2"][0], np.linalg.norm(walk.deltas[name]))
        close(history.kept[name]["output_l2"][0], np.linalg.norm(walk.outputs[name]))
    close(history.weights["a"]["weight_l2"][0], np.linalg.norm(PARAMS["a"]))


def test_in_a_scan_each_layer_is_kept_and_logged():
    told = []
    found = learn(scanned, SCANNED, BATCHES[:1], log=lambda step, numbers: told.append(numbers))
    mean = lambda params, *batch: jnp.mean(jax.vmap(scanned, (None, 0, 0))(params, *batch))
    deltas = jw.walk(mean)(SCANNED, *BATCHES[0]).deltas["h"]
    sizes = np.linalg.norm(deltas.reshape(2, -1), axis=1)
    close(found.history.kept["h"]["delta_l2"], sizes[None])
    close(np.array([told[0]["h/0/delta_l2"], told[0]["h/1/delta_l2"]]), sizes)
    assert "h[1]" in repr(found)


@pytest.mark.parametrize("by", ["tags", "scopes", "lines"])
def test_points_have_the_names_that_they_have_for_one_datum(by):
    history = learn(batches=BATCHES[:1], by=by).history
    assert list(history.points) == list(jw.points(fun, PARAMS, X[0], Y[0], by=by))


def test_every_looks_at_each_kth_step_and_trains_the_same():
    found = learn(epochs=3, every=4)
    assert found.history.steps.tolist() == [0, 4, 8]
    assert found.history.total == 9
    assert found.history.stride == 4
    assert found.history.notes == ("With `every=4`, one step in 4 was looked at.",)
    close(found.params, learn(epochs=3).params)


def test_the_arguments_stay_usable():
    params = jax.tree.map(jnp.array, PARAMS)
    learn(params=params)
    close(params, PARAMS)


def test_held_out_data_are_evaluated_at_the_end_of_each_epoch():
    told = {}
    history = learn(
        epochs=2, evaluate=BATCHES, keep=None, log=lambda step, numbers: told.setdefault(step, numbers)
    ).history
    params, _, _ = by_hand(SGD, 2)
    assert [(e.epoch, e.step) for e in history.evaluations] == [(0, 3), (1, 6)]
    close(history.evaluations[1].loss, np.mean(jax.vmap(fun, (None, 0, 0))(params, X, Y)))
    assert "Held-out loss" in repr(history)
    assert told[6] == {"evaluate/loss": history.evaluations[1].loss}


def test_batches_by_epoch():
    asked = []
    give = lambda epoch: asked.append(epoch) or iter(BATCHES[:2])
    found = learn(batches=give, epochs=2)
    assert asked == [0, 1]
    close(found.params, by_hand(SGD, 2, BATCHES[:2])[0])


def test_log_is_told_the_numbers_of_each_step():
    told = []
    log = lambda *both: told.append(both)
    history = learn(batches=BATCHES[:2], log=log).history
    assert [step for step, _ in told] == [0, 1]
    numbers = told[1][1]
    close(numbers["loss"], history.loss[1])
    close(numbers["out/delta_l2"], history.kept["out"]["delta_l2"][1])
    close(numbers["weights/a/update_l2"], history.weights["a"]["update_l2"][1])
    assert numbers["data/s"] > 0
    assert all(type(number) is float for number in numbers.values())


# Where it stops ------------------------------------------------------------------------------------------------


def broken(bad=2, value=np.nan):
    x = X.copy()
    x[4 * bad + 1] = value
    return [(x[i : i + 4], Y[i : i + 4]) for i in range(0, 10, 4)]


def test_a_loss_that_is_not_finite_stops_before_its_step():
    with pytest.raises(jw.NonfiniteError) as caught:
        learn(batches=broken(1), epochs=2)
    said = str(caught.value)
    assert said.startswith(
        "In step 1 (epoch 0) the loss is nan, first met as NaN in the output of `enc`, test_learn.py:"
    )
    assert "in the loss of datum 1 of the batch" in said
    assert "`jw.bisect_nonfinite(fun, params, *datum)`" in said
    close(caught.value.learned.params, by_hand(SGD, 1, BATCHES[:1])[0])
    assert caught.value.learned.history.total == 1
    assert np.isnan(caught.value.batch[0][1]).all()


def test_nan_in_the_first_step():
    with pytest.raises(jw.NonfiniteError, match="In step 0") as caught:
        learn(batches=broken(0))
    close(caught.value.learned.params, PARAMS)
    assert caught.value.learned.history.total == 0
    assert repr(caught.value.learned.history)


def test_a_loss_that_is_not_finite_where_all_points_are():
    with pytest.raises(jw.NonfiniteError) as caught:
        learn(lambda w, x: jw.tag(x @ w, "y") / 0.0, jnp.ones(3), [X[:2]])
    said = "of data 0, 1 of the batch, while the outputs of all points that are watched are finite; the params"
    assert said in str(caught.value)


def test_several_processes_are_refused(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(jw.ArgumentError) as caught:
        learn()
    assert str(caught.value) == (
        "`learn` trains in one process, and JAX runs in 2 (`jax.process_count()`); take the steps of `jw.watch`, which"
        " run in several, in a loop of your own."
    )


class Loader:
    """Batches that can be gone through again, and count how often they are."""

    def __init__(self, batches):
        self.batches, self.times = batches, 0

    def __iter__(self):
        self.times += 1
        return iter(self.batches)


@pytest.mark.parametrize("form", [list, iter, Loader, lambda given: lambda epoch: iter(given)])
def test_wrong_held_out_data_are_refused_before_anything_is_learned(form):
    told = []
    with pytest.raises(jw.ArgumentError, match="; for `evaluate`, `learn` gave `fun`"):
        learn(evaluate=form([(X[:, :2], Y)]), log=lambda *both: told.append(both))
    assert not told


def test_held_out_data_that_are_looked_at_first_are_not_lost():
    asked, loader = [], Loader(BATCHES)
    by_epoch = lambda epoch: asked.append(epoch) or iter(BATCHES[epoch:])
    losses = lambda given, **options: [e.loss for e in learn(evaluate=given, keep=None, **options).history.evaluations]
    assert losses(iter(BATCHES)) == losses(BATCHES)
    assert losses(loader, epochs=2) == losses(BATCHES, epochs=2)
    assert loader.times == 2
    assert losses(by_epoch, epochs=2) == [losses(BATCHES)[0], losses(BATCHES[1:], epochs=2)[1]]
    assert asked == [0, 1]
    same = Loader(BATCHES)  # the very data that are learned from are not gone through beside that
    assert losses(same, batches=same) == losses(BATCHES)


def only_backward(weights, x):
    root = jw.tag(jnp.sqrt(jnp.abs(jw.tag(x * weights, "scaled"))), "root")
    return jnp.sum(jnp.where(x > 0, root, 0.0))


def test_a_gradient_that_is_not_finite_stops_too():
    with pytest.raises(jw.NonfiniteError) as caught:
        learn(only_backward, jnp.ones(2), [(np.array([[1.0, 0.0]], np.float32),)])
    said = "In step 0 (epoch 0) a gradient is not finite, though the loss is, first met as NaN in δ of `scaled`"
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize("value", [np.nan, 1e30])
def test_skip_leaves_such_a_step_out(value):
    batches = broken(1)
    found = learn(batches=batches, epochs=2, on_nonfinite="skip")
    close(found.params, by_hand(SGD, 2, [BATCHES[0], BATCHES[2]])[0])
    assert found.history.total == 6
    assert found.history.notes == (
        "2 steps had a loss or a gradient that is not finite, and were left out; the first is step 1.",
    )


def test_ignore_goes_on():
    found = learn(batches=broken(1), on_nonfinite="ignore")
    assert np.isnan(found.params["a"]).all()
    assert np.isnan(found.history.loss).tolist() == [False, True, True]
    assert "2 steps had" in found.history.notes[0]
    assert "taken as they are" in found.history.notes[0]


def failing(batches):
    yield from batches
    raise OSError("the disk is gone")


def test_what_was_done_is_in_an_error_of_the_batches():
    with pytest.raises(OSError, match="the disk is gone") as caught:
        learn(batches=failing(BATCHES))
    close(caught.value.learned.params, by_hand(SGD, 1)[0])
    assert caught.value.__notes__ == ["`learn` had done 3 steps: see `learned` of this error."]


def test_what_was_done_is_in_an_error_of_log():
    def log(step, numbers):
        if step == 1:
            raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more") as caught:
        learn(log=log)
    learned = caught.value.learned
    close(learned.params, by_hand(SGD, 1, BATCHES[: learned.history.total])[0])


def test_ctrl_c_ends_it_between_two_steps():
    def log(step, numbers):
        if step == 1:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as caught:
        learn(log=log, epochs=5)
    learned = caught.value.learned
    assert learned.history.total < 15
    close(learned.params, by_hand(SGD, 1, (BATCHES * 5)[: learned.history.total])[0])


def test_too_many_steps_are_thinned_and_nan_between_is_seen(monkeypatch):
    monkeypatch.setattr("jaxwalk._learn.loop.records.FEWEST", 4)
    monkeypatch.setattr("jaxwalk._learn.loop.records.BUDGET", 0)
    found = learn(batches=BATCHES[:2], epochs=5)
    assert found.history.steps.tolist() == [0, 4, 8, 9]
    assert found.history.stride == 4
    assert found.history.notes == ("There were too many steps to hold all: of those looked at, one in 4 is here.",)
    batches = lambda epoch: BATCHES[:2] if epoch < 4 else broken(1)
    with pytest.raises(jw.NonfiniteError, match="In step 9 "):
        learn(batches=batches, epochs=5)


def test_what_is_wrong_is_found_and_said_once():
    layer = lambda h, w: (jw.tag(jax.nn.sigmoid(w * h), "layer"), None)
    deep = lambda params, x: jnp.sum(jax.lax.scan(layer, x, params)[0])
    history = learn(deep, jnp.ones(12), [X[:4]] * 16).history
    assert [finding.name for finding in history.findings].count("vanishing") == 1
    assert history.findings.named("vanishing")[0].point == "layer"
    assert "vanishing: ‖δ‖ falls by a factor of" in repr(history)


# Bad input -----------------------------------------------------------------------------------------------------

LINEAR = lambda weights, x: jw.tag(x @ weights, "y") ** 2
ROWS = [np.ones((2, 3), np.float32)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"epochs": 0}, "`epochs` is 0; it must be an integer of at least 1."),
        ({"every": 0}, "`every` is 0; it must be an integer of at least 1."),
        ({"on_nonfinite": "halt"}, '`on_nonfinite` is \'halt\'; it must be "stop", "skip"'),
        ({"log": 3}, "`log` is 3; it must be a function (step, {name: number}), or None."),
        ({"optimizer": 0.1}, "`optimizer` is 0.1; give one of optax, such as `optax.adam(1e-3)`."),
        ({"fun": None}, "`fun` is None; it must be the loss of one datum, a function."),
        ({"params": {"w": np.arange(3)}}, "`params` holds an array of dtype int64 at `params['w']`, which no gradient"),
        ({"params": {"w": np.ones(3, np.longdouble)}}, "at `params['w']`, which JAX does not have; give one that it"),
        ({"params": {"w": jnp.sin}}, "at `params['w']`, which no gradient moves; give arrays of floats alone"),
        ({"params": {}}, "`params` is {}, which holds no array; there is nothing to learn."),
        ({"batches": []}, "`batches` is empty; give at least one batch."),
        (
            {"batches": iter(BATCHES), "epochs": 2},
            "which can be gone through once, and `epochs` is 2; give what can be",
        ),
        ({"evaluate": iter(BATCHES), "epochs": 2}, "`evaluate` is a list_iterator, which can be gone through once"),
        ({"evaluate": []}, "`evaluate` is empty; give at least one batch."),
        ({"batches": lambda: BATCHES}, "`batches` is a function that does not take one number; give one from the"),
        ({"batches": lambda epoch: BATCHES[epoch:] * (epoch < 1), "epochs": 2}, "`batches` has no batch in epoch 1"),
        ({"batches": [BATCHES[0], (X[:4], Y[:4, :1])]}, "has rows of shape (1,) at `batch[1]`, and the first had (2,)"),
        ({"batches": BATCHES[::-1]}, "Batch 1 of `batches` has 4 rows, and the first had 2"),
        ({"batches": [BATCHES[0], (X[:0], Y[:0])]}, "Batch 1 of `batches` has no rows, so that it has no mean loss"),
        ({"batches": ROWS}, "`fun` is given 1 argument after `params`, and takes 2"),
        ({"fun": lambda w, x, y: w["a"]}, "The loss of one datum must be a real scalar, but it has shape (3, 2)"),
        ({"fun": lambda w, x, y: (w["a"].sum(), 1)}, "must be a real scalar, but `fun` returns a tuple"),
        ({"fun": lambda w, x, y: 1j * w["a"].sum()}, "must be a real scalar, but its dtype is complex64"),
        (
            {"keep": lambda output, delta: output},
            "`keep` returns other arrays for a batch of 2 data than for the first",
        ),
        ({"params": jax.eval_shape(lambda: PARAMS)}, "`params` holds a ShapeDtypeStruct at `params['a']`"),
        ({"params": {"w": np.array([None])}}, "`params` holds an array of dtype object at `params['w']`"),
        ({"epochs": -1}, "`epochs` is -1; it must be an integer of at least 1."),
        ({"epochs": 1.5}, "`epochs` is 1.5; it must be an integer of at least 1."),
        (
            {"optimizer": optax.sgd},
            "`optimizer` is the function `sgd`; give one of optax, such as `optax.adam(1e-3)`, w",
        ),
        (
            {"optimizer": optax.masked(SGD, {"z": True})},
            "`optimizer` fails on these `params`: ValueError: pytree structure error: different",
        ),
        ({"optimizer": optax.sgd("0.1")}, "`optimizer` fails on these `params`: TypeError: "),
        ({"log": lambda: None}, "`log` must take (step, numbers), and what it takes is (); give a function of these"),
        ({"batches": lambda epoch: None}, "`batches(0)` is None, which cannot be iterated over; return an iterable"),
        ({"batches": [()]}, "The first of `batches` is (), which holds no array; give pytrees of arrays"),
        ({"batches": [(X[:0], Y[:0])]}, "The first of `batches` has no rows"),
        ({"batches": [(X[:4], Y[:3])]}, "Batch 0 of `batches` has 4 rows at `batch[0]` and 3 at `batch[1]`"),
        ({"batches": [BATCHES[0], (X[:4], Y[:3])]}, "Batch 1 of `batches` has 4 rows at `batch[0]` and 3"),
        ({"batches": X}, "Batch 0 of `batches` is one array, so `fun` is given 1 argument after `params`, and takes 2"),
        ({"evaluate": True}, "`evaluate` is True, which cannot be iterated over; give pytrees of arrays"),
        ({"evaluate": lambda epoch: 0.5}, "`evaluate(0)` is 0.5, which cannot be iterated over; return an iterable"),
        ({"evaluate": [X]}, "Batch 0 of `evaluate` is one array, so `fun` is given 1 argument after `params`"),
        ({"evaluate": [(X[:, :2], Y)]}, "; for `evaluate`, `learn` gave `fun` `params` of ['a'] float32[3, 2] and one"),
        ({"out": 3}, "`out` is 3; give the path of a directory."),
        ({"resume": True}, "`resume=True` goes on with what is in `out`, but no `out` is given; name the directory."),
        ({"at": "nowhere"}, "`at='nowhere'` matches no point."),
        ({"by": "names"}, "`by`"),
    ],
)
def test_bad_input(options, said):
    with pytest.raises(jw.JaxwalkError) as caught:
        learn(**options)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_it_cannot_be_traced():
    with pytest.raises(jw.ArgumentError, match="`learn` goes through data now and cannot be traced"):
        jax.jit(lambda params: learn(params=params).params)(PARAMS)


# Data and params of all kinds ----------------------------------------------------------------------------------


def test_bfloat16_params_and_a_batch_of_one_array():
    found = learn(LINEAR, jnp.ones(3, jnp.bfloat16), [np.ones((2, 3), jnp.bfloat16)] * 2)
    assert found.params.dtype == jnp.bfloat16
    assert found.history.total == 2


def test_python_numbers_as_params():
    found = learn(lambda w, x: (jw.tag(w * x, "y") - 1.0) ** 2, 0.0, [np.ones(2, np.float32)], epochs=2)
    assert np.isclose(found.params, 0.36)


def test_random_keys_among_the_data():
    noise = lambda w, x, key: (jw.tag(w * (x + jax.random.normal(key)), "y")) ** 2
    batch = (np.ones(2, np.float32), jax.random.split(jax.random.key(0), 2))
    assert learn(noise, jnp.float32(1.0), [batch]).history.total == 1
