"""Trainings that are broken on purpose: what `jw.health` finds in them, and no more than that."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from trainings import Training, gpt, how, perceptron, perceptron_loss, regression, text, transformer, with_rate

import jaxwalk as jw
from jaxwalk._health.judge import RULES

pytestmark = pytest.mark.once
STEPS = 20
GRAVEST = [rule.name for rule in RULES]
LAYERS = 6


@pytest.fixture(autouse=True)
def promotion_as_a_user_has_it():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


# Programs, each compiled once ----------------------------------------------------------------------------


@functools.cache
def relu():
    return Training(perceptron_loss(jax.nn.relu), with_rate(optax.sgd, 0.02))


@functools.cache
def tanh():
    return Training(perceptron_loss(jnp.tanh), with_rate(optax.sgd, 0.02))


@functools.cache
def transformer_step():
    return Training(gpt, with_rate(optax.adam, 3e-3))


def of_relu(change=lambda p: p, rate=0.02, batches=None, **broken):
    return relu().history(change(perceptron(8)), how(batches or regression(STEPS), **broken), rate)


def of_tanh_in_float16(change=lambda p: p, rate=0.02, **broken):
    batches = how(regression(STEPS, dtype=np.float16), **broken)
    return tanh().history(change(perceptron(8, 1.0, dtype=jnp.float16)), batches, rate)


@functools.cache
def walk_of_transformer():
    return jax.jit(jw.walk(gpt))


def walk_in_float16(change=lambda p: p, **broken):
    (batch,) = how(text(1), **broken)
    return walk_of_transformer()(change(transformer(LAYERS, dtype=jnp.float16)), *batch)


def of_transformer(change=lambda p: p, rate=3e-3, steps=STEPS, **broken):
    return transformer_step().history(change(transformer(LAYERS)), how(text(steps), **broken), rate)


# How they are broken -------------------------------------------------------------------------------------


def layers(**changes):
    """Change arrays of the layers."""
    return lambda p: p | {"layers": p["layers"] | {k: change(p["layers"][k]) for k, change in changes.items()}}


def stack(**changes):
    return lambda p: p | {"stack": p["stack"] | {k: change(p["stack"][k]) for k, change in changes.items()}}


def times(factor):
    return lambda x: factor * x


def one_layer(layer, value):
    return lambda x: x.at[layer].set(value)


def one_nan(*index):
    return lambda x: x.at[index].set(jnp.nan)


def one_batch():
    return 50 * list(regression(1))


def with_nan_in_step(step):
    batches = list(regression(STEPS))
    batches[step][0][3, 2] = np.nan
    return batches


OFF = {"dead", "zero", "blocked", "unused"}
BROKEN = {  # by name: what makes it, what must be found, and what may be found
    # the perceptron with relu
    "weights too small": (lambda: of_relu(layers(w=times(0.25))), {"vanishing", "initialisation"}, {"dead"}),
    "weights too large": (lambda: of_relu(layers(w=times(4)), scale=1e-9), {"exploding", "initialisation"}, {"update"}),
    "one layer off": (lambda: of_relu(layers(b=one_layer(3, -100.0))), OFF),
    "all layers off": (lambda: of_relu(layers(b=lambda b: b - 100.0)), OFF),
    "weights all zero": (lambda: of_relu(layers(w=times(0.0))), OFF),
    "rate zero": (lambda: of_relu(rate=0.0, batches=one_batch()), {"update", "stalled"}),
    "rate too small": (lambda: of_relu(rate=1e-12, batches=one_batch()), {"update", "stalled"}),
    "rate of the wrong sign": (lambda: of_relu(rate=-0.02), {"nonfinite", "update"}, {"exploding"}),
    "rate too large": (lambda: of_relu(rate=1e4), {"nonfinite", "update"}, {"dead"}),
    "a NaN in the data": (lambda: of_relu(batches=with_nan_in_step(7)), {"nonfinite"}),
    "an Inf in the weights": (lambda: of_relu(layers(b=one_layer((2, 1), jnp.inf))), {"nonfinite"}),
    "a weight that nothing reads": (lambda: of_relu(used=0.0), {"unused"}),
    "a square below zero": (lambda: of_relu(offset=-9.0), {"negative_loss"}),
    # the perceptron with tanh in float16
    "loss too small for float16": (lambda: of_tanh_in_float16(scale=1e-4), {"underflow", "update"}),
    "loss too large for float16": (lambda: of_tanh_in_float16(scale=1e7), {"overflow", "nonfinite"}, {"update"}),
    "tanh saturated": (
        lambda: of_tanh_in_float16(layers(w=times(40)), scale=100.0, rate=1e-4),
        {"saturated"},
        {"nonfinite", "update"},
    ),
    # the transformer
    "transformer: a stream that fades": (
        lambda: of_transformer(stack(norm1=times(1e-6), norm2=times(1e-6)), skip=0.1, rate=1e-6),
        {"vanishing", "initialisation"},
        {"dead"},
    ),
    "transformer: a stream that grows": (lambda: of_transformer(skip=5.0), {"exploding", "initialisation"}),
    "transformer: a relu layer off": (lambda: of_transformer(stack(bias=one_layer(2, -50.0))), OFF - {"unused"}),
    "transformer: scores too large": (lambda: of_transformer(sharp=300.0), {"saturated"}),
    "transformer: a NaN in layer 4": (lambda: of_transformer(stack(up=one_nan(4, 0, 0))), {"nonfinite"}),
    "transformer: rate zero": (lambda: of_transformer(rate=0.0, steps=50), {"update", "stalled"}),
    "transformer: rate too large": (
        lambda: of_transformer(rate=30.0),
        {"blocked", "saturated"},
        {"exploding", "dead", "zero", "update"},
    ),
    "transformer: places left out": (lambda: of_transformer(used=0.0), {"unused"}),
    "transformer: a cross-entropy below zero": (lambda: of_transformer(offset=-9.0), {"negative_loss"}),
    # walks of the transformer in float16
    "transformer: loss too small for float16": (lambda: walk_in_float16(scale=1e-3), {"underflow"}),
    "transformer: loss too large for float16": (lambda: walk_in_float16(scale=1e8), {"overflow", "nonfinite"}),
    "transformer: an Inf in the stack": (
        lambda: walk_in_float16(stack(up=one_layer((1, 0, 0), jnp.inf))),
        {"nonfinite"},
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_found(name):
    result, expected, *more = BROKEN[name]
    found = jw.health(result())
    names = {finding.name for finding in found}
    assert expected <= names <= expected.union(*more), found
    assert [f.name for f in found] == sorted((f.name for f in found), key=GRAVEST.index)


def test_each_rule_is_tried_twice_and_in_a_transformer():
    tried = [(name, rule) for name, (_, expected, *_) in BROKEN.items() for rule in expected]
    assert all(sum(rule == each for _, rule in tried) >= 2 for each in GRAVEST)
    assert {rule for name, rule in tried if name.startswith("transformer")} == {*GRAVEST}


@pytest.mark.parametrize("scale", [1e-6, 1e6])
@pytest.mark.parametrize("broken", ["weights too small", "weights too large", None])
def test_the_verdict_on_the_flow_is_the_same_for_a_loss_on_another_scale(scale, broken):
    factor = {"weights too small": 0.25, "weights too large": 4.0, None: 1.0}[broken]
    walk = jax.jit(jw.walk(perceptron_loss(jax.nn.relu)))
    change = layers(w=times(factor))
    ((*batch, numbers),) = how(regression(1))
    found = [jw.health(walk(change(perceptron(8)), *batch, numbers | {"scale": np.float32(s)})) for s in (1.0, scale)]
    assert [(f.name, f.points, f"{f.number:.3g}") for f in found[0]] == [
        (f.name, f.points, f"{f.number:.3g}") for f in found[1]
    ]


def test_where_and_when_is_told():
    history = BROKEN["transformer: a NaN in layer 4"][0]()
    (found,) = jw.health(history)
    assert (found.point, found.number, found.threshold, found.steps) == ("up", 128.0, 0.0, (0, 19))
    assert found.meaning.startswith("The first NaN is met in the output of `up` at [4] in step 0, 128 entries.")
    assert found.file.endswith("trainings.py")
    (found,) = jw.health(BROKEN["a NaN in the data"][0]())
    assert (found.point, found.steps) == ("pre", (7, 19))
