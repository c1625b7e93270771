"""A second evaluation reuses what the first compiled, and is never of a function, a statistic or settings of before."""

import gc
import sys
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxwalk as jw
from jaxwalk import _depth
from jaxwalk._evaluate import programs
from jaxwalk._source.lifetime import KeptForFunctions

scale = 2.0
X = np.arange(6, dtype=np.float32).reshape(3, 2)


def loss(weights, x):
    return jnp.sum(jw.tag(x * weights, "h") ** 2) * scale


def activated(params, x):
    return jnp.sum(jw.tag(params["act"](x * params["w"]), "h"))


class Model:
    def __init__(self, factor):
        self.factor = factor

    def loss(self, weights, x):
        return jnp.sum(jw.tag(x * weights * self.factor, "h"))


@pytest.fixture
def built(monkeypatch):
    """Counts the programs that are built; those of before are forgotten."""
    monkeypatch.setattr(programs, "_KEPT", KeptForFunctions())
    count, step_of = [], programs.step_of
    monkeypatch.setattr(programs, "step_of", lambda task: count.append(task) or step_of(task))
    return count


def evaluate(fun, weights=1.0, x=X, keep=None, **options):
    return jw.evaluate(fun, jnp.asarray(weights, x.dtype), [x], keep=keep, progress=False, **options)


def test_other_params_and_data_of_the_same_form(built):
    found = [evaluate(loss, weights, x).loss for weights, x in ((1.0, X), (2.0, X), (2.0, X + 1))]
    assert len(built) == 1
    np.testing.assert_allclose(found, [2 * np.mean(np.sum((w * x) ** 2, 1)) for w, x in ((1, X), (2, X), (2, X + 1))])


def test_it_is_compiled_once(built):
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, *_, **__: compiled.append(name) if "backend_compile" in name else None
    )
    evaluate(loss, keep=jw.stats.norms)
    first = len(compiled)
    evaluate(loss, 3.0, keep=jw.stats.norms)
    assert first > 0
    assert len(compiled) == first


def test_a_global_that_changes(built, monkeypatch):
    before = evaluate(loss).loss
    monkeypatch.setattr(sys.modules[__name__], "scale", 4.0)
    assert evaluate(loss).loss == 2 * before
    assert len(built) == 2


def test_an_array_that_is_closed_over(built):
    mine, theirs = np.ones(2, np.float32), jnp.ones(2)
    fun = lambda weights, x: jnp.sum(jw.tag(x * weights, "h") * mine * theirs)
    before = evaluate(fun).loss
    mine[:] = 3
    assert evaluate(fun).loss == 3 * before
    theirs = theirs * 5
    assert evaluate(fun).loss == 15 * before


def test_functions_made_anew_are_told_apart_by_what_they_do(built):
    for _ in range(3):
        evaluate(lambda weights, x: loss(weights, x), keep=lambda output, delta: jnp.max(delta))
    assert len(built) == 1
    closing_over = lambda factor: lambda weights, x: loss(weights, x) * factor
    first, second = (evaluate(closing_over(factor)).loss for factor in (1.0, 2.0))
    assert second == 2 * first


def test_a_method_and_its_object(built):
    model = Model(1.0)
    before = evaluate(model.loss).loss
    assert evaluate(model.loss).loss == before
    assert len(built) == 1
    model.factor = 2.0
    assert evaluate(model.loss).loss == 2 * before
    assert len(programs._KEPT) == 1
    del model, built[:]
    gc.collect()
    assert len(programs._KEPT) == 0


def test_a_function_among_the_params(built):
    found = [
        jw.evaluate(activated, {"w": jnp.float32(w), "act": act}, [X], keep=None, progress=False).loss
        for act, w in ((jnp.sin, 1.0), (jnp.sin, 2.0), (jnp.cos, 2.0))
    ]
    assert len(built) == 2
    expected = [np.sin(X), np.sin(2 * X), np.cos(2 * X)]
    np.testing.assert_allclose(found, [np.mean(np.sum(each, 1)) for each in expected], rtol=1e-5)


def test_other_options_and_forms(built):
    first = evaluate(loss)
    calls = [
        lambda: evaluate(loss, top=2),
        lambda: evaluate(loss, keep=jw.stats.norms),
        lambda: evaluate(loss, x=X[:2]),
        lambda: evaluate(loss, x=np.ones((3, 4), np.float32)),
        lambda: evaluate(loss, by="tags"),
        lambda: evaluate(loss, at="h"),
        lambda: evaluate(loss, mesh=jax.sharding.Mesh(jax.devices()[:1], ("data",))),
    ]
    for number, call in enumerate(calls, 2):
        call()
        assert len(built) == number
    for call in calls[:2]:
        call()
    assert len(built) == len(calls) + 1
    with jax.enable_x64(True):
        assert evaluate(loss, x=X.astype(float)).points["h"].dtype == np.float64
    assert evaluate(loss).loss == first.loss


