"""What `jw.health` is given: walks, evaluations, histories, steps; and what it says of what it cannot look at."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from trainings import Training

import jaxwalk as jw
from jaxwalk._learn.to_signals import signals_of

pytestmark = pytest.mark.once


def loss(weights, x):
    def layer(x, w):
        return jw.tag(jnp.tanh(x @ w), "layer"), None

    return jnp.mean(jw.tag(jax.lax.scan(layer, x, weights)[0], "out") ** 2)


WEIGHTS = np.random.default_rng(0).normal(size=(4, 3, 3)).astype(np.float32) * 0.5
X = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)


def test_a_walk_with_arrays_tells_what_its_arrays_are():
    walk = jw.walk(loss, argnums=0)(WEIGHTS, X)
    kept = signals_of(walk).kept["layer"]
    for side, arrays in (("output", walk.outputs["layer"]), ("delta", walk.deltas["layer"])):
        values = np.asarray(arrays, np.float64).reshape(4, -1)
        expected = {
            "l2": np.linalg.norm(values, axis=1), "rms": np.sqrt((values**2).mean(1)), "mean": values.mean(1),
            "std": values.std(1), "max": np.abs(values).max(1), "zeros": (values == 0).mean(1),
            "nan": np.zeros(4), "inf": np.zeros(4),
        }  # fmt: skip
        for key, value in expected.items():
            np.testing.assert_allclose(kept[f"{side}_{key}"], value[None], rtol=1e-12)
    (gradient,) = signals_of(walk).weights.values()
    np.testing.assert_allclose(gradient["gradient_l2"], [np.linalg.norm(walk.grads)], rtol=1e-6)


def test_arrays_and_statistics_give_the_same_numbers():
    plain, kept = (signals_of(jw.walk(loss, keep=keep)(WEIGHTS, X)).kept for keep in (None, jw.stats.health))
    for name in ("layer", "out"):
        for key in plain[name].keys() & kept[name].keys():
            np.testing.assert_allclose(plain[name][key], kept[name][key], rtol=1e-4, atol=1e-7)


def test_many_walks_are_one():
    """With `vmap`: ‖δ‖ is the mean of the walks, as over the data of an evaluation, and counts are added."""
    data = np.stack([X, 2 * X, 3 * X])
    walks = jax.vmap(jw.walk(loss), (None, 0))(WEIGHTS, data)
    found = signals_of(walks)
    norms = [np.linalg.norm(np.asarray(walks.deltas["out"][i], np.float64)) for i in range(3)]
    np.testing.assert_allclose(found.kept["out"]["delta_l2"], [np.mean(norms)], rtol=1e-6)
    assert found.runs == 3
    data[2, 0, 0] = np.nan
    found = signals_of(jax.vmap(jw.walk(loss), (None, 0))(WEIGHTS, data))
    assert found.data == (2,)
    assert found.kept["out"]["output_nan"] == [3]


def test_an_evaluation_tells_which_data_are_not_finite():
    def per_datum(weights, x, y):
        return jnp.sum((jw.tag(jnp.sqrt(x @ weights), "root") - y) ** 2)

    x = np.ones((6, 2), np.float32)
    x[4] = -1
    found = jw.evaluate(per_datum, np.ones(2, np.float32), [(x, np.ones(6, np.float32))], keep=jw.stats.health)
    (finding,) = jw.health(found)
    assert (finding.name, finding.point, finding.data) == ("nonfinite", "root", (4,))
    assert finding.meaning == "The first NaN is met in the output of `root`, 1 entry. Of datum 4."


def test_an_evaluation_of_norms_says_what_it_does_not_hold():
    def per_datum(weights, x, y):
        return jnp.sum((jw.tag(x @ weights, "out") - y) ** 2)

    batch = np.ones((6, 2), np.float32), np.ones(6, np.float32)
    found = jw.health(jw.evaluate(per_datum, np.ones(2, np.float32), [batch], keep=jw.stats.norms))
    assert found == ()
    assert found.notes == (
        "`zero` was not looked for: no point has `output_zeros`; `keep=jw.stats.health` keeps it.",
        "`dead`, `saturated` were not looked for: nothing is known of activations and their units;"
        " `keep=jw.stats.health` looks at them.",
        "`update`, `stalled` were not looked for: that takes a training, as `jw.watch` and `jw.learn` see it.",
    )


def test_what_is_no_result_by_name_is_said():
    walk = jw.walk(loss, keep=lambda output, delta: jnp.sum(delta))(WEIGHTS, X)
    notes = jw.health(walk).notes
    assert notes[0] == "At 2 points `keep` made no results by name, as `jw.stats.health` does: not looked at."


def test_steps_of_a_scan_are_a_training():
    optimizer = optax.sgd(0.0)
    step = jw.watch(loss, optimizer)

    @jax.jit
    def train(weights, batches):
        def one(carry, x):
            *carry, seen = step(*carry, x)
            return tuple(carry), seen

        return jax.lax.scan(one, (weights, optimizer.init(weights)), batches)[1]

    seen = train(jnp.asarray(WEIGHTS), jnp.broadcast_to(X, (50, *X.shape)))
    assert [f.name for f in jw.health(seen)] == ["update", "stalled"]
    one = jax.tree.map(lambda leaf: leaf[0], seen)
    assert jw.health(one) == ()
    history = Training(loss, optimizer).history(jnp.asarray(WEIGHTS), 50 * [(X,)])
    assert [(f.name, f.steps) for f in jw.health(history)] == [("update", (0, 49)), ("stalled", (0, 49))]


def test_what_is_none_of_these():
    with pytest.raises(jw.ArgumentError) as error:
        jw.health(3.0)  # type: ignore
    assert str(error.value) == (
        "`result` is 3.0; give a `Walk`, an `Evaluation`, what `jw.learn` returns, a `Seen`, or a list of these."
    )
    with pytest.raises(jw.ArgumentError) as error:
        jax.jit(lambda w: jw.health(jw.walk(loss)(w, X)) and w)(WEIGHTS)
    assert str(error.value) == ("The `result` is being traced; call `jw.health` outside of `jit`, on what it returns.")
    with pytest.raises(jw.ArgumentError) as error:
        jw.health(jw.walk(loss)(WEIGHTS, X), dead=3)
    assert str(error.value).startswith("`dead` is 3, but it is a rule; False leaves it out, and its thresholds are")


def test_independent_steps_and_parallel_points_are_no_layers():
    """The δ of `lax.map` and of heads side by side may be of any sizes."""

    def fun(x):
        mapped = jax.lax.map(lambda v: jw.tag(v * v, "mapped"), x)
        heads = [jw.tag(x[i] * 10.0 ** (2 * i), f"head/{i}") for i in range(4)]
        return jnp.sum(mapped * 10.0 ** jnp.arange(6.0)[:, None]) + sum(jnp.sum(h**2) for h in heads)

    assert jw.health(jw.walk(fun)(jnp.ones((6, 2)))) == ()


def test_a_derivative_that_is_not_finite():
    """Forward all is finite: the `where` has not chosen the √ of what is below zero."""

    def fun(x):
        x = jw.tag(x * 2.0, "twice")
        return jnp.sum(jw.tag(jnp.where(x > 0, jnp.sqrt(x), 0.0), "rooted"))

    (found,) = jw.health(jw.walk(fun)(jnp.array([1.0, 0.0])))
    assert (found.name, found.point) == ("nonfinite", "twice")
    assert found.meaning == "The first NaN is met in δ of `twice`, 1 entry."
    assert found.advice.startswith("The values are finite and a derivative is not. If δ grew until then")
    assert found.line > 0


def test_a_list_of_what_steps_have_seen_and_all_that_learn_returns():
    step = jax.jit(jw.watch(loss, optax.sgd(0.1)))
    weights, state, seen = WEIGHTS, optax.sgd(0.1).init(WEIGHTS), []
    for _ in range(4):
        weights, state, one = step(weights, state, X)
        seen.append(one)
    stacked = jax.tree.map(lambda *steps: jnp.stack(steps), *seen)
    assert tuple(jw.health(seen)) == tuple(jw.health(stacked))
    assert jw.health(seen).about == jw.health(stacked).about
    learned = jw.learn(
        lambda w, x: jnp.sum(jw.tag(w @ x, "product") ** 2), jnp.ones((2, 3)), [np.ones((4, 3))], optax.sgd(0.01)
    )
    assert tuple(jw.health(learned)) == tuple(jw.health(learned.history))


@pytest.mark.parametrize("shape", [(128, 32), (32, 16), (3,)])
def test_a_gradient_of_nan_has_no_size(shape):
    """On a CPU the largest of many NaN may come out as a number."""
    nan = lambda w, x: jnp.sum(jnp.where(w > 0, jnp.sqrt(jw.tag(w, "w")), 0.0)) * x
    optimizer = optax.sgd(0.1)
    weights = jnp.zeros(shape)
    _, _, seen = jax.jit(jw.watch(nan, optimizer))(weights, optimizer.init(weights), 1.0)
    assert np.isfinite(seen.loss)
    (sizes,) = seen.weights.values()
    assert np.isnan(sizes["gradient_l2"])
    assert next(iter(jw.health(seen))).name == "nonfinite"


# A softmax that is saturated -----------------------------------------------------------------------------


def attention(x, scale, weights=None, is_causal=True):
    query, key = (x, x) if weights is None else (x @ weights, x)
    logits = scale * query @ jnp.swapaxes(key, -1, -2)
    if is_causal:
        logits = jnp.where(jnp.tril(jnp.ones(logits.shape[-2:], bool)), logits, -jnp.inf)
    return jw.tag(jw.tag(jax.nn.softmax(logits), "attention") @ x, "mixed")


def in_layers(x, scale):
    return jnp.mean(jax.lax.scan(lambda x, _: (x + attention(x, scale), None), x, None, length=3)[0] ** 2)


QUERIES = np.random.default_rng(2).normal(size=(2, 12, 8)).astype(np.float32)
SOFTMAXES = {
    "logits that are too large": (lambda x: jnp.mean(attention(x, 40.0, is_causal=False) ** 2), True),
    "in layers, with a mask": (lambda x: in_layers(x, 40.0), True),
    "weights that have grown": (lambda x: jnp.mean(attention(x, 0.35, 60 * jnp.eye(8)) ** 2), True),
    "as it is at first": (lambda x: jnp.mean(attention(x, 0.02, is_causal=False) ** 2), False),
    "as it is at first, with a mask": (lambda x: in_layers(x, 0.02), False),
    "a mask, of rows of which half have one entry": (lambda x: jnp.mean(attention(x[:, :2], 0.02) ** 2), False),
    "a mask, of three": (lambda x: jnp.mean(attention(x[:, :3], 0.0) ** 2), False),
    "a model that is sure": (
        lambda x: -jnp.mean(jw.tag(jnp.max(jw.tag(jax.nn.softmax(90 * x), "sure"), -1), "p")),
        False,
    ),
}


@pytest.mark.parametrize(("loss", "is_saturated"), SOFTMAXES.values(), ids=SOFTMAXES)
def test_a_softmax_that_is_saturated(loss, is_saturated):
    found = jw.health(jax.jit(jw.walk(loss, keep=jw.stats.health))(QUERIES)).named("saturated")
    assert [finding.point for finding in found] == ["attention"] * is_saturated
    if is_saturated:
        assert found[0].threshold == 0.5 < found[0].number <= 1
        assert "of the entries (of a softmax: the rows) at `attention`" in found[0].meaning
        assert "queries and keys" in found[0].advice


def masked(x):
    logits = jw.tag(40.0 * x @ jnp.swapaxes(x, -1, -2), "logits")
    weights = jax.nn.softmax(logits) * jnp.ones((1, 12, 12))  # a mask that lets all through
    return jnp.mean(jw.tag(jw.tag(weights, "attention") @ x, "mixed") ** 2)


def test_a_finding_says_by_what_a_softmax_is_judged():
    walk = jax.jit(jw.walk(masked, keep=jw.stats.health))(QUERIES)
    assert "saturated_share" not in walk.kept["attention"]
    (found,) = jw.health(walk).named("saturated")
    logits = 40.0 * np.float64(QUERIES) @ np.float64(QUERIES).swapaxes(-1, -2)
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    np.testing.assert_allclose(found.number, np.mean((weights**2).sum(-1)), rtol=1e-5)
    assert f"Σp² is {found.number:.3g} in the mean of the rows, by which alone it is judged (1 where" in found.meaning
