"""A second run reuses what the first compiled, and is never of a function, an optimizer or settings of before."""

import gc
import sys
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxwalk as jw
from jaxwalk._learn.step import programs
from jaxwalk._source.lifetime import KeptForFunctions

scale = 2.0
X = np.arange(6, dtype=np.float32).reshape(3, 2)


def loss(weights, x):
    return jnp.sum(jw.tag(x * weights, "h") ** 2) * scale


def sizes(output, delta):
    return {"delta_max": jnp.max(jnp.abs(delta))}


@pytest.fixture
def traced(monkeypatch):
    """Counts the steps that are traced; those of before are forgotten."""
    monkeypatch.setattr(programs, "_KEPT", KeptForFunctions())
    count, trace = [], programs.trace
    monkeypatch.setattr(programs, "trace", lambda step, *args: count.append(len(args[2])) or trace(step, *args))
    return count


def learn(fun=loss, weights=1.0, x=X, optimizer=None, **options):
    options = {"keep": sizes, "progress": False, **options}
    optimizer = optax.sgd(0.01) if optimizer is None else optimizer
    with jax.numpy_dtype_promotion("standard"):
        return jw.learn(fun, jnp.full(2, weights, x.dtype), [x], optimizer, **options)


def moved(weights, rate, x=X, factor=2.0):
    """The params after one step by hand."""
    return weights - rate * factor * 2 * weights * np.mean(x**2, axis=0)


def test_other_params_and_data_of_the_same_form(traced):
    for weights, x in ((1.0, X), (2.0, X), (2.0, X + 1)):
        np.testing.assert_allclose(learn(weights=weights, x=x).params, moved(weights, 0.01, x), rtol=1e-5)
    assert len(traced) == 1


def test_nothing_is_compiled_again(traced):
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, *_, **__: compiled.append(name) if "backend_compile" in name else None
    )
    first = learn(epochs=2)
    count = len(compiled)
    again = learn(epochs=2)
    assert count > 0
    assert len(compiled) == count
    np.testing.assert_array_equal(first.params, again.params)
    np.testing.assert_array_equal(first.history.kept["h"]["delta_max"], again.history.kept["h"]["delta_max"])


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (optax.sgd, [moved(1.0, 0.01), moved(1.0, 0.03)]),
        (lambda rate: optax.sgd(lambda count: rate), [moved(1.0, 0.01), moved(1.0, 0.03)]),
        (lambda rate: optax.sgd(jnp.float32(rate)), [moved(1.0, 0.01), moved(1.0, 0.03)]),
        (lambda rate: optax.chain(optax.scale(2.0), optax.sgd(rate)), [moved(1.0, 0.02), moved(1.0, 0.06)]),
        (lambda rate: optax.inject_hyperparams(optax.sgd)(learning_rate=rate), [moved(1.0, 0.01), moved(1.0, 0.03)]),
    ],
    ids=["sgd", "schedule", "array", "chain", "injected"],
)
def test_an_optimizer_of_other_hyperparameters_is_never_the_one_before(traced, make, expected):
    for rate, params in zip((0.01, 0.03), expected, strict=True):
        np.testing.assert_allclose(learn(optimizer=make(rate)).params, params, rtol=1e-5)


def test_an_optimizer_made_anew_is_told_apart_by_what_it_does(traced):
    for _ in range(2):
        learn(optimizer=optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-2)))
    assert len(traced) == 1
    learn(optimizer=optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-2, b1=0.8)))
    assert len(traced) == 2


class Halving:
    """A learning rate that somebody changes between two runs."""

    rate = 0.01

    def __call__(self, count):
        return self.rate


def test_a_schedule_with_a_state_of_its_own(traced):
    schedule = Halving()
    learn(optimizer=optax.sgd(schedule))
    schedule.rate = 0.03
    np.testing.assert_allclose(learn(optimizer=optax.sgd(schedule)).params, moved(1.0, 0.03), rtol=1e-5)