def test_the_settings_by_which_jax_traces(built):
    fun = lambda weights, x: jnp.sum(jw.tag(weights * jnp.ones(()), "h") * x)
    evaluate(fun)
    with jax.default_matmul_precision("float32"):
        evaluate(fun)
    assert len(built) == 2


def test_what_cannot_be_seen_to_be_the_same_is_built_anew(built):
    values = iter([1.0, 2.0])
    fun = lambda weights, x: jnp.sum(jw.tag(weights * x, "h")) * next(values)
    first, second = evaluate(fun).loss, evaluate(fun).loss
    assert second == 2 * first
    assert len(built) == 2


def test_an_evaluator_takes_the_function_as_it_was(built, monkeypatch):
    values = iter([1.0, 2.0])
    fun = lambda weights, x: jnp.sum(jw.tag(weights * x, "h")) * next(values)
    run = jw.evaluator(fun, keep=jw.stats.norms, top=1)
    first = run(jnp.float32(1), [X], progress=False)
    again = run(jnp.float32(3), [X], progress=False)
    assert len(built) == 1
    assert again.loss == 3 * first.loss
    assert len(again.culprits) == 1
    run(jnp.ones(2), [X, X[:1]], progress=False)
    assert len(built) == 2


def test_an_evaluator_writes_and_resumes(built, tmp_path):
    pytest.importorskip("pyarrow")
    run = jw.evaluator(loss, keep=None)
    one = run(jnp.float32(1), [X], out=tmp_path / "rows", progress=False)
    again = run(jnp.float32(1), [X], out=tmp_path / "rows", resume=True, progress=False)
    assert (one.count, one.loss) == (again.count, again.loss)
    with pytest.raises(jw.StoreError, match="params"):
        run(jnp.float32(2), [X], out=tmp_path / "rows", resume=True, progress=False)
    with pytest.raises(jw.ArgumentError, match="`out`"):
        run(jnp.float32(2), [X], resume=True)


def test_bad_options_are_refused_before_there_are_data():
    with pytest.raises(jw.ArgumentError, match="`top`"):
        jw.evaluator(loss, top=0)
    with pytest.raises(jw.ArgumentError, match="`by`"):
        jw.evaluator(loss, by="words")


def test_arrays_that_are_closed_over_live_no_longer_than_their_function(built):
    array = jnp.ones(2)

    def made(array):
        return lambda weights, x: jnp.sum(jw.tag(weights * x, "h") * array)

    fun = made(array)
    evaluate(fun)
    evaluate(fun)
    assert len(built) == 1
    died = weakref.ref(array)
    del built[:], array, fun
    gc.collect()
    assert died() is None
    evaluate(made(jnp.full(2, 2.0)))


def test_the_programs_used_last_are_kept(built, monkeypatch):
    monkeypatch.setattr(programs, "KEPT", 2)
    for rows, expected in ((1, 1), (2, 2), (1, 2), (3, 3), (1, 3), (2, 4)):
        evaluate(loss, x=np.ones((rows, 1), np.float32))
        assert len(built) == expected


@pytest.mark.once
def test_small_batches_are_joined_where_that_is_not_seen_and_takes_no_memory(built, monkeypatch):
    seen = []

    def watched(weights, x):
        jax.debug.callback(lambda x: seen.append(x.tolist()), x)
        return loss(weights, x)

    evaluate(loss)
    evaluate(watched)
    jax.effects_barrier()
    assert sorted(seen) == X.tolist()
    monkeypatch.setattr(programs, "JOINED_BYTES", 400)
    evaluate(lambda weights, x: loss(weights, x) + jnp.sum(jnp.sin(x)))
    monkeypatch.setattr(programs, "JOINED", 3)
    evaluate(lambda weights, x: loss(weights, x) * 2)
    assert [task.rows for task in built] == [63, 3, 6, 3]


def nested(depth):
    inner = jnp.sin if depth == 0 else nested(depth - 1)
    return jax.jit(lambda x: jw.tag(inner(x), f"layer{depth}"))


@pytest.mark.once
def test_calls_that_are_nested_too_deeply(monkeypatch):
    monkeypatch.setattr(_depth, "TIMES", 1)
    with pytest.raises(
        jw.ArgumentError, match=r"`fun` nests calls, as of `jax.jit`.*`sys.setrecursionlimit`, nest fewer"
    ):
        jw.evaluate(lambda w, x: jnp.sum(nested(150)(w * x)), 1.0, [np.ones((2, 2), np.float32)], progress=False)