def test_a_global_that_changes(traced, monkeypatch):
    learn()
    monkeypatch.setattr(sys.modules[__name__], "scale", 4.0)
    np.testing.assert_allclose(learn().params, moved(1.0, 0.01, factor=4.0), rtol=1e-5)
    assert len(traced) == 2


def test_arrays_that_are_closed_over(traced):
    mine, theirs = np.ones(2, np.float32), jnp.ones(2)
    fun = lambda weights, x: loss(weights * mine * theirs, x)
    first = learn(fun).params
    np.testing.assert_allclose(first, moved(1.0, 0.01), rtol=1e-5)
    learn(fun)
    assert len(traced) == 1
    mine[:] = 3
    assert not np.allclose(learn(fun).params, first)
    theirs = theirs * 0
    np.testing.assert_allclose(learn(fun).params, 1.0)


def test_an_array_lives_no_longer_than_its_function(traced):
    def made(array):
        return lambda weights, x: loss(weights * array, x)

    array = jnp.ones(2)
    fun = made(array)
    learn(fun)
    died = weakref.ref(array)
    del fun, array
    gc.collect()
    assert died() is None
    np.testing.assert_allclose(learn(made(jnp.zeros(2))).params, 1.0)


def test_other_options_and_forms(traced):
    learn()
    calls = [
        lambda: learn(keep=lambda output, delta: {"n": jnp.sum(delta)}),
        lambda: learn(at="h"),
        lambda: learn(on_nonfinite="skip"),
        lambda: learn(x=X[:2]),
    ]
    for number, call in enumerate(calls, 2):
        call()
        assert len(traced) == number
    with jax.enable_x64(True):
        assert learn(x=X.astype(float)).params.dtype == np.float64
    np.testing.assert_allclose(learn().params, moved(1.0, 0.01), rtol=1e-5)


def test_short_batches_and_steps_that_do_not_look_have_programs_of_their_own(traced):
    run = lambda: jw.learn(loss, jnp.ones(2), [X, X, X[:1]], optax.sgd(0.01), keep=sizes, every=2, progress=False)
    with jax.numpy_dtype_promotion("standard"):
        first = run()
        assert len(traced) == 3
        np.testing.assert_array_equal(run().params, first.params)
    assert len(traced) == 3


def test_what_cannot_be_seen_to_be_the_same_is_traced_anew(traced):
    values = iter([1.0, 0.0])
    fun = lambda weights, x: loss(weights, x) * next(values)
    learn(fun)
    np.testing.assert_allclose(learn(fun).params, 1.0)


def test_the_runs_used_last_are_kept(traced, monkeypatch):
    monkeypatch.setattr(programs, "KEPT", 2)
    for rate, expected in ((0.1, 1), (0.2, 2), (0.1, 2), (0.3, 3), (0.1, 3), (0.2, 4)):
        learn(optimizer=optax.sgd(rate))
        assert len(traced) == expected


def test_a_state_whose_dtype_changes_is_compiled_as_it_comes(traced):
    init = lambda params: jnp.zeros((), jnp.float16)
    update = lambda updates, state, params=None: (updates, state.astype(jnp.float32) + 1)
    found = learn(optimizer=optax.GradientTransformation(init, update), epochs=3)
    assert found.opt_state == 3
    assert found.opt_state.dtype == jnp.float32


def test_held_out_data_have_programs_that_are_reused(monkeypatch):
    from jaxwalk._evaluate import programs as of_evaluate

    monkeypatch.setattr(of_evaluate, "_KEPT", KeptForFunctions())
    count, step_of = [], of_evaluate.step_of
    monkeypatch.setattr(of_evaluate, "step_of", lambda task: count.append(task) or step_of(task))
    found = [learn(evaluate=[X], epochs=2, keep=None).history.evaluations[1].loss for _ in range(2)]
    assert found[0] == found[1]
    assert len(count) == 1
